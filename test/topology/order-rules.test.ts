/** The rules of the order machine that hold in every phase: dup, stale, timers, the inbox, the sums of money. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { decide } from '../../topology/order/decide.ts';
import { defaultPolicy } from '../../topology/order/decision.ts';
import { timerProfiles } from '../../topology/timer-profiles.ts';
import {
  authorized,
  cancel,
  dispatched,
  OrderSpec,
  payment,
  placed,
  releaseNow,
  reserved,
  type SpecInput,
  summaryOf,
  twoPayments,
} from './support/order-events.ts';
import { authorizing, confirmed } from './support/row-spec.ts';

describe('the rules of the order machine', () => {
  it('counts the same event id once and changes nothing else', () => {
    const order = new OrderSpec();
    const event = authorized();
    order.apply(...authorizing(), event);
    const before = order.state;
    const again = order.apply(event);
    assert.deepEqual(summaryOf(again), {
      row: 'dup',
      phase: 'CONFIRMED',
      commands: [],
      timers: [],
      incidents: [],
      deadLetters: [],
    });
    assert.equal(again.snapshotChanged, false);
    assert.deepEqual({ ...again.state, counts: before?.counts }, before);
    assert.equal(again.state.counts.duplicates, 1);
  });

  it('takes a sequence number that was passed only for the timeline', () => {
    const order = new OrderSpec();
    order.apply(...authorizing(), { ...authorized(), sourceSeq: 2 } as SpecInput);
    const late = payment('PaymentDeclined', 'p1', 4500, { reasonCode: 'no', sourceSeq: 1 });
    const decision = order.apply(late);
    assert.equal(decision.row, 'stale');
    assert.equal(decision.snapshotChanged, false);
    assert.equal(decision.timeline[0]?.kind, 'stale');
  });

  it('ignores a timer that was moved or stopped meanwhile', () => {
    const order = new OrderSpec();
    order.apply(...confirmed());
    const dueMs = order.state?.timers.graceRelease ?? 0;
    const context = { nowMs: dueMs, profile: timerProfiles.webshop, policy: defaultPolicy };
    const moved = decide(
      order.state,
      { type: 'TimerFired', name: 'graceRelease', dueMs: dueMs - 1 },
      context,
    );
    assert.deepEqual([moved.row, moved.commands.length, moved.state.phase], ['stale', 0, 'CONFIRMED']);
    order.apply(releaseNow());
    const stopped = decide(order.state, { type: 'TimerFired', name: 'graceRelease', dueMs }, context);
    assert.deepEqual([stopped.row, stopped.commands.length], ['stale', 0]);
    const unknown = decide(order.state, { type: 'TimerFired', name: 'ofAnotherVersion', dueMs }, context);
    assert.equal(unknown.row, 'stale');
  });

  it('leaves its arguments as they are', () => {
    const order = new OrderSpec();
    order.apply(...confirmed());
    const before = structuredClone(order.state);
    const { state } = order;
    order.apply(releaseNow(), dispatched('s1'), cancel());
    assert.deepEqual(state, before);
  });

  it('keeps at most sixty-four early events and dead-letters the others', () => {
    const order = new OrderSpec();
    const events = Array.from({ length: 65 }, () => authorized());
    const last = order.apply(...events);
    assert.equal(order.state?.inbox.length, 64);
    assert.deepEqual(
      last.deadLetters.map(({ reason }) => reason),
      ['inbox_full'],
    );
  });

  it('captures parcels of several payments so that they add up to the total', () => {
    for (const first of ['s1', 's2']) {
      const order = new OrderSpec();
      const second = first === 's1' ? 's2' : 's1';
      order.apply(placed({ payments: twoPayments }), reserved('l1'), reserved('l2'));
      order.apply(authorized('p1', 1500), authorized('p2', 3000), releaseNow());
      const captures = [order.apply(dispatched(first)), order.apply(dispatched(second))]
        .flatMap(({ commands }) => commands)
        .flatMap(({ record }) => (record.type === 'CapturePayment' ? [record] : []));
      const amounts = captures.map(
        (capture) => `${capture.shipmentId} ${capture.paymentId} ${capture.amountMinor}`,
      );
      assert.deepEqual(amounts.sort(), ['o1:s1 p1 1500', 'o1:s1 p2 750', 'o1:s2 p2 2250']);
    }
  });
});
