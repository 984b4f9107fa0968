/**
 * Finds damage that RocksDB would not speak of, or would die of. The binding opens every database with
 * `paranoid_checks = false` and was built with assertions, so that
 * - a batch of the write-ahead log whose checksum is wrong is passed over in silence and the later ones are applied:
 *   a changelog position could then stand above changes that are gone;
 * - tables that are missing or of the wrong size are only noticed when they are read, if at all;
 * - a flipped bit in a table's properties ends the process.
 * Called by rocksdb-library.ts before a folder is opened; it only reads. Blocks of data are not looked at: RocksDB
 * checks each when it reads it, and says so.
 *
 * What a crash leaves is no damage: a torn tail of the last log, files that are not part of the database.
 * Source: RocksDB 6.17, db/write_batch.cc, table/format.cc.
 */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { maskedCrc, readLogRecords } from './rocksdb-log-format.ts';
import { type RocksDbManifest, readManifest } from './rocksdb-manifest.ts';

/** Sequence number and count at the start of a batch. */
const batchHeaderBytes = 12;
const footerBytes = 53;
const tableMagic = 0x88e241b785f4cff7n;
const crc32c = 1;
/** Type and checksum behind each block. */
const trailerBytes = 5;
/** The tail of a table that is read at once; properties, the list of them and the footer are less. */
const tableTailBytes = 16_384;

/** What is wrong with the files of a folder, as a sentence; undefined when all is well or there is no database. */
export async function findDamage(folder: string): Promise<string | undefined> {
  const manifest = await readManifest(folder);
  if (manifest === undefined) return undefined;
  for (const [number, bytes] of manifest.tables) {
    const name = `${String(number).padStart(6, '0')}.sst`;
    const damage = await tableDamage(join(folder, name), bytes);
    if (damage !== undefined) return `${name}: ${damage}`;
  }
  return logDamage(folder, manifest);
}

/**
 * The batches that RocksDB is going to apply must follow each other without a gap, and the first of them what is
 * in the tables: each carries the sequence number of its first change and the count of its changes.
 */
async function logDamage(folder: string, manifest: RocksDbManifest): Promise<string | undefined> {
  const numberOf = (name: string) => Number(name.slice(0, -'.log'.length));
  const names = (await readdir(folder))
    .filter((name) => /^\d+\.log$/.test(name) && numberOf(name) >= manifest.firstLog)
    .sort((a, b) => numberOf(a) - numberOf(b));
  let next: number | undefined;
  let damage: string | undefined;
  for (const name of names) {
    await readLogRecords(join(folder, name), batchHeaderBytes, (head) => {
      if (head.length < batchHeaderBytes) return;
      const sequence = Number(head.readBigUInt64LE(0));
      const isGap = next === undefined ? sequence > manifest.lastSequence + 1 : sequence !== next;
      if (isGap)
        damage ??= `${name}: change ${sequence} comes where ${next ?? manifest.lastSequence + 1} should be`;
      next = sequence + head.readUInt32LE(8);
    });
    if (damage !== undefined) return damage;
  }
  return undefined;
}

interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

async function tableDamage(file: string, bytes: number): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return 'it is missing';
  if (found.size !== bytes) return `it has ${found.size} bytes instead of ${bytes}`;
  if (bytes < footerBytes) return 'it is too short';
  const handle = await open(file, 'r');
  try {
    const tail = Buffer.alloc(Math.min(bytes, tableTailBytes));
    await handle.read(tail, 0, tail.length, bytes - tail.length);
    const readBlock = async ({ offset, size }: BlockHandle): Promise<Buffer | undefined> => {
      const end = offset + size + trailerBytes;
      if (end > bytes - footerBytes) return undefined;
      const from = offset - (bytes - tail.length);
      const block = from >= 0 ? tail.subarray(from, from + size + trailerBytes) : Buffer.alloc(end - offset);
      if (from < 0) await handle.read(block, 0, block.length, offset);
      const isRight = block.readUInt32LE(size + 1) === maskedCrc(block, 0, size + 1);
      return isRight ? block.subarray(0, size) : undefined;
    };
    return await tailDamage(tail.subarray(tail.length - footerBytes), readBlock);
  } finally {
    await handle.close();
  }
}

async function tailDamage(
  footer: Buffer,
  readBlock: (handle: BlockHandle) => Promise<Buffer | undefined>,
): Promise<string | undefined> {
  if (footer[0] !== crc32c || footer.readBigUInt64LE(footerBytes - 8) !== tableMagic)
    return 'its footer is damaged';
  const [listing, listingEnd] = blockHandle(footer, 1);
  const [index] = blockHandle(footer, listingEnd);
  const list = await readBlock(listing);
  if (list === undefined || (await readBlock(index)) === undefined) return 'its index is damaged';
  const at = list.indexOf('rocksdb.properties');
  if (at < 0) return undefined;
  const properties = await readBlock(blockHandle(list, at + 'rocksdb.properties'.length)[0]);
  return properties === undefined ? 'its properties are damaged' : undefined;
}

/** Two varints, and where they end. */
function blockHandle(bytes: Buffer, from: number): [BlockHandle, number] {
  let at = from;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; at < bytes.length; factor *= 128) {
      const byte = bytes[at++] as number;
      value += (byte & 127) * factor;
      if (byte < 128) break;
    }
    return value;
  };
  const offset = varint();
  return [{ offset, size: varint() }, at];
}
