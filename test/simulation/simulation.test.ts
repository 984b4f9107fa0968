/**
 * The ledger in the simulated cluster: fixed seeds, a few that nobody has seen before, and that a seed says all.
 * What the simulator cannot catch is a matter of mutants.test.ts; many seeds are one of `npm run simulate`.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { simulateLedger } from './ledger-simulation.ts';

const fixedSeeds = 60;
const freshSeeds = 20;

/** How many faults struck. */
async function expectNoViolation(seed: number): Promise<number> {
  const report = await simulateLedger(seed);
  const replay = `npm run simulate -- --seed ${seed}`;
  assert.deepEqual(report.violations, [], `seed ${seed}, replay it with: ${replay}`);
  assert.ok(report.inputs >= 2_000);
  return report.faults.length;
}

describe('a simulated cluster', function () {
  this.timeout(240_000);

  it(`loses and doubles nothing in ${fixedSeeds} seeds`, async () => {
    for (let seed = 1; seed <= fixedSeeds; seed++) {
      const faults = await expectNoViolation(seed);
      assert.ok(faults >= 5, `only ${faults} faults struck in seed ${seed}`);
    }
  });

  it(`loses and doubles nothing in ${freshSeeds} seeds that are new each time`, async () => {
    for (let i = 0; i < freshSeeds; i++) {
      const faults = await expectNoViolation(randomInt(1_000_000, 2 ** 31));
      assert.ok(faults >= 5, `only ${faults} faults struck in a fresh seed`);
    }
  });

  it('is the same, line by line, for the same seed', async () => {
    const [once, again, other] = [
      await simulateLedger(7, { keepLog: true }),
      await simulateLedger(7, { keepLog: true }),
      await simulateLedger(8, { keepLog: true }),
    ];
    assert.ok(once.log.length > 20);
    assert.deepEqual(again.log, once.log);
    assert.equal(again.digest, once.digest);
    assert.notEqual(other.digest, once.digest);
  });

  // What the first thousand seeds found: an instance that stood still after its commit took the new owner's
  // changelog records for its own.
  for (const seed of [432, 561]) {
    it(`holds for seed ${seed}, which found a defect once`, async () => {
      await expectNoViolation(seed);
    });
  }
});
