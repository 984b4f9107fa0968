/**
 * One partition of the embedded broker: the index of its chunks, its start, end and last stable offset, and
 * who waits for records. Appended to by producers, read by consumers, cut by embedded-cleaner.ts.
 *
 * All of it is synchronous: what must be loaded or stored is named here and done by embedded-storage.ts.
 */
import { StreamsError } from '../base/errors.ts';
import type { Headers } from '../base/record.ts';
import type { Isolation, RecordBatch } from './broker-port.ts';
import { Chunk, ChunkData, type ChunkRecord } from './embedded-chunk.ts';

/** Shape: chunks from which at least `recordsMax` records can be read, and where reading ends. */
export interface ReadPlan {
  readonly chunks: readonly Chunk[];
  /** Below it all records are in `chunks`, or none is left. */
  readonly bound: number;
  readonly complete: boolean;
}

export class PartitionLog {
  readonly topic: string;
  readonly topicNumber: number;
  readonly partition: number;
  readonly config: Readonly<Record<string, string>>;
  readonly #chunkBytesMax: number;
  /** Told when start or end have changed; the storage keeps the list. */
  readonly #changed: (log: PartitionLog) => void;
  #start: number;
  #end: number;
  #stable: number;
  readonly chunks: Chunk[] = [];
  /** The first offset of each open transaction. */
  readonly #open = new Map<object, number>();
  readonly #appendWaiters = new Set<() => void>();
  readonly #stableWaiters = new Set<() => void>();
  /** Its topic was deleted. */
  deleted = false;
  /** Start or end are not stored yet. */
  dirty = false;
  /** Below it compaction has seen everything; known to this process only. */
  compactedTo = 0;

  constructor(options: {
    topic: string;
    topicNumber: number;
    partition: number;
    config: Readonly<Record<string, string>>;
    chunkBytesMax: number;
    changed: (log: PartitionLog) => void;
    start?: number;
    end?: number;
  }) {
    this.topic = options.topic;
    this.topicNumber = options.topicNumber;
    this.partition = options.partition;
    this.config = options.config;
    this.#chunkBytesMax = options.chunkBytesMax;
    this.#changed = options.changed;
    this.#start = options.start ?? 0;
    this.#end = options.end ?? 0;
    this.#stable = this.#end;
  }

  get start(): number {
    return this.#start;
  }

  get end(): number {
    return this.#end;
  }

  /** The last stable offset. */
  get stable(): number {
    return this.#stable;
  }

  endFor(isolation: Isolation): number {
    return isolation === 'read_committed' ? this.#stable : this.#end;
  }

