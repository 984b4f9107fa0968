/**
 * Finds damage that RocksDB would not speak of, or would die of. The binding opens every database with
 * `paranoid_checks = false` and iterates with `verify_checksums = false`, so that
 * - a batch of the write-ahead log whose checksum is wrong is passed over in silence and the later ones are applied:
 *   a changelog position could then stand above changes that are gone;
 * - tables that are missing or of the wrong size are only noticed when they are read, if at all;
 * - a range is read from a damaged block as if nothing was wrong.
 * Called by rocksdb-library.ts before a folder is opened; it only reads.
 *
 * What a crash leaves is no damage: a torn tail of the last log, files that are not part of the database.
 * Source: RocksDB 6.17, db/write_batch.cc.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readLogRecords } from './rocksdb-log-format.ts';
import { type RocksDbManifest, readManifest } from './rocksdb-manifest.ts';
import { tableDamage } from './rocksdb-table.ts';

/** Sequence number and count at the start of a batch. */
const batchHeaderBytes = 12;

/**
 * What is wrong with the files of a folder, as a sentence; undefined when all is well or there is no database.
 * `verifiedBytesMax`: of so many bytes of tables, the smallest first, every block is read; of the others what leads
 * to the blocks.
 */
export async function findDamage(folder: string, verifiedBytesMax: number): Promise<string | undefined> {
  const manifest = await readManifest(folder);
  if (manifest === undefined) return undefined;
  let left = verifiedBytesMax;
  for (const [number, bytes] of [...manifest.tables].sort(([, a], [, b]) => a - b)) {
    const name = `${String(number).padStart(6, '0')}.sst`;
    left -= bytes;
    const damage = await tableDamage(join(folder, name), bytes, left >= 0);
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
