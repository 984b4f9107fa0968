/** The orders of an Olist folder on the embedded broker: in event order, shuffled with repeats, and oversold. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { explainOlist } from '../support/cli.ts';
import { olistFolder } from '../support/olist-folder.ts';
import { assertSound, replay } from '../support/replay.ts';

const minutes = 60_000;

describe('a replay on the embedded broker', () => {
  it('reaches what the company recorded, and explains exactly the rest', async function () {
    this.timeout(10 * minutes);
    const { path } = await olistFolder();
    const summary = await replay(['--olist', path]);
    assertSound(summary);
    assert.equal(summary.input, 'olist');
    assert.equal(summary.broker, 'embedded');
    const explained = await explainOlist([path]);
    assert.equal(summary.orders, explained.orders);
    const found = Object.fromEntries(summary.mismatches.map(({ orderId, why }) => [orderId, why]));
    assert.deepEqual(found, explained.mismatches);
    assert.deepEqual(summary.refusedForStock, explained.refused);
    const counted = Object.values(summary.phases).reduce((sum, count) => sum + count, 0);
    assert.equal(counted, summary.orders, 'every order has a phase');
  });

  for (const seed of [1, 2, 3, 4, 5]) {
    it(`reaches it in the random order of seed ${seed}, with every fifth event repeated`, async function () {
      this.timeout(10 * minutes);
      const { path } = await olistFolder();
      const summary = await replay(['--olist', path, '--shuffle', String(seed), '--duplicate', '0.2']);
      assertSound(summary);
      const { mismatches } = await explainOlist([path]);
      for (const { orderId, why } of summary.mismatches) assert.equal(why, mismatches[orderId]);
    });
  }

  it('refuses exactly the orders that a fold of the tables predicts when it is oversold', async function () {
    this.timeout(10 * minutes);
    const { path } = await olistFolder();
    const summary = await replay(['--olist', path, '--oversell', '0.1']);
    const explained = await explainOlist([path, '--oversell', '0.1']);
    assert.ok(explained.refused.length > 50, 'the stock is short indeed');
    assert.deepEqual(summary.refusedForStock, explained.refused);
    const found = Object.fromEntries(summary.mismatches.map(({ orderId, why }) => [orderId, why]));
    assert.deepEqual(found, explained.mismatches);
    assert.equal(summary.duplicateCommands, 0);
  });

  it('keeps event order with repeats, and sends no command for them', async function () {
    this.timeout(5 * minutes);
    const { path } = await olistFolder();
    const once = await replay(['--olist', path, '--orders', '800']);
    const repeated = await replay(['--olist', path, '--orders', '800', '--duplicate', '0.3']);
    assert.ok(repeated.events > once.events);
    assert.deepEqual(repeated.commands, once.commands);
    assert.deepEqual(repeated.phases, once.phases);
    assert.equal(repeated.duplicateCommands, 0);
  });
});
