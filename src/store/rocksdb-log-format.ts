/**
 * RocksDB's log format, read as RocksDB reads it: write-ahead logs and manifests are sequences of checksummed
 * records in blocks of 32 KiB. Used by rocksdb-manifest.ts and rocksdb-damage.ts; it only reads.
 *
 * Source: RocksDB 6.17, db/log_format.h, db/log_reader.cc, util/crc32c.h.
 */
import { open } from 'node:fs/promises';

const blockBytes = 32_768;
/** Checksum, length, type. */
const headerBytes = 7;
const chunkBlocks = 32;
/** Types of whole records and of their first, middle and last parts. */
const whole = 1;
const first = 2;
const middle = 3;
const last = 4;

/** Eight tables of 256, one after the other: eight bytes are taken at a time. */
const crcTables = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let table = 0; table < 8; table++) {
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    crcTables[table * 256 + byte] = crc;
  }
}

/** CRC-32C of a range, masked as RocksDB stores it in logs and tables. */
export function maskedCrc(bytes: Buffer, from: number, to: number): number {
  const t = crcTables;
  const at8 = to - ((to - from) % 8);
  let crc = -1;
  let at = from;
  for (; at < at8; at += 8) {
    const a =
      crc ^
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24));
    crc =
      (t[1792 + (a & 0xff)] as number) ^
      (t[1536 + ((a >>> 8) & 0xff)] as number) ^
      (t[1280 + ((a >>> 16) & 0xff)] as number) ^
      (t[1024 + (a >>> 24)] as number) ^
      (t[768 + (bytes[at + 4] as number)] as number) ^
      (t[512 + (bytes[at + 5] as number)] as number) ^
      (t[256 + (bytes[at + 6] as number)] as number) ^
      (t[bytes[at + 7] as number] as number);
  }
  for (; at < to; at++) crc = (t[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** Puts records together from blocks; of each it keeps the first `keptBytes`. */
class RecordReader {
  readonly #keptBytes: number;
  readonly #onRecord: (head: Buffer) => void;
  #parts: Buffer[] | undefined;
  ended = false;

  constructor(keptBytes: number, onRecord: (head: Buffer) => void) {
    this.#keptBytes = keptBytes;
    this.#onRecord = onRecord;
  }

  /** A block, shorter than `blockBytes` only at the end of the file. */
  block(bytes: Buffer): void {
    let at = 0;
    while (at + headerBytes <= bytes.length) {
      const end = at + headerBytes + bytes.readUInt16LE(at + 4);
      const type = bytes[at + 6] as number;
      if (end > bytes.length) {
        this.#parts = undefined;
        this.ended = bytes.length < blockBytes;
        return;
      }
      // The rest of a block behind a wrong checksum is dropped: its lengths cannot be believed.
      if (bytes.readUInt32LE(at) !== maskedCrc(bytes, at + 6, end)) {
        this.#parts = undefined;
        return;
      }
      this.#part(type, bytes.subarray(at + headerBytes, end));
      at = end;
    }
  }

  #part(type: number, payload: Buffer): void {
    if (type === whole || type === first) this.#parts = [];
    else if ((type !== middle && type !== last) || this.#parts === undefined) return;
    const parts = this.#parts as Buffer[];
    const kept = parts.reduce((sum, { length }) => sum + length, 0);
    // Copied: the chunk that it was read into is used again.
    if (kept < this.#keptBytes) parts.push(Buffer.from(payload.subarray(0, this.#keptBytes - kept)));
    if (type !== whole && type !== last) return;
    this.#parts = undefined;
    this.#onRecord(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts));
  }
}

/**
 * Calls `onRecord` with the first `keptBytes` of every record that RocksDB would take from the file, in order.
 * What it would pass over is passed over here: records with a wrong checksum, a torn tail.
 */
export async function readLogRecords(
  file: string,
  keptBytes: number,
  onRecord: (head: Buffer) => void,
): Promise<void> {
  const reader = new RecordReader(keptBytes, onRecord);
  const handle = await open(file, 'r');
  try {
    const chunk = Buffer.allocUnsafe(chunkBlocks * blockBytes);
    for (let at = 0; !reader.ended; at += chunk.length) {
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
      for (let from = 0; from < bytesRead && !reader.ended; from += blockBytes)
        reader.block(chunk.subarray(from, Math.min(from + blockBytes, bytesRead)));
      if (bytesRead < chunk.length) return;
    }
  } finally {
    await handle.close();
  }
}
