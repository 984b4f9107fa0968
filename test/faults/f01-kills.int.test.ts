/**
 * F1: kill -9 of workers under load, at random moments and at named points of a commit, with and without
 * their volume. Goal: nothing lost, doubled or reordered, and state = changelog = fold.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { FaultSchedule } from '../support/fault-schedule.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';

describe('F1: kill -9 under load', function () {
  this.timeout(240_000);
  let run: LedgerRun;
  afterEach(() => run?.close());

  it('loses and doubles nothing when three instances are killed five times', async () => {
    const seed = 101;
    run = await LedgerRun.open({ brokers: testKafka(), seed });
    for (const name of ['w1', 'w2', 'w3']) run.add(name, { isStatic: name === 'w3' });
    run.load.start(400);
    await run.ready();
    const schedule = new FaultSchedule(run, seededRandom(seed));
    // With its records at the brokers and its offsets in the transaction, so that there is something to abort.
    await schedule.killAt('w1', 'offsets');
    await schedule.play({ kills: 4 });
    const verdict = await run.finish();
    run.assertClean(verdict);
    assert.equal(schedule.tally.kills, 5);
    assert.ok(verdict.aborted > 0, 'the kills left aborted records behind');
    assert.deepEqual(run.ownEndings, [], 'no worker ended by itself');
  });
});
