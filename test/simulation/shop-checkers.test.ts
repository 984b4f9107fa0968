/** Each checker of the shop's simulation passes a sound outcome and finds what is wrong with a doctored one. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { StockState } from '../../topology/inventory/stock-state.ts';
import { snapshotOf } from '../../topology/order/snapshot.ts';
import { emptyOrder, newPayment, type OrderState } from '../../topology/order/state.ts';
import type { PaymentCaptured, TimelineEntry, TopicValues } from '../../topology/schema-types.ts';
import { type TopicName, topics } from '../../topology/topics.ts';
import {
  checkCommands,
  checkDeadLetters,
  checkEnded,
  checkMoney,
  checkShop,
  checkStates,
  checkStock,
  checkTimeline,
  type ShopChecker,
  type ShopOutcome,
  type ShopRecord,
  type ShopTopics,
} from './shop-checkers.ts';

const orderId = 'o1';
const sku = 'sku-1';
const head = { occurredAt: 1, sourceSeq: null, orderId };

/** Topics as a test writes them: the records of each, whose offsets are their places. */
type Written = { [T in TopicName]?: ShopRecord<TopicValues[T]>[] };

function record<T extends TopicName>(
  topic: T,
  offset: number,
  value: TopicValues[T],
  own: { readonly id?: string; readonly attempt?: number } = {},
): ShopRecord<TopicValues[T]> {
  const key = 'sku' in value ? value.sku : orderId;
  return {
    topic,
    partition: 0,
    offset,
    key,
    value,
    id: own.id ?? `${topic}-${offset}`,
    attempt: own.attempt,
  };
}

function outcome(
  written: Written,
  state: { readonly order?: OrderState; readonly stock?: StockState } = {},
): ShopOutcome {
  const all = Object.fromEntries(topics.map(({ name }) => [name, written[name] ?? []]));
  return {
    topics: all as unknown as ShopTopics,
    deadLetters: [],
    orders: new Map([[orderId, state.order ?? closed]]),
    stock: new Map([[sku, state.stock ?? shelf]]),
  };
}

const payment = {
  ...newPayment('p1', 'card', 1_000),
  authorizedMinor: 1_000,
  capturedMinor: 1_000,
};
const line: OrderState['lines'][number] = {
  lineId: 'l1',
  sku,
  sellerId: 's1',
  locationId: null,
  unitPriceMinor: 500,
  shipByAt: null,
  stock: 'held',
  ordered: 2,
  reserved: 0,
  backordered: 0,
  shipped: 2,
  delivered: 2,
  cancelled: 0,
  returned: 0,
  lost: 0,
};
const closed: OrderState = {
  ...emptyOrder(orderId),
  version: 2,
  phase: 'CLOSED',
  totalMinor: 1_000,
  lines: [line],
  payments: [payment],
};
const shelf: StockState = {
  sku,
  onHand: 8,
  allocated: 0,
  reserved: 0,
  holds: {},
  ended: [],
  seen: [],
  sourceSeq: {},
};

function entry(from: string, to: string, topic: string, offset: number): TimelineEntry {
  return {
    type: 'TimelineEntry',
    orderId,
    at: 1,
    kind: 'event',
    name: 'any',
    detail: '',
    phaseBefore: from,
    phaseAfter: to,
    row: '1',
    sourceTopic: topic,
    sourcePartition: 0,
    sourceOffset: offset,
  };
}

const captured: PaymentCaptured = {
  type: 'PaymentCaptured',
  eventId: 'captured',
  ...head,
  commandId: 'c1',
  paymentId: 'p1',
  pspReference: null,
  amountMinor: 1_000,
  currencyCode: 'EUR',
};

