/**
 * Records of the embedded broker as bytes. A chunk is what one writer appended to one partition without
 * another in between: part of one transaction, or records without one. Filled by embedded-log.ts, stored
 * by embedded-storage.ts, read by consumers through `RecordBatch`es that decode only what is asked for.
 *
 * Records are copied in, so a producer's caller may use its buffers again; what is read are views, which
 * stay valid for ever, since bytes are only ever appended.
 *
 * Shape of the bytes: 8 bytes of head (version u32, count u32), then for each record: offset - base u32,
 * headers u32, timestamp f64, key length i32, value length i32 (-1 = null), key, value, and for each header
 * key length u32, value length u32, key, value. Little-endian.
 */

import { assert } from '../base/assert.ts';
import { StreamsError } from '../base/errors.ts';
import type { Header, Headers } from '../base/record.ts';

const version = 1;
const headBytes = 8;
const recordHeadBytes = 24;
const firstBytes = 512;

/** The parts of a record that a chunk keeps. */
export interface ChunkRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestamp: number;
  readonly headers: Headers;
}

/** The bytes of a chunk and where each record begins. Append-only. */
export class ChunkData {
  #bytes: Buffer;
  #used: number;
  readonly #starts: number[];

  private constructor(bytes: Buffer, used: number, starts: number[]) {
    this.#bytes = bytes;
    this.#used = used;
    this.#starts = starts;
  }

  static empty(): ChunkData {
    return new ChunkData(Buffer.allocUnsafeSlow(firstBytes), headBytes, []);
  }

  /** Errors: STORE_CORRUPTED. */
  static decode(bytes: Buffer): ChunkData {
    const starts: number[] = [];
    let at = headBytes;
    if (bytes.length >= headBytes && bytes.readUInt32LE(0) === version) {
      const count = bytes.readUInt32LE(4);
      while (starts.length < count && at + recordHeadBytes <= bytes.length) {
        starts.push(at);
        at = recordEnd(bytes, at);
      }
      if (starts.length === count && at === bytes.length) return new ChunkData(bytes, at, starts);
    }
    throw new StreamsError('STORE_CORRUPTED', 'a chunk of records in the broker’s store is damaged');
  }

  get count(): number {
    return this.#starts.length;
  }

  get bytes(): number {
    return this.#used;
  }

