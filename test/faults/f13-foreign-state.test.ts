/**
 * F13: the files are whole and the state is the wrong one: another task's folder, another application's, a
 * position ahead of the changelog, a restore that was cut off. It is rebuilt and the log says why; it is never
 * served. Method: the ledger on folders in memory that the test copies and edits while nobody has them open.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { KeyValueBackend } from '../../src/base/backend-port.ts';
import { StreamsError } from '../../src/base/errors.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { TaskState } from '../../src/store/task-state.ts';
import { withPolls } from '../support/changed-broker.ts';
import { eventually } from '../support/eventually.ts';
import { LedgerBench } from '../support/ledger-bench.ts';
import { accountsStore, ledgerNames, ledgerTopology, totalsStore } from '../support/ledger-topology.ts';
import { LogRecorder } from '../support/log-recorder.ts';

const accountsChangelog = 'ledger-accounts-changelog';

describe('F13: state that is not this task’s', () => {
  let bench: LedgerBench;
  let disk: MemoryDisk;
  let log: LogRecorder;
  beforeEach(async () => {
    bench = await LedgerBench.open({ seed: 9 });
    disk = new MemoryDisk();
    log = new LogRecorder();
  });
  afterEach(() => bench.close());

  const start = () =>
    bench.start({ open: disk.open, destroy: (taskId) => disk.remove(taskId), telemetry: log.telemetry });

  async function firstRun(): Promise<void> {
    const app = await start();
    await bench.produce(500);
    await bench.settle();
    await app.stop();
  }

  async function secondRun(): Promise<void> {
    const app = await start();
    await bench.produce(200);
    await bench.finish();
    await bench.assertQueries(app);
    await app.stop();
    await bench.assertSound(disk.open);
  }

  /** Makes `to` a copy of `from`. */
  async function copy(from: KeyValueBackend, to: KeyValueBackend): Promise<void> {
    const old = await to.range({});
    await to.write(old.map(({ key }) => ({ key, value: null })));
    await to.write(await from.range({}));
    await from.close();
    await to.close();
  }

  it('is rebuilt when two tasks have each other’s folders', async () => {
    await firstRun();
    await copy(await disk.open('0_0'), await disk.open('spare'));
    await copy(await disk.open('0_1'), await disk.open('0_0'));
    await copy(await disk.open('spare'), await disk.open('0_1'));
    await secondRun();
    assert.deepEqual(log.rebuilds.sort(), [
      'the folder holds the state of ledger/0_0',
      'the folder holds the state of ledger/0_1',
    ]);
  });

  it('is rebuilt when the folder is another application’s', async () => {
    await firstRun();
    const others = new MemoryDisk();
    const names = { ...ledgerNames('x'), entries: bench.names.entries };
    for (const name of [names.balances, names.transfers, names.reminders])
      await bench.broker.admin.createTopics([{ name, partitions: bench.partitions }]);
    const topology = ledgerTopology(names);
    const stranger = bench.instance({ open: others.open, topology, settings: { applicationId: 'other' } });
    await stranger.start();
    await eventually(() => stranger.ready && stranger.status().recordsProcessed >= 1_000, {
      what: 'the other application to have state',
    });
    await stranger.stop();
    await copy(await others.open('0_0'), await disk.open('0_0'));
    await secondRun();
    assert.deepEqual(log.rebuilds, ['the folder holds the state of other/0_0']);
  });

  it('is rebuilt when it has entries and nothing says from where', async () => {
    await firstRun();
    const folder = await disk.open('0_0');
    const meta = await folder.range({ to: Buffer.from([1]) });
    await folder.write(meta.map(({ key }) => ({ key, value: null })));
    await folder.close();
    await secondRun();
    assert.deepEqual(log.rebuilds, [
      `store ${accountsStore} has entries that no position of ${accountsChangelog} explains`,
    ]);
  });

  it('is rebuilt when its position is ahead of the changelog', async () => {
    await firstRun();
    const state = new TaskState(await disk.open('1_1'), [totalsStore], 1);
    const topic = 'ledger-totals-changelog';
    await state.applyChangelog(totalsStore, [], new Map([[`changelog/${topic}`, '1000000']]));
    await state.close();
    await secondRun();
    const [reason = ''] = log.rebuilds;
    assert.match(reason, /^ledger-totals-changelog: position 1000000 lies beyond the end \d+$/);
  });

  it('keeps, when a restore is cut off, what the next one needs to know of it', async () => {
    await firstRun();
    disk = new MemoryDisk();
    let polls = 0;
    const broker = withPolls(bench.broker, (consumer, how, clientId) => {
      if (!clientId.includes('restore')) return consumer.poll(how);
      if (++polls > 3) return Promise.reject(new StreamsError('BROKER_UNAVAILABLE', 'cut off (injected)'));
      return consumer.poll({ ...how, recordsMax: 5 });
    });
    const app = await bench.start({ open: disk.open, broker, telemetry: log.telemetry });
    await eventually(() => polls > 20, { what: 'the restore to be cut off' });
    await app.stop();
    const plan = await bench.plan();
    let cutOff = 0;
    for (const { taskId, stores } of plan.tasks) {
      const state = new TaskState(
        await disk.open(taskId),
        stores.map(({ spec }) => spec.name),
        1,
      );
      for (const { changelog } of stores) {
        const names = ['changelog', 'changelog-id', 'changelog-at'].map((name) => `${name}/${changelog}`);
        const [position, id, at, origin] = await state.readMeta([...names, 'origin']);
        if (position === undefined) continue;
        cutOff++;
        assert.equal(origin, `ledger/${taskId}`);
        assert.ok(id !== undefined, 'a topic that is created anew meanwhile would not be noticed');
        assert.ok(at !== undefined, 'the position would never be too old');
      }
      await state.close();
    }
    assert.ok(cutOff > 0, 'a restore was cut off');
    await secondRun();
    assert.deepEqual(log.rebuilds, []);
  });
});
