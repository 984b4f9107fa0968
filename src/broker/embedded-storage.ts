/**
 * The embedded broker's way to its KeyValueBackend: one queue of atomic, synced batches, the chunks read
 * back, and a bounded cache of chunk bytes. Without a backend everything stays in memory and nothing is
 * ever evicted.
 *
 * Each batch carries whatever an observer may have seen by then: the ends of all logs that moved and all
 * records without a transaction. So nothing durable can rest on something that a crash takes back: a
 * group's offset beyond a log's end, or a result of a record that is gone.
 *
 * A failed batch ends the broker: its outcome is unknown, and only reopening the store tells.
 */
import type { KeyValueBackend, Write } from '../base/backend-port.ts';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import { type Chunk, ChunkData } from './embedded-chunk.ts';
import { chunkKey, indexValue, numberValue, partitionKeyOf } from './embedded-keys.ts';
import type { PartitionLog } from './embedded-log.ts';

type Collect = (writes: Write[]) => void;

interface Job {
  readonly collect: Collect;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Pending {
  readonly log: PartitionLog;
  readonly chunk: Chunk;
}

export class EmbeddedStorage {
  readonly #backend: KeyValueBackend | undefined;
  readonly #clock: Clock;
  readonly #cache: ChunkCache;
  #jobs: Job[] = [];
  #running: Promise<void> | undefined;
  /** Chunks without a transaction that the store does not have yet. */
  #pending: Pending[] = [];
  #dirty: PartitionLog[] = [];
  #failed: unknown;

  constructor(backend: KeyValueBackend | undefined, clock: Clock, cacheBytesMax: number) {
    this.#backend = backend;
    this.#clock = clock;
    this.#cache = new ChunkCache(cacheBytesMax);
  }

  get durable(): boolean {
    return this.#backend !== undefined;
  }

