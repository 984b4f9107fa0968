/**
 * One order's state: plain JSON-able data, immutable, no methods. Made by decide.ts, kept by order-processor.ts
 * (as JSON inside the Avro envelope OrderState), shown by snapshot.ts. Statuses that a customer sees are derived
 * from it and never stored.
 */
import type { OrderState as StoredOrderState } from '../schema-types.ts';
import type { OrderEvent } from './events.ts';

export const phases = [
  'PENDING',
  'RESERVING',
  'BACKORDERED',
  'AUTHORIZING',
  'CONFIRMED',
  'FULFILLING',
  'SHIPPED',
  'DELIVERED',
  'CLOSED',
  'CANCELLING',
  'CANCELLED',
  'REJECTED',
] as const;
export type Phase = (typeof phases)[number];

export type Flag = 'ON_HOLD' | 'INCIDENT' | 'SLA_BREACHED';

/** Where a line's stock stands. `asked`: no answer yet. `held`: reserved or committed. */
export type StockStatus = 'none' | 'asked' | 'held' | 'refused' | 'releasing' | 'released';

/**
 * Quantities never go below zero; ordered = cancelled + open + delivered + lost, where open is derived.
 * `reserved`: held for this order by the stock processor and not shipped. `shipped`: handed over, kept after delivery.
 */
export interface LineState {
  readonly lineId: string;
  readonly sku: string;
  readonly sellerId: string | null;
  readonly locationId: string | null;
  readonly unitPriceMinor: number;
  readonly shipByAt: number | null;
  readonly stock: StockStatus;
  readonly ordered: number;
  readonly reserved: number;
  readonly backordered: number;
  readonly shipped: number;
  readonly delivered: number;
  readonly cancelled: number;
  readonly returned: number;
  readonly lost: number;
}

/** Units: minor units of the order's currency. */
export interface PaymentState {
  readonly paymentId: string;
  readonly method: string;
  readonly pspReference: string | null;
  readonly amountMinor: number;
  /** The largest amount the provider vouched for; captured money counts as vouched for. */
  readonly authorizedMinor: number;
  readonly capturedMinor: number;
  /** Captured without our asking (prepaid): part of capturedMinor. */
  readonly prepaidMinor: number;
  readonly captureRequestedMinor: number;
  /** This payment's part of what was shipped: not to be refunded by a cancel. */
  readonly earnedMinor: number;
  readonly voidRequestedMinor: number;
  readonly voidedMinor: number;
  readonly refundRequestedMinor: number;
  readonly refundedMinor: number;
  /** An AuthorizePayment is out. */
  readonly asked: boolean;
  /** The provider said something since it was asked. */
  readonly answered: boolean;
  readonly declined: boolean;
  readonly declines: number;
  /** Added to the order's generation for the next AuthorizePayment, VoidAuthorization, RefundPayment. */
  readonly asks: number;
  readonly voids: number;
  readonly refunds: number;
}

export type ShipmentStatus =
  | 'REQUESTED'
  | 'ACCEPTED'
  | 'DISPATCHED'
  | 'IN_TRANSIT'
  | 'OUT_FOR_DELIVERY'
  | 'AVAILABLE_FOR_PICKUP'
  | 'DELIVERED'
  | 'ATTEMPT_FAILED'
  | 'EXCEPTION'
  | 'RETURN_TO_SENDER'
  | 'LOST'
  | 'CANCELLED';

export interface ShipmentState {
  readonly shipmentId: string;
  readonly sellerId: string | null;
  readonly locationId: string | null;
  readonly status: ShipmentStatus;
  /** The highest tracking rank applied; -1 before the first scan. */
  readonly rank: number;
  readonly carrierCode: string | null;
  readonly trackingNumber: string | null;
  readonly dispatchedAt: number | null;
  readonly deliveredAt: number | null;
  /** The dispatch was never seen, a scan implied it. */
  readonly inferred: boolean;
  readonly lines: readonly { readonly lineId: string; readonly quantity: number }[];
}

/** What came in, by what became of it: applied + duplicates + stale + unexpected + parked = inputs. */
export interface Counts {
  readonly applied: number;
  readonly duplicates: number;
  readonly stale: number;
  readonly unexpected: number;
}

