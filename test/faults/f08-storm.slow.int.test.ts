/**
 * F8: a storm of rebalances: two to six instances, static and dynamic, join and leave every two to five
 * seconds, some of them by kill -9. Taken by `npm run faults`.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';

const instances = ['w1', 'w2', 'w3', 'w4', 'w5', 'w6'];
const changes = 30;

describe('F8: a storm of rebalances', function () {
  this.timeout(30 * 60_000);
  let run: LedgerRun;
  afterEach(() => run?.close());

  for (const groupProtocol of ['consumer', 'classic'] as const) {
    it(`loses and doubles nothing (${groupProtocol} group protocol)`, async () => {
      const random = seededRandom(groupProtocol === 'classic' ? 809 : 808);
      run = await LedgerRun.open({ brokers: testKafka(), seed: 808, groupProtocol, restMs: 180_000 });
      const up = new Set<string>();
      const join = (name: string) => {
        if (run.slots.includes(name)) run.restart(name);
        else run.add(name, { isStatic: Number(name.slice(1)) % 2 === 0 });
        up.add(name);
      };
      for (const name of instances.slice(0, 3)) join(name);
      run.load.start(300);
      await run.ready();
      let kills = 0;
      for (let change = 0; change < changes; change++) {
        await wallClock.sleep(2_000 + random.integer(3_000));
        const down = instances.filter((name) => !up.has(name));
        const mayJoin = up.size < instances.length;
        if (up.size <= 2 || (mayJoin && random.next() < 0.5)) {
          join(down[random.integer(down.length)] as string);
          continue;
        }
        const name = [...up][random.integer(up.size)] as string;
        up.delete(name);
        if (random.next() < 0.3) {
          kills++;
          run.note(`kill -9 ${name}`);
          await run.kill(name);
        } else await run.remove(name);
      }
      const verdict = await run.finish();
      console.log(`      ${changes} joins and leaves, ${kills} by kill -9; ${verdict.entries} entries`);
      run.assertClean(verdict);
      assert.ok(kills > 0, 'some left by kill -9');
      assert.deepEqual(run.ownEndings, [], run.story);
    });
  }
});
