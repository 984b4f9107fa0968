/** Participants answer as asked, the same way each time, and fail only where the switches say so. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { reactToDispatch } from '../../topology/participants/carrier.ts';
import { dice, isShort, noFaults } from '../../topology/participants/faults.ts';
import { reactToPayment } from '../../topology/participants/payment.ts';
import {
  demoDelays,
  emptyParticipant,
  isCalledOff,
  noDelays,
  type ParticipantOptions,
  type Reaction,
} from '../../topology/participants/plan.ts';
import { reactToShipment } from '../../topology/participants/warehouse.ts';
import type { PaymentCommand, ShipmentCommand } from '../../topology/schema-types.ts';

const options: ParticipantOptions = { mode: 'shop', seed: 1, faults: noFaults, delays: noDelays };
const types = (reaction: Reaction) => reaction.planned.map(({ event }) => event.type);

function pay(type: PaymentCommand['type'], commandId = 'c1', method = 'card'): PaymentCommand {
  const common = { commandId, orderId: 'o1', tenantId: 't', generation: 1, paymentId: 'p1', method };
  const rest = { amountMinor: 100, currencyCode: 'EUR', dueAt: null, pspReference: null, shipmentId: null };
  return { type, ...common, ...rest, reasonCode: null } as unknown as PaymentCommand;
}

function ship(type: 'CreateShipment' | 'CancelShipment', commandId = 'c1'): ShipmentCommand {
  const common = {
    commandId,
    orderId: 'o1',
    tenantId: 't',
    generation: 1,
    shipmentId: 'o1:s1',
    sellerId: 's1',
  };
  const lines = [{ lineId: 'l1', sku: 'a', quantity: 2 }];
  return {
    type,
    ...common,
    locationId: null,
    lines,
    shipByAt: null,
    reasonCode: null,
  } as unknown as ShipmentCommand;
}

describe('the payment provider', () => {
  it('answers each command with its event', () => {
    const react = (command: PaymentCommand) => types(reactToPayment(command, emptyParticipant, options, 0));
    // Command ids are chosen so that the dice ask no card holder to confirm, or ask this one.
    const ids = Array.from({ length: 200 }, (_, index) => `c${index}`);
    const kinds = new Set(ids.map((id) => react(pay('AuthorizePayment', id)).join()));
    assert.deepEqual([...kinds].sort(), ['PaymentActionRequired,PaymentAuthorized', 'PaymentAuthorized']);
    assert.deepEqual(react(pay('AuthorizePayment', 'c1', 'boleto')), [
      'PaymentActionRequired',
      'PaymentAuthorized',
    ]);
    assert.deepEqual(react(pay('CapturePayment')), ['PaymentCaptured']);
    assert.deepEqual(react(pay('VoidAuthorization')), ['PaymentVoided']);
    assert.deepEqual(react(pay('RefundPayment')), ['RefundSettled']);
  });

  it('gives the same answer with the same event ids each time', () => {
    const faults = { ...noFaults, decline: 0.5, duplicate: 0.5, slow: 0.5, reorder: 0.5 };
    for (let index = 0; index < 50; index++) {
      const react = () =>
        reactToPayment(
          pay('AuthorizePayment', `c${index}`),
          emptyParticipant,
          { ...options, faults, delays: demoDelays },
          7,
        );
      assert.deepEqual(react(), react());
    }
  });

  it('calls off what it has not said yet when it is voided, and then refuses the payment', () => {
    const reaction = reactToPayment(pay('VoidAuthorization'), emptyParticipant, options, 0);
    assert.deepEqual([reaction.calledOff, reaction.undone], ['p1', 'p1']);
    const state = { ...emptyParticipant, undone: ['p1'] };
    assert.deepEqual(types(reactToPayment(pay('AuthorizePayment'), state, options, 0)), ['PaymentDeclined']);
  });

  it('says what it has captured although the rest is voided', () => {
    const goneWith = (type: PaymentCommand['type']) =>
      reactToPayment(pay(type), emptyParticipant, options, 0).planned.every((answer) =>
        isCalledOff(answer, 'p1'),
      );
    assert.equal(goneWith('AuthorizePayment'), true);
    for (const type of ['CapturePayment', 'RefundPayment', 'VoidAuthorization'] as const)
      assert.equal(goneWith(type), false, type);
  });

  it('repeats its last word to a query, and has none for a payment it does not know', () => {
    const said = reactToPayment(
      pay('AuthorizePayment', 'c1', 'boleto'),
      emptyParticipant,
      options,
      0,
    ).planned.at(-1);
    assert.ok(said);
    const state = { ...emptyParticipant, said: { p1: said.event } };
    const answer = reactToPayment(pay('QueryPayment', 'q1'), state, options, 0);
    assert.deepEqual(
      answer.planned.map(({ event }) => event),
      [said.event],
    );
    assert.deepEqual(types(reactToPayment(pay('QueryPayment', 'q1'), emptyParticipant, options, 0)), []);
  });

  it('in a replay answers only voids and refunds', () => {
    const replay: ParticipantOptions = { ...options, mode: 'replay' };
    const react = (type: PaymentCommand['type']) =>
      types(reactToPayment(pay(type), emptyParticipant, replay, 0));
    assert.deepEqual(react('AuthorizePayment'), []);
    assert.deepEqual(react('CapturePayment'), []);
    assert.deepEqual(react('VoidAuthorization'), ['PaymentVoided']);
    assert.deepEqual(react('RefundPayment'), ['RefundSettled']);
  });

  it('declines about as often as its switch says', () => {
    const faults = { ...noFaults, decline: 0.3 };
    const answers = Array.from({ length: 1_000 }, (_, index) =>
      types(
        reactToPayment(pay('AuthorizePayment', `c${index}`), emptyParticipant, { ...options, faults }, 0),
      ),
    );
    const declined = answers.filter(([first]) => first === 'PaymentDeclined').length;
    assert.ok(declined > 240 && declined < 360, `${declined} of 1000`);
  });
});

describe('the warehouse', () => {
  it('accepts a parcel, then hands it over with a tracking number', () => {
    const reaction = reactToShipment(ship('CreateShipment'), emptyParticipant, options, 0);
    assert.deepEqual(types(reaction), ['ShipmentAccepted', 'ShipmentDispatched']);
    const event = reaction.planned[1]?.event;
    assert.ok(event?.type === 'ShipmentDispatched');
    assert.match(event.trackingNumber, /^MR[0-9A-F]{12}$/);
    assert.deepEqual(event.lines, [{ lineId: 'l1', quantity: 2 }]);
  });

  it('calls back a parcel that is there, and has nothing to say about one that has left', () => {
    const cancel = ship('CancelShipment', 'c2');
    const there = reactToShipment(cancel, emptyParticipant, options, 0);
    assert.deepEqual([types(there), there.calledOff], [['ShipmentCancelled'], 'o1:s1']);
    const left = reactToShipment(ship('CreateShipment'), emptyParticipant, options, 0).planned[1];
    assert.ok(left);
    const state = { ...emptyParticipant, said: { 'o1:s1': left.event } };
    assert.deepEqual(types(reactToShipment(cancel, state, options, 0)), []);
  });
});

describe('the carrier', () => {
  it('scans a parcel on its way, each scan later than the one before', () => {
    const dispatched = reactToShipment(ship('CreateShipment'), emptyParticipant, options, 0).planned[1]
      ?.event;
    assert.ok(dispatched?.type === 'ShipmentDispatched');
    const { planned } = reactToDispatch(dispatched, { ...options, delays: demoDelays }, 1_000);
    const scans = planned.map(({ event }) => (event.type === 'TrackingScanned' ? event : undefined));
    assert.deepEqual(
      scans.map((event) => event?.status),
      ['IN_TRANSIT', 'OUT_FOR_DELIVERY', 'DELIVERED'],
    );
    const times = scans.map((event) => event?.scannedAt ?? 0);
    assert.deepEqual(
      times,
      [...times].sort((a, b) => a - b),
    );
  });
});

describe('the dice of a participant', () => {
  it('fall the same way for the same question and evenly over all', () => {
    assert.equal(dice(1, 'a', 'slow'), dice(1, 'a', 'slow'));
    assert.notEqual(dice(1, 'a', 'slow'), dice(2, 'a', 'slow'));
    const short = Array.from({ length: 1_000 }, (_, index) =>
      isShort(1, `sku${index}`, { ...noFaults, outOfStock: 0.2 }),
    );
    const share = short.filter(Boolean).length / 1_000;
    assert.ok(share > 0.15 && share < 0.25, `${share}`);
  });
});