  /** Writes a record; `writer` is its transaction, undefined without one. Returns the chunk that took it. */
  append(record: ChunkRecord, writer: object | undefined): Chunk {
    let chunk = this.chunks.at(-1);
    if (
      chunk === undefined ||
      chunk.sealed ||
      chunk.writer !== writer ||
      chunk.bytes >= this.#chunkBytesMax
    ) {
      chunk?.seal();
      chunk = new Chunk(this.#end, writer === undefined ? 'committed' : 'open', writer, ChunkData.empty());
      this.chunks.push(chunk);
      if (writer !== undefined && !this.#open.has(writer)) this.#open.set(writer, this.#end);
    }
    chunk.append(this.#end, record);
    this.#moveEnd(this.#end + 1);
    return chunk;
  }

  /** The marker of a transaction that ends takes an offset; its records stay open until `close`. */
  appendMarker(): void {
    this.#moveEnd(this.#end + 1);
  }

  /** The transaction has ended: its records are readable, or never. */
  close(writer: object, chunks: readonly Chunk[], state: 'committed' | 'aborted'): void {
    for (const chunk of chunks) chunk.state = state;
    this.#open.delete(writer);
    this.#moveStable();
  }

  /** Retention moved the start. */
  moveStart(to: number): void {
    this.#start = to;
    this.#change();
  }

  /**
   * What to load to read on from a position.
   * Errors: OFFSET_OUT_OF_RANGE, TOPIC_UNKNOWN.
   */
  plan(position: number, isolation: Isolation, recordsMax: number): ReadPlan {
    this.check(position);
    const bound = this.endFor(isolation);
    const chunks: Chunk[] = [];
    let atLeast = 0;
    for (let i = this.chunkAt(position); i < this.chunks.length; i++) {
      const chunk = this.chunks[i] as Chunk;
      // A chunk has one writer, so it is wholly below the last stable offset or wholly above.
      if (chunk.base >= bound) break;
      if (isolation === 'read_committed' && chunk.state === 'aborted') continue;
      if (chunk.data === undefined && !chunk.stored) continue;
      if (atLeast >= recordsMax) return { chunks, bound, complete: false };
      chunks.push(chunk);
      atLeast += chunk.contiguous
        ? chunk.last - Math.max(position, chunk.base) + 1
        : chunk.last >= position
          ? 1
          : 0;
    }
    return { chunks, bound, complete: true };
  }

  /** Throws unless the position can be read from. */
  check(position: number): void {
    const context = { topic: this.topic, partition: this.partition };
    if (this.deleted) throw new StreamsError('TOPIC_UNKNOWN', 'the topic was deleted', { context });
    if (position >= this.#start && position <= this.#end) return;
    const sentence = `the log has offsets ${this.#start} to ${this.#end} and was read`;
    throw new StreamsError('OFFSET_OUT_OF_RANGE', sentence, { context: { ...context, offset: position } });
  }

  /** The index of the first chunk that may hold the offset or a later one. */
  chunkAt(offset: number): number {
    let low = 0;
    let high = this.chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.chunks[middle] as Chunk).last < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Calls `wake` when there may be more to read, until it is removed. */
  addWaiter(wake: () => void, isolation: Isolation): void {
    (isolation === 'read_committed' ? this.#stableWaiters : this.#appendWaiters).add(wake);
  }

  removeWaiter(wake: () => void, isolation: Isolation): void {
    (isolation === 'read_committed' ? this.#stableWaiters : this.#appendWaiters).delete(wake);
  }

  /** Its topic is gone: who waits has to know. */
  markDeleted(): void {
    this.deleted = true;
    for (const wake of [...this.#appendWaiters, ...this.#stableWaiters]) wake();
  }

  #moveEnd(to: number): void {
    this.#end = to;
    this.#change();
    if (this.#appendWaiters.size > 0) for (const wake of this.#appendWaiters) wake();
    if (this.#open.size === 0) this.#moveStable();
  }

  #moveStable(): void {
    let stable = this.#end;
    for (const first of this.#open.values()) if (first < stable) stable = first;
    if (stable === this.#stable) return;
    this.#stable = stable;
    if (this.#stableWaiters.size > 0) for (const wake of this.#stableWaiters) wake();
  }

  #change(): void {
    if (this.dirty) return;
    this.dirty = true;
    this.#changed(this);
  }
}

interface Segment {
  /** The index in the batch of its first record. */
  readonly at: number;
  readonly base: number;
  readonly data: ChunkData;
  /** The index in the chunk of its first record. */
  readonly first: number;
  readonly count: number;
}

/** Records of one partition over the chunks that hold them. */
export class LogBatch implements RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly #segments: readonly Segment[];
  readonly count: number;
  #current = 0;

  constructor(log: PartitionLog, segments: readonly Segment[]) {
    this.topic = log.topic;
    this.partition = log.partition;
    this.#segments = segments;
    this.count = segments.reduce((sum, segment) => sum + segment.count, 0);
  }

  offset(index: number): number {
    const { base, data, first, at } = this.#segment(index);
    return base + data.delta(first + index - at);
  }

  timestamp(index: number): number {
    const { data, first, at } = this.#segment(index);
    return data.timestamp(first + index - at);
  }

  key(index: number): Buffer | null {
    const { data, first, at } = this.#segment(index);
    return data.key(first + index - at);
  }

  value(index: number): Buffer | null {
    const { data, first, at } = this.#segment(index);
    return data.value(first + index - at);
  }

  headers(index: number): Headers {
    const { data, first, at } = this.#segment(index);
    return data.headers(first + index - at);
  }

  #segment(index: number): Segment {
    let segment = this.#segments[this.#current] as Segment;
    if (index >= segment.at && index < segment.at + segment.count) return segment;
    // Batches are read in order, so it is mostly the next one.
    for (let step = 1; step <= this.#segments.length; step++) {
      this.#current = (this.#current + 1) % this.#segments.length;
      segment = this.#segments[this.#current] as Segment;
      if (index >= segment.at && index < segment.at + segment.count) return segment;
    }
    throw new RangeError(`the batch has ${this.count} records and was asked for ${index}`);
  }
}

/**
 * The records of a plan from a position on, at most `recordsMax`.
 * Arguments: `loaded` are the bytes of the plan's chunks, in their order.
 * Shape: `position` is where reading goes on; the batch is undefined when there is no record.
 */
export function takeBatch(
  log: PartitionLog,
  plan: ReadPlan,
  loaded: readonly ChunkData[],
  position: number,
  recordsMax: number,
): { readonly batch: LogBatch | undefined; readonly position: number } {
  const segments: Segment[] = [];
  let taken = 0;
  let next = position;
  let exhausted = plan.complete;
  for (const [i, chunk] of plan.chunks.entries()) {
    const data = loaded[i] as ChunkData;
    const first = indexOf(data, position - chunk.base);
    // `data.count` and not the chunk's: it is what is there now, and an open chunk grows.
    const count = Math.min(data.count - first, recordsMax - taken);
    if (count > 0) {
      segments.push({ at: taken, base: chunk.base, data, first, count });
      taken += count;
      next = chunk.base + data.delta(first + count - 1) + 1;
    }
    if (first + count < data.count) exhausted = false;
  }
  // Past markers and aborted records, when nothing readable is left below the bound.
  if (exhausted) next = Math.max(next, plan.bound);
  return { batch: segments.length === 0 ? undefined : new LogBatch(log, segments), position: next };
}

/** The index of the first record whose delta is not smaller. */
function indexOf(data: ChunkData, delta: number): number {
  if (delta <= 0) return 0;
  let low = 0;
  let high = data.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (data.delta(middle) < delta) low = middle + 1;
    else high = middle;
  }
  return low;
}
