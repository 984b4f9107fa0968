/** The shop in a simulated cluster under a few fixed seeds; many more are run by `npm run simulate`. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { simulateShop } from './shop-simulation.ts';

describe('the simulated shop', () => {
  for (const seed of [1, 2, 3]) {
    it(`ends every order, with its goods and its money, whatever seed ${seed} breaks`, async () => {
      const report = await simulateShop(seed);
      assert.deepEqual(report.violations, [], `simulateShop(${seed}): ${report.faults.join(', ')}`);
      assert.ok(report.faults.length >= 5, `only ${report.faults.length} faults struck`);
      assert.ok(report.records >= 2_000, `only ${report.records} records`);
      assert.ok((report.phases.CLOSED ?? 0) >= 20, JSON.stringify(report.phases));
      assert.ok((report.phases.CANCELLED ?? 0) >= 1, JSON.stringify(report.phases));
    });
  }

  it('goes the same way twice under one seed, and another way under another', async () => {
    const digests: string[] = [];
    for (const seed of [7, 7, 8]) digests.push((await simulateShop(seed, { orders: 20 })).digest);
    const [first, again, other] = digests;
    assert.equal(again, first);
    assert.notEqual(other, first);
  });
});
