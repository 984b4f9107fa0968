/** Orders as events, the driver's plan, the oracle and its reasons: all of a replay that needs no broker. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { compareOutcome } from '../../topology/olist/compare.ts';
import {
  agrees,
  expectedMismatches,
  mismatchReason,
  refusedForStock,
} from '../../topology/olist/expected-outcome.ts';
import { eventsOf, type ReplayEvent } from '../../topology/olist/olist-events.ts';
import { type OlistOrder, type OlistStatus, readOlistOrders } from '../../topology/olist/olist-orders.ts';
import { openingStock } from '../../topology/olist/opening-stock.ts';
import { fingerprintOf } from '../../topology/olist/replay.ts';
import { planReplay, type ReplayPlan } from '../../topology/olist/replay-plan.ts';
import { explainOlist } from '../support/cli.ts';
import { generatedFolder, olistFolder } from '../support/olist-folder.ts';

const day = 24 * 3600 * 1000;
const start = Date.UTC(2017, 5, 1);

function order(orderId: string, changes: Partial<OlistOrder> = {}): OlistOrder {
  const line = {
    itemId: 1,
    productId: 'p1',
    sellerId: 's1',
    shippingLimitAt: start,
    priceMinor: 900,
    freightMinor: 100,
  };
  return {
    orderId,
    customerId: 'c',
    status: 'delivered',
    purchasedAt: start,
    approvedAt: start + day,
    handedOverAt: start + 2 * day,
    deliveredAt: start + 5 * day,
    promisedAt: start + 9 * day,
    lines: [line],
    payments: [{ sequential: 1, type: 'credit_card', valueMinor: 1_000 }],
    ...changes,
  };
}

const typesOf = (events: readonly ReplayEvent[]) => events.map(({ value }) => value.type);
const never = { approvedAt: undefined, handedOverAt: undefined, deliveredAt: undefined };
const inOrder = { shuffleSeed: undefined, duplicate: 0, batchEventsMax: 2_000 };

describe('an Olist order as events', () => {
  it('is placed, authorised, dispatched and scanned at its times', () => {
    const events = eventsOf(order('a'));
    assert.deepEqual(typesOf(events), [
      'OrderPlaced',
      'PaymentAuthorized',
      'ShipmentDispatched',
      'TrackingScanned',
    ]);
    assert.deepEqual(
      events.map(({ timestamp }) => (timestamp - start) / day),
      [0, 1, 2, 5],
    );
  });

  it('carries the difference between payments and lines as adjustment', () => {
    const [placed] = eventsOf(
      order('a', { payments: [{ sequential: 1, type: 'voucher', valueMinor: 950 }] }),
    );
    assert.ok(placed?.value.type === 'OrderPlaced');
    const { totalMinor, shippingMinor, adjustmentMinor } = placed.value;
    assert.deepEqual([totalMinor, shippingMinor, adjustmentMinor], [950, 100, -50]);
  });

  it('asks for action first where a bank slip pays, and authorises every payment row', () => {
    const payments = [
      { sequential: 1, type: 'boleto', valueMinor: 600 },
      { sequential: 2, type: 'voucher', valueMinor: 400 },
    ];
    const events = eventsOf(order('a', { payments }));
    assert.deepEqual(typesOf(events).slice(0, 4), [
      'OrderPlaced',
      'PaymentActionRequired',
      'PaymentAuthorized',
      'PaymentAuthorized',
    ]);
  });

  it('dispatches one parcel per seller, each with its lines and its own tracking number', () => {
    const [line] = order('a').lines;
    assert.ok(line);
    const lines = [line, { ...line, itemId: 2, sellerId: 's2' }, { ...line, itemId: 3 }];
    const dispatched = eventsOf(order('a', { lines })).flatMap(({ value }) =>
      value.type === 'ShipmentDispatched' ? [value] : [],
    );
    assert.deepEqual(
      dispatched.map((parcel) => parcel.lines.map(({ lineId }) => lineId)),
      [['1', '3'], ['2']],
    );
    assert.equal(new Set(dispatched.map(({ trackingNumber }) => trackingNumber)).size, 2);
  });

  it('tells a delivery by order where no parcel was ever handed over', () => {
    const events = eventsOf(order('a', { handedOverAt: undefined }));
    assert.deepEqual(typesOf(events), ['OrderPlaced', 'PaymentAuthorized', 'TrackingUpdated']);
  });

  it('asks for its cancellation at its last known time, after what happened then', () => {
    const events = eventsOf(order('a', { status: 'canceled', deliveredAt: undefined }));
    assert.equal(events.at(-1)?.value.type, 'OrderCancelRequested');
    assert.equal(events.at(-1)?.timestamp, start + 2 * day);
  });

  it('shows nothing of any other recorded status', () => {
    const statuses: OlistStatus[] = ['delivered', 'shipped', 'invoiced', 'processing', 'unavailable'];
    const texts = statuses.map((status) => JSON.stringify(eventsOf(order('a', { status }))));
    assert.equal(new Set(texts).size, 1);
  });
});

describe('the plan of a replay', () => {
  const sent = (plan: ReplayPlan) => plan.events.slice(plan.stockEvents);

  it('sends every event of every order exactly once, stock first', () => {
    const orders = Array.from({ length: 50 }, (_, at) => order(`o${at}`, { purchasedAt: start + at * 1000 }));
    const plan = planReplay(orders, openingStock(orders, 0), { ...inOrder, batchEventsMax: 16 });
    assert.equal(plan.events[0]?.value.type, 'StockReceived');
    assert.deepEqual(plan.steps[0], { kind: 'send', from: 0, to: plan.stockEvents });
    const ids = sent(plan).map(({ value }) => ('eventId' in value ? value.eventId : ''));
    assert.equal(new Set(ids).size, orders.flatMap(eventsOf).length);
    assert.equal(ids.length, orders.flatMap(eventsOf).length);
    let next = 0;
    for (const step of plan.steps) {
      if (step.kind !== 'send') continue;
      assert.equal(step.from, next, 'steps leave nothing out');
      next = step.to;
    }
    assert.equal(next, plan.events.length);
  });

  it('never moves the watermark to a time of which an event is still to be sent', async () => {
    const { path } = await generatedFolder(1_200, 21);
    const orders = await readOlistOrders(path);
    for (const oversell of [0, 0.2]) {
      const plan = planReplay(orders, openingStock(orders, oversell), { ...inOrder, batchEventsMax: 300 });
      // The smallest time among what is left, from the end to the front.
      const least: number[] = [];
      let left = Number.POSITIVE_INFINITY;
      for (let at = plan.events.length - 1; at >= 0; at--) {
        left = Math.min(left, plan.events[at]?.timestamp ?? left);
        least[at] = left;
      }
      let to = 0;
      let barriers = 0;
      for (const step of plan.steps) {
        if (step.kind === 'send') to = step.to;
        if (step.kind !== 'barrier') continue;
        barriers++;
        assert.ok(step.watermarkMs < (least[to] ?? Number.POSITIVE_INFINITY), `barrier ${barriers}`);
      }
      assert.ok(barriers > 5);
    }
  });

  it('ends with a watermark one day after the last event, in event order and shuffled', () => {
    const orders = [order('a'), order('b')];
    for (const shuffleSeed of [undefined, 7]) {
      const plan = planReplay(orders, openingStock(orders, 0), { ...inOrder, shuffleSeed });
      assert.deepEqual(plan.steps.at(-1), { kind: 'barrier', watermarkMs: start + 6 * day });
    }
  });

  it('keeps the order of each key, and separates purchases, what follows, and cancels by drains', () => {
    const orders = [order('a', { status: 'canceled', ...never, approvedAt: start + 1000 }), order('b')];
    const plan = planReplay(orders, openingStock(orders, 0), inOrder);
    const kinds = plan.steps.map(({ kind }) => kind);
    assert.deepEqual(kinds.slice(2), ['send', 'drain', 'send', 'drain', 'send', 'barrier']);
    const ofOrderA = sent(plan).filter(({ orderId }) => orderId === 'a');
    assert.deepEqual(typesOf(ofOrderA), ['OrderPlaced', 'PaymentAuthorized', 'OrderCancelRequested']);
  });

  it('puts a barrier between orders that share a scarce product, and only there', () => {
    const orders = ['a', 'b', 'c'].map((id, at) => order(id, { ...never, purchasedAt: start + at * 1000 }));
    const barriers = (plan: ReplayPlan) => plan.steps.filter(({ kind }) => kind === 'barrier').length;
    const enough = { pieces: new Map([['p1', 3]]), scarce: new Set<string>() };
    const short = { pieces: new Map([['p1', 1]]), scarce: new Set(['p1']) };
    assert.equal(barriers(planReplay(orders, enough, inOrder)), 2);
    assert.equal(barriers(planReplay(orders, short, inOrder)), 4);
  });

  it('stops where a bank slip falls due before its payment', () => {
    const late = {
      approvedAt: start + 15 * day,
      payments: [{ sequential: 1, type: 'boleto', valueMinor: 1_000 }],
    };
    const orders = [order('a', { ...never, ...late })];
    const plan = planReplay(orders, openingStock(orders, 0), inOrder);
    assert.ok(plan.steps.some((step) => step.kind === 'barrier' && step.watermarkMs === start + 14 * day));
  });

  it('is the same for the same seed, and another one for another', () => {
    const orders = Array.from({ length: 40 }, (_, at) => order(`o${at}`));
    const stock = openingStock(orders, 0);
    const plan = (shuffleSeed: number) =>
      planReplay(orders, stock, { ...inOrder, shuffleSeed, duplicate: 0.2 });
    assert.deepEqual(plan(1), plan(1));
    assert.notDeepEqual(plan(1).events, plan(2).events);
    assert.ok(plan(1).events.length > stock.pieces.size + orders.flatMap(eventsOf).length);
  });

  it('has another fingerprint for other orders or options', () => {
    const choices = { shuffleSeed: undefined, duplicate: 0, oversell: 0 };
    const prints = [
      fingerprintOf([order('a')], choices),
      fingerprintOf([order('b')], choices),
      fingerprintOf([order('a')], { ...choices, shuffleSeed: 1 }),
      fingerprintOf([order('a')], { ...choices, duplicate: 0.1 }),
      fingerprintOf([order('a')], { ...choices, oversell: 0.1 }),
    ];
    assert.equal(new Set(prints).size, prints.length);
  });
});

describe('opening stock', () => {
  it('is what was sold, nothing for what was unavailable, and half of what is cut', () => {
    const lines = (productId: string) => order('x').lines.map((line) => ({ ...line, productId }));
    const orders = [
      order('a', { lines: lines('p1') }),
      order('b', { lines: lines('p1') }),
      order('c', { lines: lines('gone'), status: 'unavailable' }),
    ];
    const stock = openingStock(orders, 0);
    assert.deepEqual(
      [...stock.pieces],
      [
        ['p1', 2],
        ['gone', 0],
      ],
    );
    assert.deepEqual([...stock.scarce], ['gone']);
    assert.equal(openingStock(orders, 1).pieces.get('p1'), 1);
  });
});

describe('the oracle', () => {
  const reached = (phase: string, dispatched = false) => ({ phase, dispatched });

  it('allows exactly the phases that were fixed for each status', () => {
    assert.ok(agrees('delivered', reached('DELIVERED')) && agrees('delivered', reached('CLOSED')));
    assert.ok(!agrees('delivered', reached('SHIPPED')));
    assert.ok(agrees('shipped', reached('SHIPPED')) && agrees('shipped', reached('FULFILLING', true)));
    assert.ok(!agrees('shipped', reached('FULFILLING')));
    for (const status of ['invoiced', 'processing'] as const) {
      for (const phase of ['AUTHORIZING', 'CONFIRMED', 'FULFILLING'])
        assert.ok(agrees(status, reached(phase)));
      assert.ok(!agrees(status, reached('FULFILLING', true)) && !agrees(status, reached('SHIPPED')));
    }
    assert.ok(agrees('canceled', reached('CANCELLED')) && agrees('canceled', reached('REJECTED')));
    assert.ok(agrees('unavailable', reached('REJECTED')) && !agrees('unavailable', reached('CANCELLED')));
  });

  it('names why a status is out of reach', () => {
    const boleto = [{ sequential: 1, type: 'boleto', valueMinor: 1_000 }];
    const why = (changes: Partial<OlistOrder>, refused = false) =>
      mismatchReason(order('a', changes), refused);
    assert.equal(why({}), undefined);
    assert.equal(why({}, true), 'out_of_stock');
    assert.equal(why({ status: 'unavailable' }), 'stock_was_there');
    assert.equal(why({ status: 'invoiced', lines: [] }), 'no_lines');
    assert.equal(why({ status: 'canceled', deliveredAt: undefined }), 'cancelled_after_handover');
    assert.equal(why({ status: 'canceled', ...never, approvedAt: start }), undefined);
    assert.equal(why({ approvedAt: undefined }), 'never_approved');
    assert.equal(why({ approvedAt: start + 15 * day, payments: boleto }), 'payment_overdue');
    assert.equal(why({ approvedAt: start + 13 * day, payments: boleto }), undefined);
    assert.equal(why({ deliveredAt: undefined }), 'delivery_not_recorded');
    assert.equal(why({ status: 'shipped', ...never, approvedAt: start }), 'handover_not_recorded');
    assert.equal(why({ status: 'processing' }), 'status_behind_events');
    assert.equal(why({ status: 'processing', ...never }), undefined);
  });

  it('folds the tables: whole orders by time of purchase, given back when cancelled', () => {
    const early = order('a', { status: 'canceled', ...never, approvedAt: start + 1000 });
    const meanwhile = order('b', { ...never, purchasedAt: start + 500 });
    const after = order('c', { ...never, purchasedAt: start + 2000 });
    const stock = { pieces: new Map([['p1', 1]]), scarce: new Set(['p1']) };
    assert.deepEqual([...refusedForStock([early, meanwhile, after], stock)], ['b']);
  });

  it('counts an order that the topics do not know as a fault of ours', () => {
    const { mismatches, confusion, accuracy } = compareOutcome([order('a')], new Map(), 0);
    assert.deepEqual(mismatches, [
      { orderId: 'a', recorded: 'delivered', reached: 'NOT_THERE', why: 'unexplained' },
    ]);
    assert.deepEqual(confusion, { delivered: { NOT_THERE: 1 } });
    assert.equal(accuracy, 0);
  });

  for (const oversell of [0, 0.1, 0.5]) {
    it(`says with ${oversell} oversold what the separate script says from the files alone`, async function () {
      this.timeout(60_000);
      for (const { path } of [await olistFolder(), await generatedFolder(3_000, 17)]) {
        const orders = await readOlistOrders(path);
        const explained = await explainOlist([path, '--oversell', String(oversell)]);
        const sorted = (map: ReadonlyMap<string, string>) => Object.fromEntries([...map].sort());
        assert.deepEqual(
          sorted(expectedMismatches(orders, oversell)),
          sorted(new Map(Object.entries(explained.mismatches))),
        );
        const refused = [...refusedForStock(orders, openingStock(orders, oversell))].sort();
        assert.deepEqual(refused, explained.refused);
      }
    });
  }
});
