/**
 * Goal: a strict join says of each record once and for good that it has no partner. Method: cases of the rule,
 * and random records against what a list of all accepted pairs says.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { JoinWindows } from '../../../src/dsl/options.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { Rig, strings } from './support.ts';

const pair = (left: string | null, right: string | null): string => `${left}+${right}`;
const tenMs: JoinWindows = { beforeMs: 10, afterMs: 10, graceMs: 5 };

async function strictJoin(how: 'left' | 'outer', windows: JoinWindows, idleMs = 100): Promise<Rig> {
  const builder = new StreamsBuilder();
  const [left, right] = [builder.stream('left', strings), builder.stream('right', strings)];
  const strict = { unmatched: 'strict', idleMs } as const;
  const joined =
    how === 'left'
      ? left.leftJoin(right, pair, windows, strict)
      : left.outerJoin(right, pair, windows, strict);
  joined.to('out', strings);
  return Rig.open(builder.build());
}

interface Arrival {
  readonly side: 'left' | 'right';
  readonly key: string;
  readonly value: string;
  readonly at: number;
}

/** All pairs among the records that were not later than the grace, and every other record alone; sorted. */
function finalResults(how: 'left' | 'outer', windows: JoinWindows, arrivals: readonly Arrival[]): string[] {
  let newestMs = -1;
  const accepted = arrivals.filter(({ at }) => {
    newestMs = Math.max(newestMs, at);
    return at >= newestMs - windows.graceMs;
  });
  const lefts = accepted.filter(({ side }) => side === 'left');
  const rights = accepted.filter(({ side }) => side === 'right');
  const joins = (l: Arrival, r: Arrival): boolean =>
    l.key === r.key && r.at >= l.at - windows.beforeMs && r.at <= l.at + windows.afterMs;
  const results = lefts.flatMap((l) =>
    rights.filter((r) => joins(l, r)).map((r) => `${l.key}=${l.value}+${r.value}@${Math.max(l.at, r.at)}`),
  );
  const lonelyLefts = lefts.filter((l) => !rights.some((r) => joins(l, r)));
  results.push(...lonelyLefts.map((l) => `${l.key}=${l.value}+null@${l.at}`));
  const lonelyRights = rights.filter((r) => how === 'outer' && !lefts.some((l) => joins(l, r)));
  results.push(...lonelyRights.map((r) => `${r.key}=null+${r.value}@${r.at}`));
  return results.sort();
}

describe('strict joins', () => {
  it('hold an unmatched record back until its window and grace are over, even one that came out of order', async () => {
    const rig = await strictJoin('left', tenMs);
    await rig.pipe('left', 'b', 'tick', 100);
    await rig.pipe('left', 'a', 'L', 96);
    await rig.pipe('right', 'c', 'tick', 111);
    assert.deepEqual(rig.read('out'), []);
    await rig.pipe('right', 'c', 'tick', 112);
    assert.deepEqual(rig.read('out'), ['a=L+null@96']);
    await rig.close();
  });

  it('join nothing with a record that has come out alone, and drop what is later than the grace', async () => {
    const rig = await strictJoin('outer', tenMs);
    await rig.pipe('left', 'a', 'L', 100);
    await rig.pipe('left', 'b', 'tick', 116);
    assert.deepEqual(rig.read('out'), ['a=L+null@100']);
    await rig.pipe('right', 'a', 'late', 110);
    await rig.pipe('right', 'a', 'in-time', 111);
    await rig.pipe('right', 'b', 'partner', 112);
    assert.deepEqual(rig.read('out'), ['b=tick+partner@116']);
    await rig.close();
  });

  it('go on with the wall clock when nothing comes, for as long as window and grace', async () => {
    const rig = await strictJoin('outer', { beforeMs: 1_000, afterMs: 2_000, graceMs: 500 });
    await rig.pipe('left', 'a', 'L', 10_000);
    await rig.pipe('right', 'b', 'R', 10_000);
    await rig.driver.advanceWallClock(1_400);
    assert.deepEqual(rig.read('out'), []);
    await rig.driver.advanceWallClock(400);
    assert.deepEqual(rig.read('out'), ['b=null+R@10000']);
    await rig.driver.advanceWallClock(1_000);
    assert.deepEqual(rig.read('out'), ['a=L+null@10000']);
    await rig.driver.advanceWallClock(1_000_000);
    assert.deepEqual(rig.read('out'), []);
    assert.equal(rig.driver.tasks()[0]?.nextWallTimerMs(), undefined);
    // The join's time has gone on, and stays there.
    await rig.pipe('right', 'a', 'late', 11_000);
    await rig.pipe('left', 'c', 'tick', 20_000);
    assert.deepEqual(rig.read('out'), []);
    await rig.close();
  });

  it('are not idle while records come, and a late timer proves nothing', async () => {
    const rig = await strictJoin('left', tenMs, 100);
    await rig.pipe('left', 'a', 'L', 1_000);
    for (let i = 0; i < 5; i++) {
      await rig.driver.advanceWallClock(60);
      await rig.pipe('right', 'b', 'other', 1_000);
    }
    assert.deepEqual(rig.read('out'), []);
    // An outage: the clock went on, the timer could not.
    rig.driver.clock.advance(10_000);
    await rig.driver.advanceWallClock(0);
    assert.deepEqual(rig.read('out'), []);
    await rig.driver.advanceWallClock(100);
    assert.deepEqual(rig.read('out'), ['a=L+null@1000']);
    await rig.close();
  });

  it('say of each record exactly once what it has or that it has nothing, for any windows and orders', async function () {
    this.timeout(60_000);
    const arrival = fc.record({
      side: fc.constantFrom<'left' | 'right'>('left', 'right'),
      key: fc.constantFrom('a', 'b', 'a\u0000'),
      stepMs: fc.integer({ min: -25, max: 12 }),
      idleMs: fc.constantFrom(0, 0, 0, 30),
    });
    const windows = fc.record({
      beforeMs: fc.integer({ min: -5, max: 20 }),
      afterMs: fc.integer({ min: 5, max: 20 }),
      graceMs: fc.constantFrom(0, 5, 20),
    });
    const how = fc.constantFrom<'left' | 'outer'>('left', 'outer');
    await fc.assert(
      fc.asyncProperty(how, windows, fc.array(arrival, { maxLength: 40 }), async (kind, bounds, steps) => {
        const rig = await strictJoin(kind, bounds, 50);
        const arrivals: Arrival[] = [];
        let newestMs = 100;
        for (const [index, { side, key, stepMs, idleMs }] of steps.entries()) {
          const at = Math.max(0, newestMs + stepMs);
          newestMs = Math.max(newestMs, at);
          arrivals.push({ side, key, value: `${index}`, at });
          await rig.pipe(side, key, `${index}`, at);
          // Too short to count as idle.
          await rig.driver.advanceWallClock(idleMs === 0 ? 0 : 20);
        }
        await rig.driver.advanceWallClock(10_000);
        assert.deepEqual(rig.read('out').sort(), finalResults(kind, bounds, arrivals));
        await rig.close();
      }),
      { seed: 20261121, numRuns: 200 },
    );
  });
});
