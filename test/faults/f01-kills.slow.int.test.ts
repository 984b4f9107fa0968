/** F1 and F6 at length: thirty kills and ten zombies over three instances. Taken by `npm run faults`. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { FaultSchedule } from '../support/fault-schedule.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';

describe('F1 and F6, at length: kills and zombies under load', function () {
  this.timeout(30 * 60_000);
  let run: LedgerRun;
  afterEach(() => run?.close());

  it('lose and double nothing: thirty kills, ten zombies, three instances', async () => {
    const seed = 111;
    run = await LedgerRun.open({ brokers: testKafka(), seed });
    for (const name of ['w1', 'w2', 'w3']) run.add(name, { isStatic: name === 'w3' });
    run.load.start(400);
    await run.ready();
    const schedule = new FaultSchedule(run, seededRandom(seed));
    await schedule.play({ kills: 30, zombies: 10 });
    const verdict = await run.finish();
    console.log(
      `      ${verdict.entries} entries, ${verdict.aborted} aborted, ${JSON.stringify(schedule.tally)}`,
    );
    run.assertClean(verdict);
    assert.equal(schedule.tally.kills, 30);
    assert.equal(schedule.tally.zombies, 10);
    assert.ok(schedule.tally.killsAtPoints > 0 && schedule.tally.zombiesReplaced > 0, run.story);
    assert.ok(verdict.aborted > 0, 'the faults left aborted records behind');
    assert.deepEqual(run.ownEndings, [], `no worker ended by itself\n  ${run.story}`);
  });
});