export interface OrderState {
  readonly orderId: string;
  readonly tenantId: string;
  /** Goes up with each visible change. */
  readonly version: number;
  readonly phase: Phase;
  readonly flags: readonly Flag[];
  readonly reasonCode: string | null;
  readonly customerId: string | null;
  readonly currencyCode: string | null;
  readonly placedAt: number | null;
  readonly promisedAt: number | null;
  /** The latest event time applied; event-time timers count from it, so the order of arrival does not show. */
  readonly clockMs: number;
  readonly totalMinor: number;
  readonly shippingMinor: number;
  readonly adjustmentMinor: number;
  /** Of the purchase's content: tells a repeated purchase from a conflicting one. */
  readonly placedHash: string | null;
  /** Goes up when the whole order is started anew. */
  readonly generation: number;
  readonly lines: readonly LineState[];
  readonly payments: readonly PaymentState[];
  readonly shipments: readonly ShipmentState[];
  /** Compensations without an answer: `release:line`, `void:payment`, `refund:payment`, `cancel:shipment`. */
  readonly awaiting: readonly string[];
  /** Where CANCELLING leads when nothing was shipped. */
  readonly outcome: 'CANCELLED' | 'REJECTED' | null;
  readonly inbox: readonly OrderEvent[];
  /** The last event ids taken, oldest first; a repeat beyond `seenMax` events is not recognised by its id. */
  readonly seen: readonly string[];
  /** The highest sequence number applied, per source and entity. */
  readonly sourceSeq: Readonly<Record<string, number>>;
  /** Attempts per `step|subject|generation` of a command or incident: nothing is sent twice by accident. */
  readonly sent: Readonly<Record<string, number>>;
  /** Timers that run: name to due time. */
  readonly timers: Readonly<Record<string, number>>;
  readonly counts: Counts;
}

/** Events that may wait in an order's inbox; more are dead-lettered. */
export const inboxMax = 64;
/** The horizon of duplicate detection by event id. Commands are guarded by `sent` beyond it. */
export const seenMax = 256;
/** The tenant of events that come before their purchase. */
export const defaultTenantId = 'default';
export const stateVersion = 1;

/** An order that nobody has heard of. */
export function emptyOrder(orderId: string): OrderState {
  return {
    orderId,
    tenantId: defaultTenantId,
    version: 0,
    phase: 'PENDING',
    flags: [],
    reasonCode: null,
    customerId: null,
    currencyCode: null,
    placedAt: null,
    promisedAt: null,
    clockMs: 0,
    totalMinor: 0,
    shippingMinor: 0,
    adjustmentMinor: 0,
    placedHash: null,
    generation: 1,
    lines: [],
    payments: [],
    shipments: [],
    awaiting: [],
    outcome: null,
    inbox: [],
    seen: [],
    sourceSeq: {},
    sent: {},
    timers: {},
    counts: { applied: 0, duplicates: 0, stale: 0, unexpected: 0 },
  };
}

export function newPayment(paymentId: string, method: string, amountMinor: number): PaymentState {
  return {
    paymentId,
    method,
    pspReference: null,
    amountMinor,
    authorizedMinor: 0,
    capturedMinor: 0,
    prepaidMinor: 0,
    captureRequestedMinor: 0,
    earnedMinor: 0,
    voidRequestedMinor: 0,
    voidedMinor: 0,
    refundRequestedMinor: 0,
    refundedMinor: 0,
    asked: false,
    answered: false,
    declined: false,
    declines: 0,
    asks: 0,
    voids: 0,
    refunds: 0,
  };
}

/** Not yet cancelled, delivered or lost. */
export function openQuantity(line: LineState): number {
  return line.ordered - line.cancelled - line.delivered - line.lost;
}

/** Still in the house: neither cancelled nor handed over. */
export function undispatchedQuantity(line: LineState): number {
  return line.ordered - line.cancelled - line.shipped;
}

export function isDispatched(shipment: ShipmentState): boolean {
  return shipment.dispatchedAt !== null;
}

/** The state as its store holds it. */
export function toStored(state: OrderState): StoredOrderState {
  return { type: 'OrderState', stateVersion, phase: state.phase, state: JSON.stringify(state) };
}

/** Errors: SyntaxError when the JSON is damaged. */
export function fromStored(stored: StoredOrderState): OrderState {
  return JSON.parse(stored.state) as OrderState;
}
