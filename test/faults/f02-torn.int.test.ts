/**
 * F2: requests of transactions that arrive late, twice or never, on a running topology. Goal: no transaction
 * is ever half committed, and the checkers would say so if one were.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { testKafka } from '../support/kafka.ts';
import { TornRun, tornKinds } from '../support/torn-transactions.ts';

describe('F2: requests of transactions that are repeated unseen', function () {
  this.timeout(240_000);
  let torn: TornRun;
  afterEach(() => torn?.close());

  it('tear nothing, whichever request it is', async () => {
    torn = await TornRun.open({ brokers: testKafka(), seed: 202, guard: true });
    for (let round = 0; round < 4; round++) for (const kind of tornKinds) await torn.inject(kind);
    const verdict = await torn.run.finish();
    torn.run.assertClean(verdict);
    for (const [kind, { injected, repeated }] of torn.tally) {
      assert.equal(injected, 4, kind);
      assert.ok(repeated > 0, `${kind} was never repeated\n${torn.run.story}`);
    }
    assert.ok(
      [...torn.tally.values()].some(({ released }) => released > 0),
      torn.run.story,
    );
  });

  it('tear a transaction when the guard is switched off, and the checkers see it', async () => {
    torn = await TornRun.open({ brokers: testKafka(), seed: 203, guard: false });
    for (let attempt = 0; attempt < 6; attempt++) await torn.inject('EndTxn', 'hold');
    assert.ok((torn.tally.get('EndTxn')?.released ?? 0) > 0, torn.run.story);
    const verdict = await torn.run.finish();
    assert.ok(verdict.violations.length > 0, `nothing was torn\n  ${torn.run.story}`);
  });
});
