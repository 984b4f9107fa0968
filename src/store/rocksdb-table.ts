/**
 * One RocksDB table file taken apart far enough to check it: footer, index, properties and, where asked for, every
 * block of data. Called by rocksdb-damage.ts; it only reads.
 *
 * The binding's iterators are made with `verify_checksums = false`, so that a range would be read from a damaged
 * block without a word, and the library was built with assertions, so that a flipped bit in the properties, which
 * are parsed before their checksum is looked at, ends the process.
 * Source: RocksDB 6.17, table/format.cc, table/block_based/block.cc; Snappy's format description.
 */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { maskedCrc } from './rocksdb-log-format.ts';

const footerBytes = 53;
const tableMagic = 0x88e241b785f4cff7n;
const crc32c = 1;
/** Type of compression, and checksum, behind each block. */
const trailerBytes = 5;
const uncompressed = 0;
const snappy = 1;
/** Blocks are read in runs of about so many bytes. */
const runBytes = 1024 * 1024;
const metaBlocks = ['rocksdb.properties', 'fullfilter.rocksdb.BuiltinBloomFilter'];

interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

/** What is wrong with a table, as a sentence. `withData`: every block is read, not only those that lead to others. */
export async function tableDamage(
  file: string,
  bytes: number,
  withData: boolean,
): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return 'it is missing';
  if (found.size !== bytes) return `it has ${found.size} bytes instead of ${bytes}`;
  if (bytes < footerBytes) return 'it is too short';
  const handle = await open(file, 'r');
  try {
    return await new TableCheck(handle, bytes).run(withData);
  } finally {
    await handle.close();
  }
}

class TableCheck {
  readonly #handle: FileHandle;
  readonly #bytes: number;

  constructor(handle: FileHandle, bytes: number) {
    this.#handle = handle;
    this.#bytes = bytes;
  }

  async run(withData: boolean): Promise<string | undefined> {
    const footer = await this.#read(this.#bytes - footerBytes, footerBytes);
    if (footer[0] !== crc32c || footer.readBigUInt64LE(footerBytes - 8) !== tableMagic)
      return 'its footer is damaged';
    const reader = new Varints(footer, 1);
    const list = await this.#block(reader.handle());
    const index = await this.#block(reader.handle());
    if (list === undefined || index === undefined) return 'its index is damaged';
    for (const name of metaBlocks) {
      const at = list.indexOf(name);
      if (at < 0) continue;
      const block = await this.#block(new Varints(list, at + name.length).handle());
      if (block === undefined) return `its block ${name} is damaged`;
    }
    return withData ? this.#dataDamage(indexEntries(index)) : undefined;
  }

  async #dataDamage(handles: readonly BlockHandle[]): Promise<string | undefined> {
    for (let from = 0; from < handles.length; ) {
      const { offset } = handles[from] as BlockHandle;
      let to = from;
      let end = offset;
      for (; to < handles.length && end - offset < runBytes; to++) {
        const next = handles[to] as BlockHandle;
        // Blocks lie behind each other; whatever does not is no index of this table.
        if (next.offset < offset) return 'its index is damaged';
        end = next.offset + next.size + trailerBytes;
      }
      if (end > this.#bytes) return 'its index is damaged';
      const run = await this.#read(offset, end - offset);
      for (; from < to; from++) {
        const block = handles[from] as BlockHandle;
        if (!isWhole(run.subarray(block.offset - offset, block.offset - offset + block.size + trailerBytes)))
          return `its block at ${block.offset} is damaged`;
      }
    }
    return undefined;
  }

  /** The contents; undefined when the checksum is wrong or they cannot lie there. */
  async #block({ offset, size }: BlockHandle): Promise<Buffer | undefined> {
    if (offset + size + trailerBytes > this.#bytes - footerBytes) return undefined;
    const block = await this.#read(offset, size + trailerBytes);
    if (!isWhole(block)) return undefined;
    const contents = block.subarray(0, size);
    const type = block[size];
    if (type === uncompressed) return contents;
    return type === snappy ? unsnappy(contents) : undefined;
  }

  async #read(offset: number, bytes: number): Promise<Buffer> {
    const buffer = Buffer.alloc(bytes);
    await this.#handle.read(buffer, 0, bytes, offset);
    return buffer;
  }
}

function isWhole(block: Buffer): boolean {
  const crcAt = block.length - trailerBytes + 1;
  return block.readUInt32LE(crcAt) === maskedCrc(block, 0, crcAt);
}

class Varints {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  next(): number {
    let value = 0;
    for (let factor = 1; this.at < this.#bytes.length; factor *= 128) {
      const byte = this.#bytes[this.at++] as number;
      value += (byte & 127) * factor;
      if (byte < 128) break;
    }
    return value;
  }

  handle(): BlockHandle {
    const offset = this.next();
    return { offset, size: this.next() };
  }
}

/**
 * Where the blocks of data lie. An entry: shared and own bytes of the key, the key's own bytes, then a handle, or
 * where the key shares bytes with the one before only the change in size.
 */
function indexEntries(index: Buffer): BlockHandle[] {
  const restarts = index.readUInt32LE(index.length - 4) & 0x7fffffff;
  const end = index.length - 4 - restarts * 4;
  const reader = new Varints(index, 0);
  const handles: BlockHandle[] = [];
  while (reader.at < end) {
    const shared = reader.next();
    const ownBytes = reader.next();
    reader.at += ownBytes;
    const before = handles.at(-1);
    if (shared === 0 || before === undefined) {
      handles.push(reader.handle());
      continue;
    }
    const zigzag = reader.next();
    const change = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    handles.push({ offset: before.offset + before.size + trailerBytes, size: before.size + change });
  }
  return handles;
}

/** Snappy's raw format. The bytes have passed their checksum, so they are what was written. */
function unsnappy(bytes: Buffer): Buffer {
  const reader = new Varints(bytes, 0);
  const result = Buffer.alloc(reader.next());
  let at = reader.at;
  let to = 0;
  while (at < bytes.length) {
    const tag = bytes[at++] as number;
    let length = (tag >> 2) + 1;
    if ((tag & 3) === 0) {
      if (length > 60) {
        const lengthBytes = length - 60;
        length = bytes.readUIntLE(at, lengthBytes) + 1;
        at += lengthBytes;
      }
      bytes.copy(result, to, at, at + length);
      at += length;
      to += length;
      continue;
    }
    let back: number;
    if ((tag & 3) === 1) {
      length = ((tag >> 2) & 7) + 4;
      back = ((tag >> 5) << 8) | (bytes[at++] as number);
    } else {
      const backBytes = (tag & 3) === 2 ? 2 : 4;
      back = bytes.readUIntLE(at, backBytes);
      at += backBytes;
    }
    // Byte by byte: a copy may overlap what it makes.
    for (let count = 0; count < length; count++, to++) result[to] = result[to - back] as number;
  }
  return result;
}
