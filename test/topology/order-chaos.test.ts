/**
 * Whatever comes: random histories of every kind of event and timer, sensible or not. The machine never throws, keeps
 * goods and money, stays inside its table (order-events.ts checks both) and never sends a (command id, attempt) twice.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { OrderEvent } from '../../topology/order/events.ts';
import { phases } from '../../topology/order/state.ts';
import type { TrackingStatus } from '../../topology/schema-types.ts';
import {
  authorized,
  cancel,
  dispatched,
  OrderSpec,
  payment,
  placed,
  rejected,
  released,
  releaseNow,
  reserved,
  scanned,
  shipmentAccepted,
  shipmentCancelled,
  timer,
  twoPayments,
} from './support/order-events.ts';

const sellers = ['s1', 's2'] as const;
const lineIds = ['l1', 'l2'] as const;
const statuses: readonly TrackingStatus[] = [
  'IN_TRANSIT',
  'OUT_FOR_DELIVERY',
  'DELIVERED',
  'UNKNOWN',
  'LOST',
];
const ways: readonly (() => OrderEvent)[] = [
  () => placed({ payments: twoPayments }),
  () => cancel(),
  () => cancel(['l1']),
  () => releaseNow(),
  ...lineIds.flatMap((id) => [
    () => reserved(id),
    () => reserved(id),
    () => rejected(id),
    () => released(id),
  ]),
  ...twoPayments.flatMap(({ paymentId, amountMinor }) => [
    () => authorized(paymentId, amountMinor),
    () => authorized(paymentId, amountMinor),
    () => authorized(paymentId, amountMinor + 1),
    () => payment('PaymentCaptured', paymentId, amountMinor),
    () => payment('PaymentCaptured', paymentId, 700),
    () => payment('PaymentDeclined', paymentId, amountMinor, { reasonCode: 'no' }),
    () => payment('PaymentActionRequired', paymentId, amountMinor, { kind: '3ds', dueAt: null }),
    () => payment('PaymentVoided', paymentId, amountMinor),
    () => payment('RefundSettled', paymentId, amountMinor),
    () => payment('RefundSettled', paymentId, 10),
    () => payment('CaptureFailed', paymentId, 10, { reasonCode: 'no' }),
    () => payment('RefundFailed', paymentId, 10, { reasonCode: 'no' }),
  ]),
  ...sellers.flatMap((seller) => [
    () => shipmentAccepted(seller),
    () => shipmentCancelled(seller),
    () => dispatched(seller),
    () => dispatched(seller),
    ...statuses.map((status) => () => scanned(seller, status)),
  ]),
  () => authorized('p9', 100),
  () => ({ ...dispatched('s1'), shipmentId: 'unknown', sellerId: null }),
  () => ({ ...dispatched('s1'), lines: [{ lineId: 'l1', quantity: 9 }] }),
];

/** A step is an event by its index, or a timer by its place among those that run. */
const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ event: fc.nat(ways.length - 1) }) },
    { weight: 1, arbitrary: fc.record({ timer: fc.nat(5) }) },
    { weight: 1, arbitrary: fc.constant({ repeat: true as const }) },
  ),
  { minLength: 5, maxLength: 60 },
);

/** Beginnings that lead deep enough for the rest to matter. */
const beginnings: readonly (() => readonly OrderEvent[])[] = [
  () => [],
  () => [placed({ payments: twoPayments }), reserved('l1'), reserved('l2')],
  () => [
    placed({ payments: twoPayments }),
    reserved('l1'),
    reserved('l2'),
    authorized('p1', 1500),
    authorized('p2', 3000),
    releaseNow(),
  ],
];

describe('an order to which anything happens', () => {
  it('keeps goods and money, stays in its table and sends nothing twice', () => {
    const reached = new Set<string>();
    fc.assert(
      fc.property(fc.nat(beginnings.length - 1), steps, (beginning, history) => {
        const order = new OrderSpec();
        const before = beginnings[beginning]?.() ?? [];
        const inputs: OrderEvent[] = [...before];
        let given = before.length;
        if (before.length > 0) order.apply(...before);
        for (const step of history) {
          if ('event' in step) {
            const event = (ways[step.event] as () => OrderEvent)();
            inputs.push(event);
            given += 1;
            order.apply(event);
          } else if ('timer' in step) {
            const running = Object.keys(order.state?.timers ?? {});
            if (running.length > 0) order.apply(timer(running[step.timer % running.length] as string));
          } else if (inputs.length > 0) {
            given += 1;
            order.apply(inputs[inputs.length - 1] as OrderEvent);
          }
          reached.add(order.state?.phase ?? 'PENDING');
        }
        const sent = order.decisions.flatMap(({ commands }) =>
          commands.map(({ record, attempt }) => `${record.commandId}#${attempt}`),
        );
        assert.equal(new Set(sent).size, sent.length, 'no (command id, attempt) twice');
        const incidents = order.decisions.flatMap((decision) =>
          decision.incidents.map((each) => each.incidentId),
        );
        assert.equal(new Set(incidents).size, incidents.length, 'no incident twice');
        const taken = Object.values(order.state?.counts ?? {}).reduce((sum, count) => sum + count, 0);
        const refused = order.decisions.flatMap(({ deadLetters }) =>
          deadLetters.filter(({ reason }) => reason === 'inbox_full'),
        );
        const inbox = order.state?.inbox.length ?? 0;
        assert.equal(taken + inbox + refused.length, given, 'every input is accounted for, once');
      }),
      { numRuns: 3000 },
    );
    assert.deepEqual(
      phases.filter((phase) => !reached.has(phase)),
      ['BACKORDERED'],
    );
  });
});
