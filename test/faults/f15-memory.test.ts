/**
 * F15: more input than fits in memory, and a process that is killed for its memory. What is queued is bounded, in
 * records and in bytes, while something slow holds the work up; a process that dies of its heap and is started again
 * loses and doubles nothing. Method: the ledger with a store that does not answer, a topic of large records, and a
 * process with a small heap that leaks, everything of it on disk.
 */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'mocha';
import type { StreamsApp } from '../../src/app/streams-app.ts';
import type { KeyValueBackend } from '../../src/base/backend-port.ts';
import { StreamsError } from '../../src/base/errors.ts';
import { Topology } from '../../src/graph/topology.ts';
import { bytesSerde, type Serde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { eventually } from '../support/eventually.ts';
import { ForkedWorker } from '../support/forked-worker.ts';
import { LedgerBench } from '../support/ledger-bench.ts';
import type { MemoryRequest } from '../support/memory-worker.ts';

/** `bufferedRecordsMax` plus one poll. */
const queuedRecordsMax = 24_000;
/** Twice `commitRecordsMax`, and a round of each task, whose records change and send several things each. */
const openRecordsMax = 50_000;

function queuedBy(app: StreamsApp): number {
  return app.status().tasks.reduce((sum, { queued }) => sum + queued, 0);
}

/** Resolves when the queue has not changed for a while; with the largest count that was seen. */
async function fullest(app: StreamsApp): Promise<number> {
  let most = 0;
  let last = -1;
  let same = 0;
  await eventually(
    () => {
      const now = queuedBy(app);
      most = Math.max(most, now);
      same = now === last && now > 0 ? same + 1 : 0;
      last = now;
      return same >= 30;
    },
    { timeoutMs: 30_000, what: 'the queues to be full' },
  );
  return most;
}

describe('F15: more input than fits in memory', () => {
  let bench: LedgerBench;
  afterEach(() => bench.close());

  it('is left on the broker while the store does not answer, and processed afterwards', async () => {
    bench = await LedgerBench.open({ seed: 20 });
    const disk = new MemoryDisk();
    let release: () => void = () => {};
    let hung = 0;
    let held: Promise<void> | undefined;
    const open = async (taskId: string): Promise<KeyValueBackend> => {
      const backend = await disk.open(taskId);
      return {
        getMany: (keys) => backend.getMany(keys),
        range: (range) => backend.range(range),
        scan: (range, pageSize) => backend.scan(range, pageSize),
        write: async (writes, options) => {
          if (held !== undefined) {
            hung++;
            await held;
          }
          return backend.write(writes, options);
        },
        sizeBytes: () => backend.sizeBytes(),
        close: () => backend.close(),
      };
    };
    const app = await bench.start({ open });
    await bench.produce(100);
    await bench.settle();
    held = new Promise((resolve) => {
      release = resolve;
    });
    const before = app.status().recordsProcessed;
    await bench.produce(60_000);
    await eventually(() => hung > 0, { what: 'the store to hang' });
    const most = await fullest(app);
    assert.ok(most > 4_000 && most <= queuedRecordsMax, `${most} records are queued`);
    const taken = app.status().recordsProcessed - before;
    assert.ok(taken <= openRecordsMax, `${taken} records wait for their commit`);
    assert.equal(app.state, 'RUNNING');
    held = undefined;
    release();
    await bench.finish(60_000);
    await app.stop();
    await bench.assertSound(disk.open);
  }).timeout(120_000);

  it('is bounded by bytes, too', async () => {
    bench = await LedgerBench.open({ seed: 20, partitions: 1 });
    const { admin } = bench.broker;
    await admin.createTopics([{ name: 'large', partitions: 2 }]);
    let waiting = 0;
    let ready = false;
    // Nothing of it can be processed: what was polled stays in the queue.
    const slow: Serde<Buffer> = {
      ...bytesSerde,
      serialize: (value, topic) => bytesSerde.serialize(value, topic),
      deserialize: (bytes, topic) => bytesSerde.deserialize(bytes, topic),
      prepare: (bytes) => {
        if (ready || bytes[0] !== 1) return undefined;
        waiting++;
        return Promise.reject(new StreamsError('REGISTRY_UNAVAILABLE', 'not yet (injected)'));
      },
    };
    const topology = new Topology()
      .addSource({ name: 'in', topics: ['large'], keySerde: bytesSerde, valueSerde: slow })
      .addProcessor({ name: 'look', supplier: () => ({ process: () => {} }), parents: ['in'] });
    const app = await bench.start({
      open: new MemoryDisk().open,
      topology,
      settings: { applicationId: 'large' },
    });
    const producer = await bench.broker.openProducer({ clientId: 'driver' });
    const value = Buffer.alloc(500_000, 1);
    const send = async (count: number) => {
      for (let n = 0; n < count; n++)
        await producer.send([
          { topic: 'large', partition: n % 2, key: null, value, timestamp: 1_000, headers: [] },
        ]);
      await producer.flush();
    };
    await send(10);
    await eventually(() => queuedBy(app) === 10, { what: 'the first records to be polled' });
    await send(390);
    await producer.close();
    const most = await fullest(app);
    assert.ok(waiting > 0, 'the records waited');
    assert.ok(most < 200, `${most} records of half a megabyte are queued`);
    ready = true;
    await eventually(() => app.status().recordsProcessed === 400, { what: 'all of them to be processed' });
    await app.stop();
  });
});

describe('F15: a process that dies of its memory', () => {
  let worker: ForkedWorker<MemoryRequest>;
  afterEach(() => worker.kill());

  it('loses and doubles nothing when it is started again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-f15-'));
    let produced = 0;
    let deaths = 0;
    for (let life = 0; life < 3; life++) {
      worker = new ForkedWorker('./memory-worker.js', { execArgv: ['--max-old-space-size=48'] });
      await worker.ask({ op: 'open', folder, produced, leak: true });
      await worker.ask({ op: 'produce', count: 4_000 });
      produced += 4_000;
      await worker.ask({ op: 'start' }).catch(() => {});
      const { code, signal } = await worker.ended;
      assert.ok(signal === 'SIGABRT' || code === 134, `it ended with ${code ?? signal}`);
      deaths++;
    }
    worker = new ForkedWorker('./memory-worker.js');
    await worker.ask({ op: 'open', folder, produced, leak: false });
    await worker.ask({ op: 'start' });
    const made = await worker.ask<number>({ op: 'finish' });
    assert.equal(made, produced);
    assert.equal(deaths, 3);
  }).timeout(120_000);
});