/** One order, bought, paid, shipped and closed, one record of a kind. */
function sound() {
  const commandOf = (commandId: string) => ({ commandId, orderId, tenantId: 't', generation: 1 });
  return {
    'purchase.events': [
      record('purchase.events', 0, {
        type: 'OrderPlaced',
        eventId: 'placed',
        ...head,
        tenantId: 't',
        customerId: 'c',
        currencyCode: 'EUR',
        totalMinor: 1_000,
        shippingMinor: 0,
        adjustmentMinor: 0,
        policy: 'ALL_OR_NOTHING',
        placedAt: 1,
        promisedAt: null,
        lines: [
          {
            lineId: 'l1',
            sku,
            quantity: 2,
            unitPriceMinor: 500,
            sellerId: 's1',
            locationId: null,
            shipByAt: null,
          },
        ],
        payments: [{ paymentId: 'p1', method: 'card', amountMinor: 1_000 }],
      }),
    ],
    'inventory.events': [
      record('inventory.events', 0, {
        type: 'StockReceived',
        eventId: 'received',
        occurredAt: 1,
        sourceSeq: null,
        sku,
        locationId: null,
        quantity: 10,
      }),
    ],
    'payment.commands': [1, 2].map((attempt) =>
      record(
        'payment.commands',
        attempt,
        {
          type: 'CapturePayment',
          ...commandOf('c1'),
          paymentId: 'p1',
          pspReference: null,
          shipmentId: 's',
          amountMinor: 1_000,
          currencyCode: 'EUR',
        },
        { id: `c1-${attempt}`, attempt },
      ),
    ),
    // The second is the first again.
    'payment.events': [record('payment.events', 0, captured), record('payment.events', 1, captured)],
    'shipment.events': [
      record('shipment.events', 0, {
        type: 'ShipmentDispatched',
        eventId: 'dispatched',
        ...head,
        shipmentId: 's',
        sellerId: 's1',
        carrierCode: 'post',
        trackingNumber: 'T',
        lines: [{ lineId: 'l1', quantity: 2 }],
      }),
    ],
    'orchestration.timeline': [
      record('orchestration.timeline', 0, entry('PENDING', 'SHIPPED', 'purchase.events', 0)),
      record('orchestration.timeline', 1, entry('SHIPPED', 'SHIPPED', 'purchase.events', 0)),
      record('orchestration.timeline', 2, entry('SHIPPED', 'SHIPPED', 'shipment.events', 0)),
      record('orchestration.timeline', 3, entry('SHIPPED', 'SHIPPED', 'payment.events', 0)),
      record('orchestration.timeline', 4, entry('SHIPPED', 'CLOSED', 'payment.events', 1)),
    ],
    'orchestration.state': [1, 2].map((version) =>
      record('orchestration.state', version, snapshotOf({ ...closed, version }, 1)),
    ),
  } satisfies Written;
}

/** The checker finds it, and says what the pattern says. */
function finds(check: ShopChecker, doctored: ShopOutcome, what: RegExp): void {
  const found = check(doctored).map(({ where, what }) => `${where}: ${what}`);
  assert.ok(
    found.some((sentence) => what.test(sentence)),
    `${what} is not among: ${found.join('; ')}`,
  );
}

