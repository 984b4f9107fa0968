/**
 * F6 and F7: an instance that is stopped inside a transaction until others own its tasks, and one that is
 * started twice under the same names. Goal: nothing that they write late is ever seen, and they recover.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { eventually } from '../support/eventually.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';

describe('F6: a zombie', function () {
  this.timeout(240_000);
  let run: LedgerRun;
  afterEach(() => run?.close());

  it('that wakes inside a transaction when others own its tasks writes nothing, and works on', async () => {
    run = await LedgerRun.open({ brokers: testKafka(), seed: 606 });
    for (const name of ['w1', 'w2']) run.add(name);
    run.load.start(400);
    await run.ready();
    const zombie = run.worker('w1');
    const owned = (await zombie.status())?.tasks ?? [];
    assert.ok(owned.length > 0);
    // Its records are at the brokers, its offsets in the transaction, the commit is not asked for yet.
    zombie.hitAt('offsets', 'SIGSTOP');
    assert.ok(await zombie.hit('SIGSTOP', 20_000), 'it stopped inside a transaction');
    run.note('w1 stopped inside a transaction');
    const others = run.worker('w2');
    await eventually(async () => (await others.status())?.tasks.length === 2 * run.partitions, {
      timeoutMs: 90_000,
      what: 'the other instance to own all tasks',
    });
    const before = (await others.status())?.recordsProcessed ?? 0;
    await eventually(async () => ((await others.status())?.recordsProcessed ?? 0) > before + 500, {
      timeoutMs: 60_000,
      what: 'the other instance to go on with them',
    });
    zombie.goOn();
    run.note('w1 continues');
    // At first it believes that it owns what it owned; then each task has one owner, and it has its share.
    await run.ready(90_000);
    await eventually(async () => ((await zombie.status())?.tasks.length ?? 0) > 0, {
      timeoutMs: 60_000,
      what: 'the zombie to get tasks again, by itself',
    });
    const verdict = await run.finish();
    run.assertClean(verdict);
    assert.ok(verdict.aborted > 0, 'its transaction was aborted');
    assert.deepEqual(run.ownEndings, [], 'it recovered without ending');
  });

  // A position that was read after the commit, and after others had written, once made it skip their records.
  it('that stops between a commit and its store takes its tasks back with all that others wrote', async () => {
    // So many accounts that hardly any comes again: what is lost is not made good by its next entry.
    run = await LedgerRun.open({ brokers: testKafka(), seed: 607, accounts: 1_000_000 });
    run.add('w1');
    run.load.start(300);
    await run.ready();
    const zombie = run.worker('w1');
    // More than a second of commits, so that the next one has a new changelog position to store.
    const early = (await zombie.status())?.recordsProcessed ?? 0;
    await eventually(async () => ((await zombie.status())?.recordsProcessed ?? 0) > early + 1_000, {
      timeoutMs: 60_000,
      what: 'some load',
    });
    zombie.hitAt('committed', 'SIGSTOP');
    assert.ok(await zombie.hit('SIGSTOP', 20_000), 'it stopped after a commit');
    run.note('w1 stopped after a commit');
    const other = run.add('w2');
    await eventually(async () => ((await other.status())?.recordsProcessed ?? 0) > 1_000, {
      timeoutMs: 90_000,
      what: 'the other instance to work in its place',
    });
    zombie.goOn();
    run.note('w1 continues');
    await run.ready(90_000);
    await run.remove('w2');
    await run.ready(90_000);
    const verdict = await run.finish();
    run.assertClean(verdict);
  });
});
