/**
 * Events of one order with sensible fields, for specs of the order machine. The order has two lines of two sellers
 * (l1: 2 x 10.00 of s1, l2: 1 x 20.00 of s2), shipping 5.00, and one payment p1 of 45.00, unless told otherwise.
 * Times count from `placedMs`; each event takes the next minute.
 */

import { checkConservation } from '../../../topology/order/conservation.ts';
import { decide } from '../../../topology/order/decide.ts';
import { type Decision, defaultPolicy } from '../../../topology/order/decision.ts';
import type { OrderEvent, OrderInput } from '../../../topology/order/events.ts';
import type { OrderState } from '../../../topology/order/state.ts';
import type {
  OrderCancelRequested,
  OrderPlaced,
  PaymentEvent,
  ShipmentDispatched,
  TrackingStatus,
} from '../../../topology/schema-types.ts';
import { type TimerProfileName, timerProfiles } from '../../../topology/timer-profiles.ts';
import { trackingRanks } from '../../../topology/tracking/decide-tracking.ts';
import { checkAgainstTable } from './table-check.ts';

export const orderId = 'o1';
export const placedMs = 1_700_000_000_000;
const minute = 60_000;

let made = 0;
function head(what: string) {
  made += 1;
  return { eventId: `${what}-${made}`, occurredAt: placedMs + made, sourceSeq: null, orderId };
}

export function placed(change: Partial<OrderPlaced> = {}): OrderPlaced {
  return {
    type: 'OrderPlaced',
    ...head('placed'),
    tenantId: 't1',
    customerId: 'c1',
    currencyCode: 'EUR',
    totalMinor: 4500,
    shippingMinor: 500,
    adjustmentMinor: 0,
    policy: 'ALL_OR_NOTHING',
    placedAt: placedMs,
    promisedAt: placedMs + 5 * 24 * 60 * minute,
    lines: [line('l1', 2, 1000, 's1'), line('l2', 1, 2000, 's2')],
    payments: [{ paymentId: 'p1', method: 'card', amountMinor: 4500 }],
    ...change,
  };
}

export function line(lineId: string, quantity: number, unitPriceMinor: number, sellerId: string | null) {
  const shipByAt = placedMs + 48 * 60 * minute;
  return { lineId, sku: `sku-${lineId}`, quantity, unitPriceMinor, sellerId, locationId: null, shipByAt };
}

export const twoPayments = [
  { paymentId: 'p1', method: 'voucher', amountMinor: 1500 },
  { paymentId: 'p2', method: 'card', amountMinor: 3000 },
];

function stock(type: string, lineId: string, quantity: number) {
  return {
    type,
    ...head(type),
    commandId: `c-${lineId}`,
    lineId,
    sku: `sku-${lineId}`,
    quantity,
    locationId: null,
  };
}

export const reserved = (lineId: string, quantity = lineId === 'l1' ? 2 : 1) =>
  ({ ...stock('StockReserved', lineId, quantity), expiresAt: null }) as OrderEvent;
export const rejected = (lineId: string) =>
  ({ ...stock('StockRejected', lineId, 1), availableQuantity: 0, reasonCode: 'out_of_stock' }) as OrderEvent;
export const released = (lineId: string, quantity = 1) =>
  stock('StockReleased', lineId, quantity) as unknown as OrderEvent;

/** `commandId` null: unasked. */
export function payment<T extends PaymentEvent['type']>(
  type: T,
  paymentId = 'p1',
  amountMinor = 4500,
  rest: Record<string, unknown> = {},
): OrderEvent {
  const event = {
    type,
    ...head(type),
    commandId: null,
    paymentId,
    pspReference: `psp-${paymentId}`,
    amountMinor,
    currencyCode: 'EUR',
    expiresAt: null,
    ...rest,
  };
  return event as unknown as OrderEvent;
}

export const authorized = (paymentId = 'p1', amountMinor = 4500) =>
  payment('PaymentAuthorized', paymentId, amountMinor);
