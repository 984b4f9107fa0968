/**
 * How long the order machine waits, for what, and on which clock. Three checked-in profiles: `webshop` (the
 * defaults of the machine's table), `olist-replay` (real orders of 2016 to 2018, replayed as fast as it goes)
 * and `demo` (seconds instead of hours). Read by order/decide.ts through its context; chosen by the wiring.
 * It never schedules anything itself.
 */
import type { TimerClock } from '#streams';

/** Every kind of timer of the machine. A timer's name is its kind, or `kind:subject` (a shipment, a payment). */
export const timerKinds = [
  'inboxOrphan',
  'reserveReply',
  'authReply',
  'paymentDue',
  'payRetry',
  'graceRelease',
  'earlyShipment',
  'accept',
  'shipBy',
  'transitSilence',
  'promisedAt',
  'returnWindow',
  'lost',
  'compensation',
] as const;
export type TimerKind = (typeof timerKinds)[number];

/** Shape: `delayMs` counts from the causing event, for shipBy and promisedAt from the date in the order. */
export interface TimerRule {
  readonly delayMs: number;
  readonly clock: TimerClock;
  readonly enabled: boolean;
}

export interface TimerProfile {
  readonly name: string;
  readonly timers: Readonly<Record<TimerKind, TimerRule>>;
  /** paymentDue of slow methods (bank slip, transfer), where the event names no date of its own. */
  readonly slowPaymentDueMs: number;
  /** How long stock is asked to be held; null = no end, the stock processor waits for a release. */
  readonly reservationMs: number | null;
}

export type TimerProfileName = 'webshop' | 'olist-replay' | 'demo';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

const wall = (delayMs: number): TimerRule => ({ delayMs, clock: 'wall', enabled: true });
const watermark = (delayMs: number): TimerRule => ({ delayMs, clock: 'watermark', enabled: true });
const off = (rule: TimerRule): TimerRule => ({ ...rule, enabled: false });

const webshop: TimerProfile = {
  name: 'webshop',
  timers: {
    inboxOrphan: wall(24 * hour),
    reserveReply: wall(30 * second),
    authReply: wall(60 * second),
    paymentDue: wall(30 * minute),
    payRetry: wall(24 * hour),
    graceRelease: wall(15 * minute),
    earlyShipment: wall(96 * hour),
    accept: wall(4 * hour),
    shipBy: wall(0),
    transitSilence: wall(7 * day),
    promisedAt: wall(0),
    returnWindow: wall(30 * day),
    lost: wall(30 * day),
    compensation: wall(minute),
  },
  slowPaymentDueMs: 4 * day,
  reservationMs: 10 * minute,
};

/**
 * Fits the company behind the data: its slowest approval took 12.1 days, its slowest delivery 208. Event-time
 * timers follow the driver's watermark; reply timers the wall, long enough for a slow machine; silence alarms off.
 */
const olistReplay: TimerProfile = {
  name: 'olist-replay',
  timers: {
    inboxOrphan: off(wall(24 * hour)),
    reserveReply: wall(60 * minute),
    authReply: wall(60 * minute),
    paymentDue: watermark(14 * day),
    payRetry: watermark(day),
    graceRelease: watermark(15 * minute),
    earlyShipment: watermark(96 * hour),
    accept: off(watermark(4 * hour)),
    shipBy: off(watermark(0)),
    transitSilence: off(watermark(7 * day)),
    promisedAt: off(watermark(0)),
    returnWindow: watermark(30 * day),
    lost: watermark(210 * day),
    compensation: wall(30 * minute),
  },
  slowPaymentDueMs: 14 * day,
  reservationMs: null,
};

const demo: TimerProfile = {
  name: 'demo',
  timers: {
    inboxOrphan: wall(60 * second),
    reserveReply: wall(5 * second),
    authReply: wall(10 * second),
    paymentDue: wall(20 * second),
    payRetry: wall(5 * second),
    graceRelease: wall(second),
    earlyShipment: wall(60 * second),
    accept: wall(20 * second),
    shipBy: wall(0),
    transitSilence: wall(60 * second),
    promisedAt: wall(0),
    returnWindow: wall(30 * second),
    lost: wall(300 * second),
    compensation: wall(5 * second),
  },
  slowPaymentDueMs: 30 * second,
  reservationMs: 60 * second,
};

export const timerProfiles: Readonly<Record<TimerProfileName, TimerProfile>> = {
  webshop,
  'olist-replay': olistReplay,
  demo,
};
