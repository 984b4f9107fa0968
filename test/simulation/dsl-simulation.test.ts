/**
 * Programs of the DSL in the simulated cluster: fixed seeds of every family, and that a seed says all. What the
 * workload cannot catch is a matter of mutants.test.ts; many seeds are one of `npm run simulate -- --workload dsl`.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { familyNames, simulateDsl } from './dsl-simulation.ts';

const seedsOfEach = 5;

describe('a simulated program of the DSL', function () {
  this.timeout(120_000);

  for (const [first, family] of familyNames.entries()) {
    it(`gives what an undisturbed one gives, in ${seedsOfEach} seeds of ${family}`, async () => {
      let outputs = 0;
      for (let i = 0; i < seedsOfEach; i++) {
        const seed = first + i * familyNames.length;
        const report = await simulateDsl(seed);
        const replay = `npm run simulate -- --seed ${seed} --workload dsl`;
        assert.equal(report.family, family);
        assert.deepEqual(report.violations, [], `seed ${seed}, replay it with: ${replay}`);
        assert.ok(report.faults.length >= 5, `only ${report.faults.length} faults struck in seed ${seed}`);
        outputs += report.outputs;
      }
      assert.ok(outputs >= 100, `only ${outputs} records came out`);
    });
  }

  it('is the same, line by line, for the same seed', async () => {
    const [once, again, other] = [
      await simulateDsl(7, { keepLog: true }),
      await simulateDsl(7, { keepLog: true }),
      await simulateDsl(7 + familyNames.length, { keepLog: true }),
    ];
    assert.ok(once.log.length > 20);
    assert.deepEqual(again.log, once.log);
    assert.equal(again.digest, once.digest);
    assert.notEqual(other.digest, once.digest);
  });
});
