/**
 * Goal: a database that is whole is never called damaged, whatever a crash leaves of it, and a flipped bit in a
 * table is found wherever it is, before a range is read from it. Method: a database of several tables and levels,
 * copied while it is open, and copies of it with one bit flipped.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { KeyValueBackend } from '../../../src/base/backend-port.ts';
import type { StreamsError } from '../../../src/base/errors.ts';
import { seededRandom } from '../../../src/base/seeded-random.ts';
import { openRocksDbBackend } from '../../../src/store/rocksdb-backend.ts';
import { findDamage } from '../../../src/store/rocksdb-damage.ts';
import { crashCopy } from '../../support/crash-copy.ts';

const everything = Number.POSITIVE_INFINITY;
const random = seededRandom(4);

describe('the check of a RocksDB folder', () => {
  let root: string;
  let whole: string;

  const open = (path: string): Promise<KeyValueBackend> =>
    openRocksDbBackend(path, { writeBufferBytes: 64 * 1024 });

  async function fill(backend: KeyValueBackend, batches: number): Promise<void> {
    for (let batch = 0; batch < batches; batch++) {
      await backend.write(
        Array.from({ length: 20 }, () => ({
          key: Buffer.from(`key-${String(random.integer(5_000)).padStart(6, '0')}`),
          value: random.next() < 0.1 ? null : Buffer.from(`${random.next()} `.repeat(1 + random.integer(8))),
        })),
      );
    }
  }

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'millrace-damage-'));
    whole = join(root, 'whole');
    const backend = await open(whole);
    await fill(backend, 300);
    await backend.close();
  });
  after(() => rmSync(root, { recursive: true, force: true }));

  it('finds nothing in a folder that is whole, closed or as a crash leaves it, and opened again and again', async () => {
    const path = join(root, 'again');
    for (let round = 0; round < 6; round++) {
      const backend = await open(path);
      await fill(backend, 60);
      await crashCopy(path, join(root, `crash-${round}`));
      await backend.close();
      assert.equal(await findDamage(path, everything), undefined);
      assert.equal(await findDamage(join(root, `crash-${round}`), everything), undefined);
      // What a crash left goes on as a database, too.
      const left = await open(join(root, `crash-${round}`));
      await fill(left, 10);
      await left.close();
      assert.equal(await findDamage(join(root, `crash-${round}`), everything), undefined);
    }
    assert.ok(readdirSync(path).filter((name) => name.endsWith('.sst')).length > 0, 'there are tables');
  });

  it('finds a flipped bit anywhere in any table', async () => {
    const tables = readdirSync(whole).filter((name) => name.endsWith('.sst'));
    assert.ok(tables.length > 0);
    for (let trial = 0; trial < 100; trial++) {
      const table = join(whole, tables[random.integer(tables.length)] as string);
      const bytes = readFileSync(table);
      const at = random.integer(bytes.length);
      // The footer is padded with zeros between its handles and its version: nobody reads those.
      if (at >= bytes.length - 52 && at < bytes.length - 8) continue;
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] as number) ^ (1 << random.integer(8));
      writeFileSync(table, damaged);
      assert.notEqual(await findDamage(whole, everything), undefined, `${table} at ${at} of ${bytes.length}`);
      await assert.rejects(open(whole), (error: StreamsError) => {
        assert.equal(error.code, 'STORE_CORRUPTED');
        assert.ok(error.message.includes(whole), 'the folder is named');
        return true;
      });
      writeFileSync(table, bytes);
    }
    assert.equal(await findDamage(whole, everything), undefined);
  });

  it('finds a batch that is gone from the middle of the log', async () => {
    const path = join(root, 'log');
    const backend = await openRocksDbBackend(path);
    await fill(backend, 200);
    await backend.close();
    const log = join(path, readdirSync(path).find((name) => name.endsWith('.log')) as string);
    const bytes = readFileSync(log);
    assert.ok(bytes.length > 2 * 32_768, 'several blocks');
    bytes[40] = (bytes[40] as number) ^ 1;
    writeFileSync(log, bytes);
    assert.match(
      (await findDamage(path, everything)) ?? '',
      /^\d+\.log: change \d+ comes where \d+ should be$/,
    );
  });
});