  append(delta: number, record: ChunkRecord): void {
    const { key, value, headers } = record;
    const size = recordBytes(record);
    if (this.#used + size > this.#bytes.length) this.#grow(size);
    const bytes = this.#bytes;
    let at = this.#used;
    this.#starts.push(at);
    bytes.writeUInt32LE(delta, at);
    bytes.writeUInt32LE(headers.length, at + 4);
    bytes.writeDoubleLE(record.timestamp, at + 8);
    bytes.writeInt32LE(key === null ? -1 : key.length, at + 16);
    bytes.writeInt32LE(value === null ? -1 : value.length, at + 20);
    at += recordHeadBytes;
    if (key !== null) {
      bytes.set(key, at);
      at += key.length;
    }
    if (value !== null) {
      bytes.set(value, at);
      at += value.length;
    }
    for (const header of headers) at = this.#appendHeader(header, at);
    this.#used = at;
  }

  /** The bytes to store; valid until the next append. */
  encode(): Buffer {
    this.#bytes.writeUInt32LE(version, 0);
    this.#bytes.writeUInt32LE(this.#starts.length, 4);
    return this.#bytes.subarray(0, this.#used);
  }

  /** Gives back what was reserved for records that will not come. */
  trim(): void {
    if (this.#bytes.length - this.#used < this.#used >> 2) return;
    const exact = Buffer.allocUnsafeSlow(this.#used);
    this.#bytes.copy(exact, 0, 0, this.#used);
    this.#bytes = exact;
  }

  delta(index: number): number {
    return this.#bytes.readUInt32LE(this.#start(index));
  }

  timestamp(index: number): number {
    return this.#bytes.readDoubleLE(this.#start(index) + 8);
  }

  key(index: number): Buffer | null {
    const start = this.#start(index);
    const length = this.#bytes.readInt32LE(start + 16);
    const at = start + recordHeadBytes;
    return length < 0 ? null : this.#bytes.subarray(at, at + length);
  }

  value(index: number): Buffer | null {
    const start = this.#start(index);
    const length = this.#bytes.readInt32LE(start + 20);
    if (length < 0) return null;
    const at = start + recordHeadBytes + Math.max(0, this.#bytes.readInt32LE(start + 16));
    return this.#bytes.subarray(at, at + length);
  }

  headers(index: number): Headers {
    const start = this.#start(index);
    const count = this.#bytes.readUInt32LE(start + 4);
    if (count === 0) return noHeaders;
    let at = afterValue(this.#bytes, start);
    const headers: Header[] = [];
    for (let i = 0; i < count; i++) {
      const keyAt = at + 8;
      const valueAt = keyAt + this.#bytes.readUInt32LE(at);
      at = valueAt + this.#bytes.readUInt32LE(at + 4);
      headers.push({
        key: this.#bytes.toString('utf8', keyAt, valueAt),
        value: this.#bytes.subarray(valueAt, at),
      });
    }
    return headers;
  }

  #appendHeader(header: Header, from: number): number {
    const bytes = this.#bytes;
    const keyLength = bytes.write(header.key, from + 8);
    bytes.writeUInt32LE(keyLength, from);
    bytes.writeUInt32LE(header.value.length, from + 4);
    bytes.set(header.value, from + 8 + keyLength);
    return from + 8 + keyLength + header.value.length;
  }

  #start(index: number): number {
    const start = this.#starts[index];
    assert(start !== undefined, 'a record batch was asked for a record that it does not have', { index });
    return start;
  }

  #grow(by: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, this.#used + by));
    this.#bytes.copy(larger, 0, 0, this.#used);
    this.#bytes = larger;
  }
}

const noHeaders: Headers = Object.freeze([]);

/** How many bytes the record takes in a chunk. */
export function recordBytes(record: ChunkRecord): number {
  let bytes = recordHeadBytes + (record.key?.length ?? 0) + (record.value?.length ?? 0);
  for (const { key, value } of record.headers) bytes += 8 + Buffer.byteLength(key) + value.length;
  return bytes;
}

function afterValue(bytes: Buffer, start: number): number {
  const key = Math.max(0, bytes.readInt32LE(start + 16));
  return start + recordHeadBytes + key + Math.max(0, bytes.readInt32LE(start + 20));
}

function recordEnd(bytes: Buffer, start: number): number {
  const headers = bytes.readUInt32LE(start + 4);
  let at = afterValue(bytes, start);
  for (let i = 0; i < headers && at + 8 <= bytes.length; i++) {
    at += 8 + bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4);
  }
  return at;
}

/** `open`: its transaction has not ended. */
export type ChunkState = 'open' | 'committed' | 'aborted';

/** An entry of a partition's index: always in memory; its bytes may be in the store only. */
export class Chunk {
  readonly base: number;
  /** The offset of its last record. */
  last: number;
  count = 0;
  bytes = 0;
  timestampMax = Number.NEGATIVE_INFINITY;
  state: ChunkState;
  /** The transaction that appends to it; undefined without one. */
  readonly writer: object | undefined;
  /** Undefined when only the store has it. */
  data: ChunkData | undefined;
  /** No more appends. */
  sealed = false;
  /** The store has it. */
  stored = false;
  /** No longer in the index: cleaned away. */
  removed = false;
  /** Tombstones in it may be dropped from this time on; 0 = no compaction has seen one. */
  tombstonesUntilMs = 0;

  constructor(base: number, state: ChunkState, writer: object | undefined, data: ChunkData | undefined) {
    this.base = base;
    this.last = base - 1;
    this.state = state;
    this.writer = writer;
    this.data = data;
  }

  append(offset: number, record: ChunkRecord): void {
    (this.data as ChunkData).append(offset - this.base, record);
    this.last = offset;
    this.count += 1;
    this.bytes = (this.data as ChunkData).bytes;
    if (record.timestamp > this.timestampMax) this.timestampMax = record.timestamp;
  }

  seal(): void {
    if (this.sealed) return;
    this.sealed = true;
    this.data?.trim();
  }

  /** True when no offset between its first and last record is missing. */
  get contiguous(): boolean {
    return this.last - this.base + 1 === this.count;
  }
}