describe('the checkers of the simulated shop', () => {
  it('pass a sound outcome', () => {
    assert.deepEqual(checkShop(outcome(sound())), []);
  });

  it('find an order that has not ended, one that is missing and one that nobody placed', () => {
    finds(checkEnded, outcome(sound(), { order: { ...closed, phase: 'SHIPPED' } }), /o1: is SHIPPED/);
    finds(checkEnded, { ...outcome(sound()), orders: new Map() }, /o1: was placed and is not in the store/);
    finds(checkEnded, outcome({ ...sound(), 'purchase.events': [] }), /never placed/);
    finds(checkEnded, outcome({}), /nothing was bought/);
  });

  it('find a command that went out twice, and an attempt that is missing', () => {
    const [first, second] = sound()['payment.commands'];
    assert.ok(first !== undefined && second !== undefined);
    const sent = (...commands: (typeof first)[]) => outcome({ ...sound(), 'payment.commands': commands });
    finds(checkCommands, sent(first, first, second), /attempt 1, expected 2/);
    finds(checkCommands, sent(second), /attempt 2, expected 1/);
    finds(checkCommands, sent(first, { ...second, id: 'c1-1' }), /c1-1 is attempt 2/);
  });

  it('find an event that is in no timeline, twice in it, or out of order', () => {
    const entries = sound()['orchestration.timeline'];
    const timeline = (...changed: typeof entries) =>
      outcome({ ...sound(), 'orchestration.timeline': changed });
    const [placed, more, dispatched, paid, paidAgain] = entries;
    assert.ok(placed && more && dispatched && paid && paidAgain);
    finds(checkTimeline, timeline(placed, more, paid, paidAgain), /shipment.events-0@0: is in no timeline/);
    finds(checkTimeline, timeline(placed, more, dispatched, placed, paid, paidAgain), /is there twice/);
    const again = { ...dispatched, id: 'another' };
    finds(checkTimeline, timeline(placed, dispatched, paid, again, paidAgain), /@0 after offset 0/);
    finds(checkTimeline, timeline(placed, dispatched, paidAgain, paid), /@0 after offset 1/);
    finds(checkTimeline, timeline(placed, dispatched, paid), /ends in SHIPPED, its state is CLOSED/);
    const gap = { ...dispatched, value: { ...dispatched.value, phaseBefore: 'CONFIRMED' } };
    finds(checkTimeline, timeline(placed, gap), /begins in CONFIRMED, the one before ended in SHIPPED/);
    const foreign = { ...dispatched, value: { ...dispatched.value, sourceOffset: 7 } };
    finds(checkTimeline, timeline(placed, foreign), /not its own/);
  });

  it('find a state that was left out, and one that the store does not have', () => {
    const [first, second] = sound()['orchestration.state'];
    assert.ok(first !== undefined && second !== undefined);
    const states = (...changed: (typeof first)[]) => outcome({ ...sound(), 'orchestration.state': changed });
    finds(checkStates, states(second), /is version 2, expected 1/);
    finds(checkStates, states(first, second, second), /is version 2, expected 3/);
    finds(checkStates, states(first), /version is 1 in the topic and 2 in the store/);
    finds(checkStates, states(), /is in the store and not in orchestration.state/);
    const shown = (change: object) => ({ ...second, value: { ...second.value, ...change } });
    finds(checkStates, states(first, shown({ phase: 'SHIPPED' })), /phase is "SHIPPED"/);
    finds(checkStates, states(first, shown({ capturedMinor: 7 })), /capturedMinor is 7 .* 1000 in the store/);
    finds(
      checkStates,
      states(first, shown({ lines: [{ ...line, delivered: 1 }] })),
      /lines.0.delivered is 1/,
    );
    finds(checkStates, { ...outcome(sound()), orders: new Map() }, /is not in the store/);
  });

  it('find goods that were lost, made up, or are held for nobody', () => {
    finds(
      checkStock,
      outcome(sound(), { stock: { ...shelf, onHand: 7 } }),
      /10 came, 2 left .* 7 are on hand/,
    );
    finds(checkStock, outcome({ ...sound(), 'shipment.events': [] }), /10 came, 0 left .* 8 are on hand/);
    const hold = { status: 'reserved', quantity: 2, expiresAt: null, granted: 2, released: null } as const;
    const held = { ...shelf, reserved: 2, holds: { 'o1/l1/1': { ...hold, attempts: {} } } };
    finds(checkStock, outcome(sound(), { stock: held }), /2 are held .* o1\/l1\/1 reserved 2/);
    finds(checkStock, { ...outcome(sound()), stock: new Map() }, /was received and is not in the store/);
  });

  it('find money that was taken twice, not at all, or that the store does not know', () => {
    const paid = (...events: PaymentCaptured[]) =>
      outcome({
        ...sound(),
        'payment.events': events.map((event, i) => record('payment.events', i, event)),
      });
    finds(checkMoney, paid(captured, { ...captured, eventId: 'other' }), /2000 captured, .* costs 1000/);
    finds(checkMoney, paid(), /0 captured, .* costs 1000/);
    finds(checkMoney, paid({ ...captured, amountMinor: 999 }), /999 captured, .* costs 1000/);
    finds(checkMoney, outcome({ ...sound(), 'shipment.events': [] }), /1000 captured, .* costs 0/);
    const unknown = { ...closed, payments: [{ ...payment, capturedMinor: 0 }] };
    finds(checkMoney, outcome(sound(), { order: unknown }), /the store says 0, 0/);
  });

  it('find a dead letter', () => {
    const deadLetters = [{ topic: 'payment.events.dlq', key: orderId, reason: 'unreadable' }];
    finds(checkDeadLetters, { ...outcome(sound()), deadLetters }, /payment.events.dlq o1: unreadable/);
  });
});
