/**
 * What participants have in common: an answer that is planned for later, when it comes, how often, and what is
 * remembered per order meanwhile. Pure; payment.ts, warehouse.ts and carrier.ts plan, participant-processor.ts sends.
 */
import type { PaymentEvent, ShipmentEvent, TrackingScan } from '../schema-types.ts';
import { dice, type FaultSwitches } from './faults.ts';

export type ParticipantEvent = PaymentEvent | ShipmentEvent | TrackingScan;

/** Typical waits, milliseconds; each answer takes half to one and a half of its wait. 0 = at once. */
export interface ParticipantDelays {
  /** A payment provider or warehouse says yes or no. */
  readonly answerMs: number;
  /** A customer acts (3-D Secure, bank slip). */
  readonly customerMs: number;
  /** A parcel is packed and handed over. */
  readonly packMs: number;
  /** Between two scans. */
  readonly scanMs: number;
}

/** `replay`: answers only what undoes (void, refund, cancel); everything else is in the recorded events. */
export type ParticipantMode = 'shop' | 'replay';

export interface ParticipantOptions {
  readonly mode: ParticipantMode;
  readonly seed: number;
  readonly faults: FaultSwitches;
  readonly delays: ParticipantDelays;
}

/** Waits of the demo: an order is delivered within a few seconds. */
export const demoDelays: ParticipantDelays = { answerMs: 150, customerMs: 1500, packMs: 1500, scanMs: 1200 };
/** For tests and replays. */
export const noDelays: ParticipantDelays = { answerMs: 0, customerMs: 0, packMs: 0, scanMs: 0 };

/** An answer to come. `id` is unique per order: a duplicate has another id and the same event. */
export interface Planned {
  readonly id: string;
  readonly afterMs: number;
  /** What a later command may call off: a payment's or shipment's id. */
  readonly subject: string;
  readonly event: ParticipantEvent;
}

/** Plain JSON-able data, per order. */
export interface ParticipantState {
  readonly pending: readonly PendingAnswer[];
  /** Payments voided and shipments cancelled: an authorisation or shipment of one that comes later is refused. */
  readonly undone: readonly string[];
  /** Last answer per payment, for queries. */
  readonly said: Readonly<Record<string, ParticipantEvent>>;
}

/** A planned answer with what its headers need. */
export interface PendingAnswer extends Planned {
  readonly causationId: string;
  readonly traceparent: string;
  readonly tenantId: string;
}

export const emptyParticipant: ParticipantState = { pending: [], undone: [], said: {} };

/** Answers that a void or a call-back makes untrue. What was done (captured, refunded, voided) is said all the same. */
const promises: readonly ParticipantEvent['type'][] = [
  'PaymentAuthorized',
  'PaymentDeclined',
  'PaymentActionRequired',
  'ShipmentAccepted',
  'ShipmentDispatched',
];

/** Whether this pending answer will not come because its subject was called off. */
export function isCalledOff({ subject, event }: Planned, calledOff: string): boolean {
  return subject === calledOff && promises.includes(event.type);
}

/** What a participant does about one input. `calledOff`: the subject whose pending promises will not come. */
export interface Reaction {
  readonly planned: readonly Planned[];
  readonly calledOff?: string;
  readonly undone?: string;
}

/** How long the answer `eventId` takes: around `typicalMs`, more when the dice say slow or reorder. */
export function waitMs(options: ParticipantOptions, eventId: string, typicalMs: number): number {
  const { seed, faults } = options;
  const jitter = 0.5 + dice(seed, eventId, 'jitter');
  const slow = dice(seed, eventId, 'slow') < faults.slow ? 10 : 1;
  const held = dice(seed, eventId, 'reorder') < faults.reorder ? 3 : 1;
  return Math.round(typicalMs * jitter * slow * held);
}

/** The answer, once or twice. */
export function plan(
  options: ParticipantOptions,
  subject: string,
  event: ParticipantEvent,
  afterMs: number,
): Planned[] {
  const once = { id: event.eventId, afterMs, subject, event };
  if (dice(options.seed, event.eventId, 'duplicate') >= options.faults.duplicate) return [once];
  return [
    once,
    { ...once, id: `${event.eventId}#again`, afterMs: afterMs + Math.ceil(options.delays.answerMs / 2) },
  ];
}