export const cancel = (lineIds: string[] | null = null): OrderCancelRequested => ({
  type: 'OrderCancelRequested',
  ...head('cancel'),
  reasonCode: 'changed_mind',
  requestedBy: 'customer',
  lineIds,
});
export const releaseNow = (): OrderEvent => ({ type: 'OrderReleased', ...head('release'), releasedBy: null });
export const shipmentAccepted = (seller = 's1'): OrderEvent => ({
  type: 'ShipmentAccepted',
  ...head('accepted'),
  shipmentId: `${orderId}:${seller}`,
  commandId: null,
});
export const shipmentCancelled = (seller = 's1'): OrderEvent => ({
  type: 'ShipmentCancelled',
  ...head('shipment-cancelled'),
  shipmentId: `${orderId}:${seller}`,
  commandId: null,
});
export const dispatched = (seller = 's1'): ShipmentDispatched => ({
  type: 'ShipmentDispatched',
  ...head('dispatched'),
  shipmentId: `${orderId}:${seller}`,
  sellerId: seller,
  carrierCode: 'post',
  trackingNumber: `T-${seller}`,
  lines: [{ lineId: seller === 's1' ? 'l1' : 'l2', quantity: seller === 's1' ? 2 : 1 }],
});
export const scanned = (seller: string, status: TrackingStatus): OrderEvent => ({
  type: 'TrackingUpdated',
  ...head('scan'),
  shipmentId: `${orderId}:${seller}`,
  status,
  rank: trackingRanks[status],
  trackingNumber: `T-${seller}`,
});

/** A timer of the order by its name, at whatever time it is due. */
export const timer = (name: string) => ({ timer: name }) as const;
export type SpecInput = OrderEvent | { readonly timer: string };

/** What a decision amounts to, for comparing. */
export interface Summary {
  readonly row: string;
  readonly phase: string;
  readonly commands: readonly string[];
  readonly timers: readonly string[];
  readonly incidents: readonly string[];
  readonly deadLetters: readonly string[];
}

/** Runs inputs through the machine; every decision must conserve goods and money. */
export class OrderSpec {
  state: OrderState | undefined;
  readonly decisions: Decision[] = [];
  nowMs = placedMs;
  readonly #profile: TimerProfileName;

  constructor(profile: TimerProfileName = 'webshop') {
    this.#profile = profile;
  }

  apply(...inputs: readonly SpecInput[]): Decision {
    let last: Decision | undefined;
    for (const input of inputs) {
      const context = { nowMs: this.nowMs, profile: timerProfiles[this.#profile], policy: defaultPolicy };
      last = decide(this.state, this.#inputOf(input), context);
      checkConservation(last.state);
      checkAgainstTable(last);
      this.state = last.state;
      this.decisions.push(last);
    }
    if (last === undefined) throw new Error('nothing to apply');
    return last;
  }

  #inputOf(input: SpecInput): OrderInput {
    if (!('timer' in input)) return input;
    const dueMs = this.state?.timers[input.timer];
    if (dueMs === undefined) throw new Error(`no timer ${input.timer} runs`);
    this.nowMs = Math.max(this.nowMs, dueMs);
    return { type: 'TimerFired', name: input.timer, dueMs };
  }
}

/** Shape: commands `Type subject` (`#2` for a second attempt), timers `+name` and `-name`, incidents by type. */
export function summaryOf(decision: Decision): Summary {
  return {
    row: decision.row,
    phase: decision.state.phase,
    commands: decision.commands.map(({ record, subject, attempt }) => {
      const name = record.type === 'NotifyCustomer' ? 'Notify' : record.type;
      return `${name} ${subject}${attempt === 1 ? '' : ` #${attempt}`}`;
    }),
    timers: decision.timers.map((change) => `${change.op === 'cancel' ? '-' : '+'}${change.name}`),
    incidents: decision.incidents.map(({ incidentType }) => incidentType),
    deadLetters: decision.deadLetters.map(({ reason }) => reason),
  };
}
