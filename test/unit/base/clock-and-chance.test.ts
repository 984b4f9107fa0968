import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import { seededRandom, shuffled } from '../../../src/base/seeded-random.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';

/** Lets what a clock woke run. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('ManualClock', () => {
  it('stands still until it is advanced', () => {
    const clock = new ManualClock(1000);
    assert.equal(clock.nowMs(), 1000);
    clock.advance(250);
    assert.equal(clock.nowMs(), 1250);
    assert.equal(clock.monotonicMs(), 1250);
  });

  it('wakes sleepers when their time has come, in the order of it', async () => {
    const clock = new ManualClock();
    const woken: string[] = [];
    void clock.sleep(20).then(() => woken.push('20'));
    void clock.sleep(10).then(() => woken.push('10'));
    void clock.sleep(30).then(() => woken.push('30'));
    clock.advance(9);
    await turn();
    assert.deepEqual(woken, []);
    clock.advance(11);
    await turn();
    assert.deepEqual(woken, ['10', '20']);
    clock.advance(100);
    await turn();
    assert.deepEqual(woken, ['10', '20', '30']);
  });

  it('ends a sleep at once for an aborted signal, and does not wake it twice', async () => {
    const clock = new ManualClock();
    const stopping = new AbortController();
    let woken = 0;
    void clock.sleep(10, stopping.signal).then(() => {
      woken += 1;
    });
    stopping.abort();
    await turn();
    assert.equal(woken, 1);
    clock.advance(10);
    await turn();
    assert.equal(woken, 1);
    await clock.sleep(10, stopping.signal);
    await clock.sleep(0);
  });
});

describe('wallClock', () => {
  it('sleeps at least as long as asked, less when it is aborted, and never goes back', async () => {
    const before = wallClock.monotonicMs();
    await wallClock.sleep(15);
    // Timers are whole milliseconds of another clock: one may be missing.
    assert.ok(wallClock.monotonicMs() - before >= 14);
    const stopping = new AbortController();
    const long = wallClock.sleep(60_000, stopping.signal);
    stopping.abort();
    await long;
    await wallClock.sleep(60_000, stopping.signal);
    await wallClock.yield();
    assert.ok(wallClock.monotonicMs() >= before);
    assert.ok(Math.abs(wallClock.nowMs() - Date.now()) < 1000);
  });
});

describe('seededRandom', () => {
  it('gives the same numbers for the same seed and others for another', () => {
    const take = (seed: number) => Array.from({ length: 5 }, () => 0).map(seededRandom(seed).next);
    assert.deepEqual(take(42), take(42));
    assert.notDeepEqual(take(42), take(43));
    // The generator's published sequence. Fixed for ever: failing seeds must stay what they were.
    const random = seededRandom(1);
    assert.deepEqual(
      [1000, 1000, 1000, 1000].map((end) => random.integer(end)),
      [627, 2, 527, 981],
    );
  });

  it('stays in its bounds and reaches every part of them', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 20 }), (seed, end) => {
        const random = seededRandom(seed);
        const seen = new Set<number>();
        for (let i = 0; i < 1000; i += 1) {
          const value = random.next();
          assert.ok(value >= 0 && value < 1);
          const n = random.integer(end);
          assert.ok(Number.isInteger(n) && n >= 0 && n < end);
          seen.add(n);
        }
        assert.equal(seen.size, end);
      }),
      { numRuns: 50 },
    );
  });

  it('shuffles into the same items in an order that the seed decides, leaving the input alone', () => {
    fc.assert(
      fc.property(fc.array(fc.nat()), fc.integer(), (items, seed) => {
        const before = [...items];
        const one = shuffled(items, seededRandom(seed));
        assert.deepEqual(items, before);
        assert.deepEqual(one, shuffled(items, seededRandom(seed)));
        assert.deepEqual([...one].sort(), [...items].sort());
      }),
    );
  });
});
