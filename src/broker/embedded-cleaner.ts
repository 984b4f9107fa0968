/**
 * Retention and compaction of the embedded broker, run when its owner calls `maintain()`.
 *
 * Offsets never change: a log gets a later start or holes. Only records below the last stable offset are
 * touched, so an open transaction is never cut, and of a key the last *committed* value stays. Each batch
 * leaves a log that is right by itself, so a crash between two of them costs nothing.
 *
 * Settings of a topic, with Kafka's names and defaults: `cleanup.policy` (delete), `retention.ms` (7 days;
 * -1 = for ever), `retention.bytes` (-1), `delete.retention.ms` (1 day: how long a tombstone stays after a
 * compaction has first seen it), `min.cleanable.dirty.ratio` (0.5).
 */
import type { Write } from '../base/backend-port.ts';
import { mapKey } from '../base/bytes.ts';
import type { Clock } from '../base/clock-port.ts';
import { Chunk, ChunkData } from './embedded-chunk.ts';
import type { PartitionLog } from './embedded-log.ts';
import type { EmbeddedStorage } from './embedded-storage.ts';

const dayMs = 24 * 60 * 60 * 1000;
/** How much is read, and how much is rewritten, at a time. */
const pageBytes = 4 * 1024 * 1024;

/** Shape: chunks of a log and what stays of them. */
interface Rewrite {
  readonly from: readonly Chunk[];
  readonly to: Chunk | undefined;
}

export class LogCleaner {
  readonly #storage: EmbeddedStorage;
  readonly #clock: Clock;
  readonly #chunkBytesMax: number;

  constructor(storage: EmbeddedStorage, clock: Clock, chunkBytesMax: number) {
    this.#storage = storage;
    this.#clock = clock;
    this.#chunkBytesMax = chunkBytesMax;
  }

  /** Does what is due on one log. */
  async clean(log: PartitionLog): Promise<void> {
    const policy = log.config['cleanup.policy'] ?? 'delete';
    // What is appended while the log is being read goes in a new chunk.
    const last = log.chunks.at(-1);
    if (last?.state === 'committed') last.seal();
    if (policy.includes('delete')) await this.#deleteOld(log);
    if (policy.includes('compact')) await this.#compact(log);
  }

