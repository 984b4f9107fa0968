/**
 * Generated orders with the trouble of real ones, through the pure machines as a replay would send them: in event
 * order behind a watermark, and fully shuffled with repeats. No broker; the replay itself has its own tests.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { agrees, expectedPhase, refusedForStock } from '../../topology/olist/expected-outcome.ts';
import { writeOlistFolder } from '../../topology/olist/generator.ts';
import type { ReplayEvent } from '../../topology/olist/olist-events.ts';
import { type OlistOrder, readOlistOrders } from '../../topology/olist/olist-orders.ts';
import { openingStock } from '../../topology/olist/opening-stock.ts';
import { planReplay } from '../../topology/olist/replay-plan.ts';
import type { OrderEvent } from '../../topology/order/events.ts';
import type { OrderState } from '../../topology/order/state.ts';
import { decideTracking, type TrackingState } from '../../topology/tracking/decide-tracking.ts';
import { MiniShop } from './support/mini-shop.ts';

/** Routes a replay's records to the machines as the wiring does. */
class Replayed {
  readonly shop = new MiniShop({ strict: false });
  readonly #parcels = new Map<string, TrackingState>();

  take({ value }: ReplayEvent): void {
    if (value.type === 'StockReceived') {
      this.shop.receive(value.sku, value.quantity);
      return;
    }
    if (value.type === 'TrackingScanned' || value.type === 'ShipmentDispatched') {
      const decision = decideTracking(this.#parcels.get(value.trackingNumber), value);
      this.#parcels.set(value.trackingNumber, decision.state);
      for (const update of decision.updates) this.shop.deliver(update);
    }
    if (value.type !== 'TrackingScanned') this.shop.deliver(value as OrderEvent);
  }
}

function replay(orders: readonly OlistOrder[], shuffleSeed: number | undefined): MiniShop {
  const duplicate = shuffleSeed === undefined ? 0 : 0.2;
  const plan = planReplay(orders, openingStock(orders, 0), { shuffleSeed, duplicate, batchEventsMax: 500 });
  const replayed = new Replayed();
  for (const step of plan.steps) {
    if (step.kind === 'barrier') replayed.shop.advance(step.watermarkMs);
    else if (step.kind === 'send') {
      for (const event of plan.events.slice(step.from, step.to)) replayed.take(event);
    }
  }
  return replayed.shop;
}

function reached(state: OrderState | undefined) {
  const dispatched = state?.shipments.some((shipment) => shipment.dispatchedAt !== null) ?? false;
  return { phase: state?.phase ?? 'NOT_THERE', dispatched };
}

describe('generated orders through the pure machines', () => {
  let folder: string;
  let orders: readonly OlistOrder[];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'orders-'));
    await writeOlistFolder(folder, { orders: 1_500, seed: 11 });
    orders = await readOlistOrders(folder);
  });
  after(() => rm(folder, { recursive: true }));

  it('end in event order where the tables say they must, with no command doubled', () => {
    const shop = replay(orders, undefined);
    const refused = refusedForStock(orders, openingStock(orders, 0));
    const wrong = orders.filter((order) => {
      const { phase, dispatched } = reached(shop.orders.get(order.orderId));
      const expected = expectedPhase(order, refused.has(order.orderId));
      const same = phase === expected.phase || (phase === 'CLOSED' && expected.phase === 'DELIVERED');
      return !same || dispatched !== expected.dispatched;
    });
    assert.deepEqual(
      wrong.map(({ orderId, status }) => [orderId, status, reached(shop.orders.get(orderId)).phase]),
      [],
    );
    assert.equal(shop.doubled, 0);
  });

  for (const seed of [1, 2, 3]) {
    it(`end shuffled and repeated (seed ${seed}) as recorded, but for what cannot, with no command doubled`, () => {
      const shop = replay(orders, seed);
      const refused = refusedForStock(orders, openingStock(orders, 0));
      // The watermark stands still until all is sent: a late payment still counts, and a cancel is never too late.
      const wrong = orders.filter((order) => {
        const { orderId, status } = order;
        const inOrder = expectedPhase(order, refused.has(orderId));
        return agrees(status, inOrder) && !agrees(status, reached(shop.orders.get(orderId)));
      });
      assert.ok(wrong.length <= orders.length * 0.002, `${wrong.length} of ${orders.length}`);
      assert.equal(shop.doubled, 0);
    });
  }
});
