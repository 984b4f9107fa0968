/** Runs the backend contract on each adapter, and what only one of them can show. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { StreamsError } from '../../src/base/errors.ts';
import { MemoryDisk, openMemoryBackend } from '../../src/store/memory-backend.ts';
import { openRocksDbBackend } from '../../src/store/rocksdb-backend.ts';
import { backendContract } from './backend-contract.ts';

const bytes = (text: string): Buffer => Buffer.from(text);
const folder = mkdtempSync(join(tmpdir(), 'millrace-backends-'));
let paths = 0;
const freshPath = (): string => join(folder, `db-${paths++}`, 'nested');

after(() => rmSync(folder, { recursive: true, force: true }));

backendContract({ name: 'RocksDB', open: (path) => openRocksDbBackend(path), freshPath, durable: true });
backendContract({ name: 'memory', open: () => openMemoryBackend(), freshPath, durable: false });
backendContract({ name: 'memory disk', open: new MemoryDisk().open, freshPath, durable: true });

describe('RocksDB backend', () => {
  it('refuses a folder that another process uses, and names it', async () => {
    const path = freshPath();
    await (await openRocksDbBackend(path)).close();
    const library = import.meta.resolve('../../src/store/rocksdb-backend.js');
    const script = `import { openRocksDbBackend } from ${JSON.stringify(library)};
      await openRocksDbBackend(${JSON.stringify(path)}); console.log('open'); setInterval(() => {}, 1000);`;
    const other = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await new Promise((resolve) => other.stdout.once('data', resolve));
      await assert.rejects(openRocksDbBackend(path), (error: StreamsError) => {
        assert.equal(error.code, 'STORE_LOCKED');
        assert.match(error.message, /another process/);
        return error.message.includes(path);
      });
    } finally {
      other.kill('SIGKILL');
      await new Promise((resolve) => other.once('exit', resolve));
    }
    await (await openRocksDbBackend(path)).close();
  });

  it('says that a folder is damaged', async () => {
    const path = freshPath();
    const backend = await openRocksDbBackend(path);
    await backend.write([{ key: bytes('a'), value: bytes('1') }]);
    await backend.close();
    for (const name of readdirSync(path)) {
      if (name.startsWith('MANIFEST')) writeFileSync(join(path, name), 'this is no manifest of a database');
    }
    await assert.rejects(openRocksDbBackend(path), (error: StreamsError) => error.code === 'STORE_CORRUPTED');
  });

  it('says when the folder cannot be made', async () => {
    const path = freshPath();
    writeFileSync(join(folder, 'a-file'), '');
    await assert.rejects(
      openRocksDbBackend(join(folder, 'a-file', 'db')),
      (error: StreamsError) => error.code === 'STORE_IO_FAILED',
    );
    await (await openRocksDbBackend(path)).close();
  });

  it('loses nothing that was written when the last bytes of its log are torn off, but the torn batch', async () => {
    const path = freshPath();
    const backend = await openRocksDbBackend(path);
    await backend.write([{ key: bytes('a'), value: bytes('1') }], { sync: true });
    await backend.write([
      { key: bytes('b'), value: Buffer.alloc(1000) },
      { key: bytes('c'), value: Buffer.alloc(1000) },
    ]);
    await backend.close();
    const log = readdirSync(path).find((name) => name.endsWith('.log')) as string;
    truncateSync(join(path, log), 1500);
    const reopened = await openRocksDbBackend(path);
    assert.deepEqual(
      (await reopened.range({})).map(({ key }) => key.toString()),
      ['a'],
    );
    await reopened.close();
  });
});

describe('memory disk', () => {
  let disk: MemoryDisk;
  before(() => {
    disk = new MemoryDisk();
  });

  it('keeps everything at a kill and refuses the killed process', async () => {
    const backend = await disk.open('a');
    await backend.write([{ key: bytes('k'), value: bytes('1') }]);
    disk.kill();
    await assert.rejects(backend.write([{ key: bytes('k'), value: bytes('2') }]));
    const reopened = await disk.open('a');
    assert.deepEqual(await reopened.getMany([bytes('k')]), [bytes('1')]);
    await reopened.close();
  });

  it('loses the unsynced suffix at a power loss', async () => {
    const backend = await disk.open('b');
    await backend.write([{ key: bytes('k'), value: bytes('1') }]);
    await backend.write([{ key: bytes('s'), value: bytes('1') }], { sync: true });
    await backend.write([{ key: bytes('k'), value: bytes('2') }]);
    await backend.write([{ key: bytes('k'), value: null }]);
    await backend.write([{ key: bytes('n'), value: bytes('1') }]);
    disk.powerLoss();
    const reopened = await disk.open('b');
    assert.deepEqual(
      (await reopened.range({})).map(({ key, value }) => `${key}=${value}`),
      ['k=1', 's=1'],
    );
    await reopened.close();
  });

  it('fails a write on request, applies nothing of it and nothing after it', async () => {
    let fail = false;
    const backend = await openMemoryBackend({
      beforeWrite: () => {
        if (fail) throw new Error('no space left');
      },
    });
    await backend.write([{ key: bytes('a'), value: bytes('1') }]);
    fail = true;
    await assert.rejects(
      backend.write([{ key: bytes('a'), value: bytes('2') }]),
      (error: StreamsError) => error.code === 'STORE_IO_FAILED',
    );
    fail = false;
    await assert.rejects(backend.write([{ key: bytes('a'), value: bytes('3') }]));
    assert.deepEqual(await backend.getMany([bytes('a')]), [bytes('1')]);
  });
});
