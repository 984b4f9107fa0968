/**
 * F1 with much state: an instance with more than 100,000 keys on its volume is killed. Goal: its restart
 * replays what was committed since the last proven position and not the changelogs. `npm run faults`.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { wallClock } from '../../src/base/wall-clock.ts';
import { eventually } from '../support/eventually.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { accountsStore, totalsStore } from '../support/ledger-topology.ts';
import { partitionsOf } from '../support/topic-records.ts';

describe('F1: kill -9 of an instance with 100,000 keys on its volume', function () {
  this.timeout(20 * 60_000);
  let run: LedgerRun;
  afterEach(() => run?.close());

  it('replays only the gap when it starts again', async () => {
    // So many accounts that hardly any comes twice: each entry is two keys.
    run = await LedgerRun.open({ brokers: testKafka(), seed: 121, accounts: 20_000_000, restMs: 300_000 });
    run.add('w1');
    await run.load.write(120_000);
    await run.ready();
    await run.rest(300_000);
    const changelogs = [accountsStore, totalsStore].flatMap((store) =>
      partitionsOf(`${run.applicationId}-${store}-changelog`, run.partitions),
    );
    run.load.start(300);
    const worker = run.worker('w1');
    const atStart = (await worker.status())?.recordsProcessed ?? 0;
    await eventually(async () => ((await worker.status())?.recordsProcessed ?? 0) > atStart + 2_000, {
      timeoutMs: 60_000,
      what: 'some seconds of load',
    });
    worker.hitAt('committing', 'SIGKILL');
    run.expectEnd('w1');
    assert.ok(await worker.hit('SIGKILL', 20_000), 'it died in a commit');
    run.note('kill -9 w1');
    const total = (await run.broker.admin.endOffsets(changelogs, 'read_uncommitted')).reduce(
      (sum, end) => sum + end,
      0,
    );
    const began = wallClock.monotonicMs();
    const again = run.restart('w1');
    await eventually(async () => (await again.status())?.tasks.length === 2 * run.partitions, {
      timeoutMs: 120_000,
      what: 'all tasks to run again',
    });
    const seconds = (wallClock.monotonicMs() - began) / 1000;
    const restored = (await again.status())?.restored ?? Number.NaN;
    console.log(
      `      ${restored} of ${total} changelog records replayed; all tasks ran ${seconds.toFixed(1)} s after the start, the dead member's session of 6 s included`,
    );
    assert.ok(total > 200_000, `the changelogs hold ${total} records`);
    assert.ok(restored < total / 20, `${restored} of ${total} were replayed`);
    await run.load.stop();
    const verdict = await run.finish();
    run.assertClean(verdict);
  });
});
