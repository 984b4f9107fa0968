/**
 * F11: the input says things twice, late and out of order, and an old segment of it is played again. Each order ends
 * as if everything had been said once: no command twice, money and goods as they were. Method: the shop as it is
 * wired with willing participants; what they have said is collected and sent again.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { seededRandom, shuffled } from '../../src/base/seeded-random.ts';
import { stockStore } from '../../topology/inventory/stock-processor.ts';
import type { StockState } from '../../topology/inventory/stock-state.ts';
import { noFaults } from '../../topology/participants/faults.ts';
import { demoDelays, type ParticipantOptions } from '../../topology/participants/plan.ts';
import type { TopicName } from '../../topology/topics.ts';
import { orderId, placed, placedMs } from '../topology/support/order-events.ts';
import { headerOf, WiredShop, type Written } from '../topology/support/wired-shop.ts';

const said: readonly TopicName[] = ['payment.events', 'shipment.events', 'tracking.scans'];
const asked = [
  'payment.commands',
  'inventory.commands',
  'shipment.commands',
  'notification.commands',
] as const;
const skus = ['sku-l1', 'sku-l2'];

function willing(seed: number): ParticipantOptions {
  return { mode: 'shop', seed, faults: noFaults, delays: demoDelays };
}

describe('F11: an input that repeats itself', () => {
  let shop: WiredShop;
  afterEach(() => shop?.close());

  const purchase = placed();

  async function open(seed: number): Promise<void> {
    shop = await WiredShop.open({ profile: 'demo', participants: willing(seed) });
    for (const sku of skus) {
      const received = { type: 'StockReceived', eventId: `opening-${sku}`, occurredAt: placedMs } as const;
      await shop.send('inventory.events', sku, {
        ...received,
        sourceSeq: null,
        sku,
        locationId: null,
        quantity: 9,
      });
    }
  }

  async function outcome(): Promise<object> {
    const order = await shop.order(orderId);
    const stock = await Promise.all(skus.map((sku) => shop.stored<StockState>(stockStore, sku)));
    return {
      phase: order?.phase,
      payments: order?.payments,
      stock: stock.map((state) => [state?.onHand, state?.reserved, state?.allocated]),
    };
  }

  const commands = () =>
    asked.flatMap((topic) => shop.read(topic).map((record) => headerOf(record, 'ce_id')));

  /** Everything that was said about the order, once, to its end. */
  async function live(): Promise<{ topic: TopicName; record: Written<unknown> }[]> {
    await shop.send('purchase.events', orderId, purchase);
    for (let second = 0; second < 40; second++) await shop.advance(1_000);
    return said.flatMap((topic) => shop.read(topic).map((record) => ({ topic, record })));
  }

  for (const seed of [1, 2, 3]) {
    it(`changes nothing, and asks for nothing again (seed ${seed})`, async () => {
      await open(seed);
      const events = await live();
      const before = await outcome();
      const first = commands();
      assert.ok(events.length > 5 && first.length > 5, 'the order has lived');
      assert.equal(new Set(first).size, first.length, 'no command twice');
      let repeated = 0;
      const again = async (list: typeof events) => {
        await shop.send('purchase.events', orderId, purchase);
        for (const { topic, record } of list) {
          await shop.send(topic, record.key, record.value as never, record.timestamp);
          repeated++;
        }
      };
      // The old segment as it was, then all of it out of order, then each twice.
      await again(events);
      await again(shuffled(events, seededRandom(seed)));
      await again([...events].reverse().flatMap((event) => [event, event]));
      await shop.advance(1_000);
      assert.equal(repeated, events.length * 4, 'everything was said again');
      assert.deepEqual(await outcome(), before);
      assert.deepEqual(
        commands().filter((id) => first.includes(id)),
        [],
        'no command goes out again',
      );
    });
  }
});
