/**
 * Orders whose events come in any order, twice and between each other: the same final phase and, where causes allow
 * it, the same commands; nothing doubled, goods and money conserved after every single decision (mini-shop checks).
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { OrderEvent } from '../../topology/order/events.ts';
import type { OrderState } from '../../topology/order/state.ts';
import type { OrderLine, OrderPayment, OrderPlaced } from '../../topology/schema-types.ts';
import { MiniShop, type Participants, replayParticipants, willingParticipants } from './support/mini-shop.ts';

const orderId = 'o1';
const start = 1_500_000_000_000;
const hour = 3_600_000;
const endMs = start + 400 * 24 * hour;

/** What a random order is made of. */
interface Plan {
  readonly lines: readonly {
    readonly quantity: number;
    readonly priceMinor: number;
    readonly seller: number;
  }[];
  readonly shippingMinor: number;
  readonly payments: number;
  readonly splits: readonly number[];
  readonly boleto: boolean;
  readonly end: 'paid' | 'dispatched' | 'delivered';
  readonly inferred: boolean;
}

const plans: fc.Arbitrary<Plan> = fc.record({
  lines: fc.array(
    fc.record({
      quantity: fc.integer({ min: 1, max: 3 }),
      priceMinor: fc.integer({ min: 0, max: 9_999 }),
      seller: fc.integer({ min: 1, max: 3 }),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  shippingMinor: fc.integer({ min: 0, max: 2_000 }),
  payments: fc.integer({ min: 1, max: 3 }),
  splits: fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 2 }),
  boleto: fc.boolean(),
  end: fc.constantFrom('paid', 'dispatched', 'delivered'),
  inferred: fc.boolean(),
});

function linesOf(plan: Plan): OrderLine[] {
  return plan.lines.map(({ quantity, priceMinor, seller }, index) => ({
    lineId: `l${index}`,
    sku: `sku${index}`,
    quantity,
    unitPriceMinor: priceMinor,
    sellerId: `s${seller}`,
    locationId: null,
    shipByAt: null,
  }));
}

function totalOf(plan: Plan): number {
  return plan.lines.reduce((sum, line) => sum + line.quantity * line.priceMinor, 0) + plan.shippingMinor;
}

function paymentsOf(plan: Plan): OrderPayment[] {
  let left = totalOf(plan);
  return Array.from({ length: plan.payments }, (_, index) => {
    const last = index === plan.payments - 1;
    const amountMinor = last ? left : Math.floor(left * (plan.splits[index] ?? 0));
    left -= amountMinor;
    return { paymentId: `p${index}`, method: plan.boleto ? 'boleto' : 'card', amountMinor };
  });
}

function head(id: string, hours: number) {
  return { eventId: id, occurredAt: start + hours * hour, sourceSeq: null, orderId };
}

function placedOf(plan: Plan): OrderPlaced {
  return {
    type: 'OrderPlaced',
    ...head('placed', 0),
    tenantId: 't',
    customerId: 'c',
    currencyCode: 'BRL',
    totalMinor: totalOf(plan),
    shippingMinor: plan.shippingMinor,
    adjustmentMinor: 0,
    policy: 'ALL_OR_NOTHING',
    placedAt: start,
    promisedAt: null,
    lines: linesOf(plan),
    payments: paymentsOf(plan),
  };
}

function moneyEvents(plan: Plan): OrderEvent[] {
  return paymentsOf(plan).flatMap(({ paymentId, amountMinor, method }): OrderEvent[] => {
    const common = { commandId: null, paymentId, pspReference: null, amountMinor, currencyCode: 'BRL' };
    const paid: OrderEvent = {
      type: 'PaymentAuthorized',
      ...head(`auth-${paymentId}`, 5),
      ...common,
      expiresAt: null,
    };
    if (method !== 'boleto') return [paid];
    return [
      {
        type: 'PaymentActionRequired',
        ...head(`act-${paymentId}`, 1),
        ...common,
        kind: 'boleto',
        dueAt: null,
      },
      paid,
    ];
  });
}

function parcelEvents(plan: Plan): OrderEvent[] {
  if (plan.end === 'paid') return [];
  const lines = linesOf(plan);
  return [...new Set(lines.map(({ sellerId }) => sellerId as string))].flatMap(
    (sellerId, index): OrderEvent[] => {
      const shipmentId = `${orderId}:${sellerId}`;
      const trackingNumber = `T${sellerId}`;
      const dispatched: OrderEvent = {
        type: 'ShipmentDispatched',
        ...head(`disp-${sellerId}`, 30 + index),
        shipmentId,
        sellerId,
        carrierCode: 'post',
        trackingNumber,
        lines: lines
          .filter((line) => line.sellerId === sellerId)
          .map(({ lineId, quantity }) => ({ lineId, quantity })),
      };
      if (plan.end === 'dispatched') return [dispatched];
      const delivered: OrderEvent = {
        type: 'TrackingUpdated',
        ...head(`del-${sellerId}`, 100 + index),
        shipmentId,
        status: 'DELIVERED',
        rank: 100,
        trackingNumber,
      };
      return plan.inferred && index === 0 ? [delivered] : [dispatched, delivered];
    },
  );
}

interface Outcome {
  readonly state: OrderState;
  readonly commandIds: readonly string[];
  readonly asked: readonly string[];
}

function run(plan: Plan, events: readonly OrderEvent[], participants: Participants): Outcome {
  const shop = new MiniShop({ participants });
  for (const { sku, quantity } of linesOf(plan)) shop.receive(sku, quantity);
  for (const event of events) shop.deliver(event);
  shop.advance(endMs);
  assert.equal(shop.doubled, 0, 'no (command id, attempt) twice');
  const state = shop.orders.get(orderId) as OrderState;
  const commands = [...shop.commands.values()];
  // Whether money is asked for depends on whether it came by itself before the stock did (row 12a).
  const asking = new Set(['AuthorizePayment', 'ExtendReservation']);
  const about = commands.filter(
    ({ record, subject }) => !asking.has(record.type) && !subject.startsWith('payment_action'),
  );
  return {
    state,
    commandIds: about.map(({ record }) => record.commandId).sort(),
    asked: commands.map(({ record }) => record.type),
  };
}

/** Any order of the events with some of them twice. */
function disorder(events: readonly OrderEvent[]): fc.Arbitrary<OrderEvent[]> {
  return fc
    .subarray([...events])
    .chain((repeats) =>
      fc.shuffledSubarray([...events, ...repeats], { minLength: events.length + repeats.length }),
    );
}

describe('an order whose events come in any order', () => {
  it('reaches the same phase with the same commands, none doubled', () => {
    const cases = plans.chain((plan) => {
      const events = [placedOf(plan), ...moneyEvents(plan), ...parcelEvents(plan)];
      return disorder(events).map((shuffled) => ({ plan, events, shuffled }));
    });
    fc.assert(
      fc.property(cases, ({ plan, events, shuffled }) => {
        const inOrder = run(plan, events, replayParticipants);
        const mixed = run(plan, shuffled, replayParticipants);
        assert.equal(mixed.state.phase, inOrder.state.phase);
        assert.deepEqual(mixed.commandIds, inOrder.commandIds);
        assert.deepEqual(mixed.state.lines, inOrder.state.lines);
        assert.equal(mixed.state.inbox.length, 0);
        const expected = { paid: 'FULFILLING', dispatched: 'SHIPPED', delivered: 'CLOSED' }[plan.end];
        assert.equal(mixed.state.phase, expected);
      }),
      { numRuns: 300 },
    );
  });

  it('ends cancelled or shipped, never in between, when a cancel comes among them', () => {
    const cases = plans.chain((plan) => {
      const cancel: OrderEvent = {
        type: 'OrderCancelRequested',
        ...head('cancel', 6),
        reasonCode: 'changed_mind',
        requestedBy: 'customer',
        lineIds: null,
      };
      const events = [placedOf(plan), ...moneyEvents(plan), cancel, ...parcelEvents(plan)];
      return disorder(events).map((shuffled) => ({ plan, shuffled }));
    });
    fc.assert(
      fc.property(cases, ({ plan, shuffled }) => {
        const { state } = run(plan, shuffled, replayParticipants);
        // Event time moves once, at the end: the grace has not passed when the cancel comes.
        assert.equal(state.phase, 'CANCELLED');
        assert.equal(state.awaiting.length, 0);
        assert.equal(state.inbox.length, 0);
        for (const line of state.lines) assert.deepEqual([line.cancelled, line.reserved], [line.ordered, 0]);
        for (const payment of state.payments) assert.equal(payment.voidedMinor, payment.authorizedMinor);
      }),
      { numRuns: 300 },
    );
  });

  it('sends exactly the same commands when participants only answer what they are asked', () => {
    const cases = plans.chain((plan) => disorder(parcelEvents(plan)).map((parcels) => ({ plan, parcels })));
    fc.assert(
      fc.property(cases, ({ plan, parcels }) => {
        const inOrder = run(plan, [placedOf(plan), ...parcelEvents(plan)], willingParticipants);
        const mixed = run(plan, [placedOf(plan), ...parcels], willingParticipants);
        assert.equal(mixed.state.phase, inOrder.state.phase);
        assert.deepEqual(mixed.commandIds, inOrder.commandIds);
        assert.deepEqual([...mixed.asked].sort(), [...inOrder.asked].sort());
      }),
      { numRuns: 200 },
    );
  });

  it('captures the total to the cent, and refunds or voids all of it after a cancel', () => {
    fc.assert(
      fc.property(plans, (plan) => {
        const events = [placedOf(plan), ...parcelEvents({ ...plan, end: 'dispatched' })];
        const shop = new MiniShop({ participants: willingParticipants });
        for (const { sku, quantity } of linesOf(plan)) shop.receive(sku, quantity);
        for (const event of events) shop.deliver(event);
        shop.advance(start + 20 * 24 * hour);
        const state = shop.orders.get(orderId) as OrderState;
        const captured = state.payments.reduce((sum, payment) => sum + payment.capturedMinor, 0);
        assert.equal(captured, totalOf(plan));
      }),
      { numRuns: 300 },
    );
  });
});
