/** F2 at length: fifty faults of each kind of request, on one running worker. Taken by `npm run faults`. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { testKafka } from '../support/kafka.ts';
import { TornRun, tornKinds } from '../support/torn-transactions.ts';

const perKind = 50;

describe('F2, at length: requests of transactions that are repeated unseen', function () {
  this.timeout(30 * 60_000);
  let torn: TornRun;
  afterEach(() => torn?.close());

  it(`tear nothing in ${perKind} faults of each kind of request`, async () => {
    torn = await TornRun.open({ brokers: testKafka(), seed: 212, guard: true });
    for (let round = 0; round < perKind; round++) for (const kind of tornKinds) await torn.inject(kind);
    const verdict = await torn.run.finish();
    console.log(
      `      ${verdict.entries} entries, ${verdict.aborted} records aborted; injected, repeated, released late:`,
    );
    for (const [kind, tally] of torn.tally) console.log(`      ${kind}: ${Object.values(tally).join(', ')}`);
    torn.run.assertClean(verdict);
    for (const [kind, { injected, repeated, released }] of torn.tally) {
      assert.equal(injected, perKind, kind);
      assert.ok(repeated >= perKind * 0.8, `${kind}: ${repeated} repeated`);
      assert.ok(released > 0, `${kind}: none was released late`);
    }
  });
});
