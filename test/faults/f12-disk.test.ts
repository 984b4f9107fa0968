/**
 * F12: the disk under the state refuses, fails, tears, is read-only or slow. An instance closes the store, opens
 * it again, reads the position from it and replays; it never goes on as it was, and nobody has to help it. The
 * ledger then equals the fold, and no state was wiped: a failed write proves no damage.
 *
 * A write that returned an error may be on disk or not. Both are played here by a backend that does either
 * (faulty-store.ts), and by real RocksDB under a libc whose calls fail (disk-fault.c).
 */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { openRocksDbBackend } from '../../src/store/rocksdb-backend.ts';
import { DiskFault, type DiskFaultKind } from '../support/disk-fault.ts';
import type { WorkerRequest, WorkerStatus } from '../support/disk-fault-worker.ts';
import { eventually } from '../support/eventually.ts';
import { faultyStores, type StoreFaultPlan } from '../support/faulty-store.ts';
import { ForkedWorker } from '../support/forked-worker.ts';
import { LedgerBench } from '../support/ledger-bench.ts';
import { LogRecorder } from '../support/log-recorder.ts';

function freshFolder(): string {
  return mkdtempSync(join(tmpdir(), 'millrace-f12-'));
}

describe('F12: a store that fails now and then', () => {
  let bench: LedgerBench;
  afterEach(() => bench.close());

  const plans: { name: string; make: (seed: number) => StoreFaultPlan }[] = [
    {
      name: 'writes that fail and are not on disk',
      make: (seed) => {
        const random = seededRandom(seed);
        return { write: () => (random.next() < 0.2 ? 'not applied' : 'none') };
      },
    },
    {
      name: 'writes that fail and are on disk all the same',
      make: (seed) => {
        const random = seededRandom(seed);
        return { write: () => (random.next() < 0.2 ? 'applied' : 'none') };
      },
    },
    {
      name: 'writes, reads and openings that fail at random',
      make: (seed) => {
        const random = seededRandom(seed);
        return {
          write: () => (random.next() < 0.1 ? (random.next() < 0.5 ? 'applied' : 'not applied') : 'none'),
          read: () => random.next() < 0.05,
          open: () => random.next() < 0.2,
        };
      },
    },
  ];

  for (const { name, make } of plans) {
    for (const seed of [1, 2]) {
      it(`loses and doubles nothing: ${name} (seed ${seed})`, async () => {
        bench = await LedgerBench.open({ seed });
        const folder = freshFolder();
        let failing = true;
        const plan = make(seed);
        const { open, hits } = faultyStores((taskId) => openRocksDbBackend(join(folder, taskId)), {
          write: () => (failing ? (plan.write?.() ?? 'none') : 'none'),
          read: () => failing && plan.read?.() === true,
          open: () => failing && plan.open?.() === true,
        });
        const log = new LogRecorder();
        const app = await bench.start({ open, telemetry: log.telemetry });
        await eventually(
          async () => {
            await bench.produce(20);
            return hits.writes >= 5;
          },
          { timeoutMs: 30_000, what: 'writes to fail' },
        );
        failing = false;
        await bench.finish();
        await bench.assertQueries(app);
        await app.stop();
        await bench.assertSound((taskId) => openRocksDbBackend(join(folder, taskId)));
        assert.deepEqual(log.rebuilds, [], 'a failed write proves no damage');
      });
    }
  }
});

describe('F12: real RocksDB on a disk that fails', () => {
  let fault: DiskFault;
  let worker: ForkedWorker<WorkerRequest>;
  const status = () => worker.ask<WorkerStatus>({ op: 'status' });

  beforeEach(async () => {
    const folder = freshFolder();
    fault = new DiskFault(folder);
    worker = new ForkedWorker('./disk-fault-worker.js', { env: fault.env });
    await worker.ask({ op: 'open', stateDir: join(folder, 'state'), seed: 3 });
  });
  afterEach(async () => {
    await worker.kill();
    fault.close();
  });

  async function expectSound(): Promise<void> {
    await worker.ask({ op: 'finish' });
    await worker.ask({ op: 'stop' });
    await worker.ask({ op: 'judge' });
    const { rebuilds } = await status();
    assert.deepEqual(rebuilds, [], 'no state was wiped');
  }

  const kinds: DiskFaultKind[] = ['no space', 'write error', 'torn write', 'read-only', 'sync error'];
  for (const kind of kinds) {
    it(`goes on by itself when it is over: ${kind}`, async () => {
      await worker.ask({ op: 'start' });
      await worker.ask({ op: 'produce', count: 1_500 });
      await worker.ask({ op: 'settle' });
      for (let round = 0; round < 2; round++) {
        const before = fault.hits;
        fault.set(kind);
        await eventually(
          async () => {
            await worker.ask({ op: 'produce', count: 300 });
            return fault.hits > before;
          },
          { timeoutMs: 30_000, what: `the disk to fail (${kind})` },
        );
        assert.notEqual((await status()).state, 'ERROR', (await status()).log);
        fault.clear();
        await worker.ask({ op: 'settle' });
      }
      await expectSound();
    });
  }

  it('starts on a disk that is full, waits, and goes on when there is room', async () => {
    fault.set('no space');
    await worker.ask({ op: 'start' });
    await worker.ask({ op: 'produce', count: 500 });
    await eventually(() => fault.hits > 10, { what: 'the disk to refuse' });
    const full = await status();
    assert.equal(full.ready, false, 'it does not call itself ready');
    assert.equal(full.state, 'REBALANCING');
    fault.clear();
    await worker.ask({ op: 'settle' });
    await expectSound();
  });

  it('is slowed by a slow disk and by nothing else', async () => {
    await worker.ask({ op: 'start' });
    await worker.ask({ op: 'produce', count: 500 });
    await worker.ask({ op: 'settle' });
    fault.set('slow', 20);
    const before = fault.hits;
    const { opens } = await status();
    for (let round = 0; round < 5; round++) await worker.ask({ op: 'produce', count: 500 });
    await worker.ask({ op: 'settle' });
    assert.ok(fault.hits > before, 'the disk was slow');
    assert.equal((await status()).opens, opens, 'no store was given up');
    fault.clear();
    await expectSound();
  });
});