  /** Cuts whole chunks off the start of the log. */
  async #deleteOld(log: PartitionLog): Promise<void> {
    const retentionMs = Number(log.config['retention.ms'] ?? 7 * dayMs);
    const retentionBytes = Number(log.config['retention.bytes'] ?? -1);
    const before = retentionMs < 0 ? Number.NEGATIVE_INFINITY : this.#clock.nowMs() - retentionMs;
    let bytesLeft = log.chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
    let count = 0;
    for (const chunk of log.chunks) {
      const tooLarge = retentionBytes >= 0 && bytesLeft - chunk.bytes >= retentionBytes;
      if (chunk.last >= log.stable || !this.#settled(chunk) || (chunk.timestampMax >= before && !tooLarge))
        break;
      bytesLeft -= chunk.bytes;
      count += 1;
    }
    if (count === 0) return;
    const removed = log.chunks.splice(0, count);
    for (const chunk of removed) this.#storage.forget(chunk);
    log.moveStart(Math.min(log.chunks[0]?.base ?? log.stable, log.stable));
    await this.#storage.write((writes) => {
      for (const chunk of removed) if (chunk.stored) this.#storage.deleteChunk(log, chunk.base, writes);
    });
  }

  async #compact(log: PartitionLog): Promise<void> {
    const bound = log.stable;
    const chunks = log.chunks.filter((chunk) => chunk.last < bound && this.#settled(chunk));
    if (!this.#isDue(log, chunks)) return;
    const lastOffsets = await this.#lastOffsets(log, chunks);
    if (lastOffsets === undefined) return;
    await this.#rewriteAll(log, chunks, lastOffsets);
    log.compactedTo = bound;
  }

  /** Enough has come since the last compaction, or tombstones have stayed long enough. */
  #isDue(log: PartitionLog, chunks: readonly Chunk[]): boolean {
    let bytes = 0;
    let dirtyBytes = 0;
    for (const chunk of chunks) {
      bytes += chunk.bytes;
      if (chunk.base >= log.compactedTo) dirtyBytes += chunk.bytes;
      if (chunk.tombstonesUntilMs > 0 && chunk.tombstonesUntilMs <= this.#clock.nowMs()) return true;
    }
    const ratio = Number(log.config['min.cleanable.dirty.ratio'] ?? 0.5);
    return dirtyBytes > 0 && dirtyBytes / bytes >= ratio;
  }

  /** The last committed offset of each key that was written since the last compaction. */
  async #lastOffsets(log: PartitionLog, chunks: readonly Chunk[]): Promise<Map<string, number> | undefined> {
    const dirty = chunks.filter((chunk) => chunk.base >= log.compactedTo && chunk.state === 'committed');
    const last = new Map<string, number>();
    for await (const page of this.#pages(log, dirty)) {
      if (page === undefined) return undefined;
      for (const [chunk, data] of page) {
        for (let i = 0; i < data.count; i++) {
          const key = data.key(i);
          if (key !== null) last.set(mapKey(key), chunk.base + data.delta(i));
        }
      }
    }
    return last;
  }

  async #rewriteAll(log: PartitionLog, chunks: readonly Chunk[], last: Map<string, number>): Promise<void> {
    let group: Chunk[] = [];
    let output: Chunk | undefined;
    let rewrites: Rewrite[] = [];
    const finish = (): void => {
      if (group.length > 0)
        rewrites.push({ from: group, to: output !== undefined && output.count > 0 ? output : undefined });
      group = [];
      output = undefined;
    };
    for await (const page of this.#pages(log, chunks)) {
      if (page === undefined) return;
      for (const [chunk, data] of page) {
        const kept = this.#kept(chunk, data, last);
        const untilMs = this.#tombstonesUntil(log, chunk, data, kept);
        if (
          kept.length === data.count &&
          chunk.bytes >= this.#chunkBytesMax / 4 &&
          untilMs === chunk.tombstonesUntilMs
        ) {
          finish();
          continue;
        }
        // Tombstones of another age go in a chunk of their own, or none would ever be old enough.
        if (
          output !== undefined &&
          (output.bytes >= this.#chunkBytesMax || !sameAge(output.tombstonesUntilMs, untilMs))
        ) {
          finish();
        }
        output ??= new Chunk(chunk.base, 'committed', undefined, ChunkData.empty());
        group.push(chunk);
        for (const i of kept) {
          output.append(chunk.base + data.delta(i), {
            key: data.key(i),
            value: data.value(i),
            timestamp: data.timestamp(i),
            headers: data.headers(i),
          });
        }
        output.tombstonesUntilMs = Math.max(output.tombstonesUntilMs, untilMs);
      }
      finish();
      await this.#apply(log, rewrites);
      rewrites = [];
    }
  }

  /** The indexes of the records that stay. */
  #kept(chunk: Chunk, data: ChunkData, last: Map<string, number>): number[] {
    const kept: number[] = [];
    if (chunk.state === 'aborted') return kept;
    const dropTombstones = chunk.tombstonesUntilMs > 0 && chunk.tombstonesUntilMs <= this.#clock.nowMs();
    for (let i = 0; i < data.count; i++) {
      const key = data.key(i);
      if (key === null || (last.get(mapKey(key)) ?? -1) > chunk.base + data.delta(i)) continue;
      if (dropTombstones && data.value(i) === null) continue;
      kept.push(i);
    }
    return kept;
  }

  #tombstonesUntil(log: PartitionLog, chunk: Chunk, data: ChunkData, kept: readonly number[]): number {
    if (!kept.some((i) => data.value(i) === null)) return 0;
    if (chunk.tombstonesUntilMs > 0) return chunk.tombstonesUntilMs;
    return this.#clock.nowMs() + Number(log.config['delete.retention.ms'] ?? dayMs);
  }

  /** One batch: the new chunks take the place of the old ones. */
  async #apply(log: PartitionLog, rewrites: readonly Rewrite[]): Promise<void> {
    if (rewrites.length === 0 || log.deleted) return;
    for (const { from, to } of rewrites) {
      const at = log.chunks.indexOf(from[0] as Chunk);
      to?.seal();
      log.chunks.splice(at, from.length, ...(to === undefined ? [] : [to]));
      for (const chunk of from) this.#storage.forget(chunk);
    }
    await this.#storage.write((writes: Write[]) => {
      if (log.deleted) return;
      for (const { from, to } of rewrites) {
        for (const chunk of from) if (chunk.stored) this.#storage.deleteChunk(log, chunk.base, writes);
        if (to !== undefined) this.#storage.putChunk(log, to, writes);
      }
    });
    for (const { to } of rewrites) {
      if (to === undefined) continue;
      to.stored = this.#storage.durable;
      this.#storage.evictable(to);
    }
  }

  /** Chunks with their bytes, a few megabytes at a time; undefined when the log was deleted meanwhile. */
  async *#pages(
    log: PartitionLog,
    chunks: readonly Chunk[],
  ): AsyncGenerator<[Chunk, ChunkData][] | undefined> {
    let at = 0;
    while (at < chunks.length) {
      const from = at;
      for (let bytes = 0; at < chunks.length && bytes < pageBytes; at++) bytes += (chunks[at] as Chunk).bytes;
      // An aborted chunk whose bytes were evicted is nowhere any more; there is nothing to keep of it.
      const page = chunks.slice(from, at);
      const wanted = page.filter((chunk) => chunk.data !== undefined || chunk.stored);
      const loaded = await this.#storage.load(log, wanted, false);
      await this.#clock.yield();
      if (log.deleted || loaded.includes(undefined)) {
        yield undefined;
        return;
      }
      const bytesOf = new Map(wanted.map((chunk, i) => [chunk, loaded[i] as ChunkData]));
      yield page.map((chunk) => [chunk, bytesOf.get(chunk) ?? ChunkData.empty()]);
    }
  }

  /** Its transaction has ended and, where there is a store, it is there. */
  #settled(chunk: Chunk): boolean {
    if (chunk.state === 'aborted') return true;
    return chunk.state === 'committed' && (this.#storage.durable ? chunk.stored : chunk.sealed);
  }
}

/** Tombstones with these times to go may share a chunk; 0 = there are none. */
function sameAge(untilMs: number, otherMs: number): boolean {
  return untilMs === 0 || otherMs === 0 || untilMs === otherMs;
}