  /** A log's start or end moved. */
  readonly changed = (log: PartitionLog): void => {
    if (this.#backend !== undefined) this.#dirty.push(log);
  };

  /** A chunk without a transaction was begun. */
  addPending(log: PartitionLog, chunk: Chunk): void {
    if (this.#backend !== undefined) this.#pending.push({ log, chunk });
  }

  pendingBytes(): number {
    return this.#pending.reduce((sum, { chunk }) => sum + chunk.bytes, 0);
  }

  /** Throws when the store has failed. */
  check(): void {
    if (this.#failed === undefined) return;
    throw new StreamsError('BROKER_REQUEST_FAILED', 'the embedded broker’s store has failed', {
      hint: 'start again: what was committed is found by reopening the data directory',
      cause: this.#failed,
    });
  }

  /**
   * Adds to the next batch and resolves when it is on the disk.
   * Arguments: `collect` is called when the batch is built. Errors: whatever the backend throws.
   */
  write(collect: Collect): Promise<void> {
    // In memory a commit takes no time; a loop of commits must still let timers and sockets have their turn.
    if (this.#backend === undefined) return this.#clock.yield();
    const done = new Promise<void>((resolve, reject) => this.#jobs.push({ collect, resolve, reject }));
    this.#running ??= this.#run(this.#backend);
    return done;
  }

  /** Everything that was written without a transaction is on the disk. */
  flush(): Promise<void> {
    if (this.#pending.length === 0 && this.#running === undefined) return this.#clock.yield();
    return this.write(() => {});
  }

  async close(): Promise<void> {
    if (this.#backend === undefined) return;
    if (this.#failed === undefined && (this.#pending.length > 0 || this.#dirty.length > 0))
      await this.flush();
    await this.#running;
    await this.#backend.close();
  }

  /** The writes that store a chunk. */
  putChunk(log: PartitionLog, chunk: Chunk, writes: Write[]): void {
    const value = (chunk.data as ChunkData).encode();
    writes.push({ key: chunkKey('r', log.topicNumber, log.partition, chunk.base), value });
    writes.push({ key: chunkKey('i', log.topicNumber, log.partition, chunk.base), value: indexValue(chunk) });
  }

  deleteChunk(log: PartitionLog, base: number, writes: Write[]): void {
    writes.push({ key: chunkKey('r', log.topicNumber, log.partition, base), value: null });
    writes.push({ key: chunkKey('i', log.topicNumber, log.partition, base), value: null });
  }

  /** The chunk's bytes are in the store (or never will be): memory may let go of them. */
  evictable(chunk: Chunk): void {
    if (this.#backend !== undefined) this.#cache.add(chunk);
  }

  /** The chunk has left its log. */
  forget(chunk: Chunk): void {
    chunk.removed = true;
    this.#cache.drop(chunk);
  }

  /**
   * The bytes of the chunks, from memory or the store. Undefined where a chunk was cleaned away meanwhile:
   * plan again. `keep` puts what was read in the cache.
   * Errors: STORE_CORRUPTED.
   */
  async load(log: PartitionLog, chunks: readonly Chunk[], keep: boolean): Promise<(ChunkData | undefined)[]> {
    const found = chunks.map((chunk) => chunk.data);
    const missing = [...chunks.keys()].filter((i) => found[i] === undefined);
    if (missing.length === 0) return found;
    const { topicNumber, partition } = log;
    const keys = missing.map((i) => chunkKey('r', topicNumber, partition, (chunks[i] as Chunk).base));
    const values = (await this.#backend?.getMany(keys)) ?? [];
    for (const [j, i] of missing.entries()) {
      const chunk = chunks[i] as Chunk;
      const value = values[j];
      if (chunk.removed || log.deleted) continue;
      if (value === undefined) {
        throw new StreamsError('STORE_CORRUPTED', 'records are missing in the broker’s store', {
          context: { topic: log.topic, partition, offset: chunk.base },
        });
      }
      found[i] = chunk.data ?? ChunkData.decode(value);
      if (keep && chunk.data === undefined) {
        chunk.data = found[i];
        this.#cache.add(chunk);
      }
    }
    return found;
  }

  async #run(backend: KeyValueBackend): Promise<void> {
    // Those who ask in the same turn share a batch.
    await undefined;
    while (this.#jobs.length > 0) {
      const jobs = this.#jobs;
      this.#jobs = [];
      try {
        this.check();
        const writes: Write[] = [];
        const stored = this.#collectPending(writes);
        for (const { collect } of jobs) collect(writes);
        this.#collectEnds(writes);
        await backend.write(writes, { sync: true });
        for (const chunk of stored) {
          chunk.stored = true;
          this.evictable(chunk);
        }
        for (const { resolve } of jobs) resolve();
      } catch (error) {
        this.#failed ??= error;
        for (const { reject } of jobs) reject(error);
      }
    }
    this.#running = undefined;
  }

  #collectPending(writes: Write[]): Chunk[] {
    const pending = this.#pending.filter(({ log, chunk }) => !log.deleted && !chunk.removed);
    this.#pending = [];
    for (const { log, chunk } of pending) {
      chunk.seal();
      this.putChunk(log, chunk, writes);
    }
    return pending.map(({ chunk }) => chunk);
  }

  #collectEnds(writes: Write[]): void {
    for (const log of this.#dirty) {
      log.dirty = false;
      if (log.deleted) continue;
      const key = partitionKeyOf('p', log.topicNumber, log.partition);
      writes.push({ key, value: numberValue(log.start, log.end) });
    }
    this.#dirty = [];
  }
}

/** Bytes of chunks that could be read again from the store; the oldest go first. */
class ChunkCache {
  readonly #bytesMax: number;
  readonly #chunks = new Set<Chunk>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(chunk: Chunk): void {
    if (chunk.removed || this.#chunks.has(chunk)) return;
    this.#chunks.add(chunk);
    this.#bytes += chunk.bytes;
    for (const oldest of this.#chunks) {
      if (this.#bytes <= this.#bytesMax) break;
      this.drop(oldest);
    }
  }

  drop(chunk: Chunk): void {
    if (this.#chunks.delete(chunk)) this.#bytes -= chunk.bytes;
    if (chunk.stored || chunk.removed || chunk.state === 'aborted') chunk.data = undefined;
  }
}
