/**
 * One Olist order as the events that its company would have published. Pure; called by replay-plan.ts.
 * The recorded status never becomes an event, except that a `canceled` order asks for its cancellation.
 *
 * purchase ▸ OrderPlaced (and PaymentActionRequired for a bank slip) · approval ▸ PaymentAuthorized per payment
 * row · handover ▸ ShipmentDispatched per seller · delivery ▸ TrackingScanned(DELIVERED) per parcel · `canceled`
 * ▸ OrderCancelRequested at the order's last known time.
 */
import { shipmentIdOf } from '../order/decide-ship.ts';
import type {
  OrderCancelRequested,
  OrderPlaced,
  PaymentActionRequired,
  PaymentAuthorized,
  ShipmentDispatched,
  TopicValues,
  TrackingScanned,
  TrackingUpdated,
} from '../schema-types.ts';
import { trackingRanks } from '../tracking/decide-tracking.ts';
import type { OlistLine, OlistOrder } from './olist-orders.ts';

export const olistTenant = 'olist';
const currencyCode = 'BRL';
const carrierCode = 'olist';

/** A record to be sent. Units: `timestamp` in milliseconds since the epoch, the event's own time. */
export type ReplayEvent = {
  [T in keyof TopicValues]: {
    readonly topic: T;
    readonly key: string;
    readonly value: TopicValues[T];
    readonly timestamp: number;
    /** Events of one moment go out in this order. */
    readonly rank: number;
    /** The order it belongs to; empty for stock. */
    readonly orderId: string;
  };
}[keyof TopicValues];

const ranks = { placed: 0, action: 1, authorized: 2, dispatched: 3, delivered: 4, cancelled: 5 } as const;

/** The last time that the tables know of an order: when a `canceled` one asks to be cancelled. */
export function lastKnownAt(order: OlistOrder): number {
  return Math.max(order.purchasedAt, order.approvedAt ?? 0, order.handedOverAt ?? 0, order.deliveredAt ?? 0);
}

export function paysByBoleto(order: OlistOrder): boolean {
  return order.payments.some(({ type }) => type === 'boleto');
}

/** What the customer paid; the table of payments decides, the lines where it has no row. */
export function totalMinorOf(order: OlistOrder): number {
  if (order.payments.length > 0) return order.payments.reduce((sum, { valueMinor }) => sum + valueMinor, 0);
  return order.lines.reduce((sum, line) => sum + line.priceMinor + line.freightMinor, 0);
}

/** All events of an order, by time. */
export function eventsOf(order: OlistOrder): ReplayEvent[] {
  return [
    ...purchaseEvents(order),
    ...paymentEvents(order),
    ...shipmentEvents(order),
    ...cancelEvents(order),
  ].sort(byTime);
}

/** By time, then as events of one moment make sense, then by order. Total but for the payments of one order. */
export function byTime(a: ReplayEvent, b: ReplayEvent): number {
  if (a.timestamp !== b.timestamp) return a.timestamp - b.timestamp;
  if (a.rank !== b.rank) return a.rank - b.rank;
  if (a.orderId !== b.orderId) return a.orderId < b.orderId ? -1 : 1;
  return a.value.type < b.value.type ? -1 : a.value.type > b.value.type ? 1 : 0;
}

function base(order: OlistOrder, what: string, occurredAt: number) {
  return { eventId: `${order.orderId}:${what}`, occurredAt, sourceSeq: null };
}

function paymentIdOf(order: OlistOrder, sequential: number): string {
  return `${order.orderId}:p${sequential}`;
}

/** Payments as the order names them; an order without a row has one payment of its total. */
function paymentsOf(order: OlistOrder): { paymentId: string; method: string; amountMinor: number }[] {
  if (order.payments.length === 0) {
    return [{ paymentId: paymentIdOf(order, 1), method: 'unknown', amountMinor: totalMinorOf(order) }];
  }
  return order.payments.map(({ sequential, type, valueMinor }) => ({
    paymentId: paymentIdOf(order, sequential),
    method: type,
    amountMinor: valueMinor,
  }));
}

function purchaseEvents(order: OlistOrder): ReplayEvent[] {
  const linesMinor = order.lines.reduce((sum, { priceMinor }) => sum + priceMinor, 0);
  const shippingMinor = order.lines.reduce((sum, { freightMinor }) => sum + freightMinor, 0);
  const totalMinor = totalMinorOf(order);
  const value: OrderPlaced = {
    type: 'OrderPlaced',
    ...base(order, 'placed', order.purchasedAt),
    orderId: order.orderId,
    tenantId: olistTenant,
    customerId: order.customerId,
    currencyCode,
    totalMinor,
    shippingMinor,
    adjustmentMinor: totalMinor - linesMinor - shippingMinor,
    policy: 'ALL_OR_NOTHING',
    placedAt: order.purchasedAt,
    promisedAt: order.promisedAt,
    lines: order.lines.map((line) => ({
      lineId: lineIdOf(line),
      sku: line.productId,
      quantity: 1,
      unitPriceMinor: line.priceMinor,
      sellerId: line.sellerId,
      locationId: null,
      shipByAt: line.shippingLimitAt,
    })),
    payments: paymentsOf(order),
  };
  const placed: ReplayEvent = {
    topic: 'purchase.events',
    key: order.orderId,
    value,
    timestamp: order.purchasedAt,
    rank: ranks.placed,
    orderId: order.orderId,
  };
  return [placed, ...paymentsOf(order).flatMap((payment) => actionEvent(order, payment))];
}

function actionEvent(
  order: OlistOrder,
  { paymentId, method, amountMinor }: { paymentId: string; method: string; amountMinor: number },
): ReplayEvent[] {
  if (method !== 'boleto') return [];
  const value: PaymentActionRequired = {
    type: 'PaymentActionRequired',
    ...base(order, `action:${paymentId}`, order.purchasedAt),
    orderId: order.orderId,
    commandId: null,
    paymentId,
    pspReference: paymentId,
    amountMinor,
    currencyCode,
    kind: 'boleto',
    dueAt: null,
  };
  return [
    {
      topic: 'payment.events',
      key: order.orderId,
      value,
      timestamp: order.purchasedAt,
      rank: ranks.action,
      orderId: order.orderId,
    },
  ];
}

function paymentEvents(order: OlistOrder): ReplayEvent[] {
  const { approvedAt, orderId } = order;
  if (approvedAt === undefined) return [];
  return paymentsOf(order).map(({ paymentId, amountMinor }): ReplayEvent => {
    const value: PaymentAuthorized = {
      type: 'PaymentAuthorized',
      ...base(order, `authorized:${paymentId}`, approvedAt),
      orderId,
      commandId: null,
      paymentId,
      pspReference: paymentId,
      amountMinor,
      currencyCode,
      expiresAt: null,
    };
    return {
      topic: 'payment.events',
      key: orderId,
      value,
      timestamp: approvedAt,
      rank: ranks.authorized,
      orderId,
    };
  });
}

function lineIdOf(line: OlistLine): string {
  return String(line.itemId);
}

interface Parcel {
  readonly sellerId: string;
  readonly shipmentId: string;
  readonly trackingNumber: string;
  readonly lines: readonly OlistLine[];
}

/** One per seller, in the order of the lines. The shipment's id is the one that the order machine gives it. */
function parcelsOf(order: OlistOrder): Parcel[] {
  const sellers = [...new Set(order.lines.map(({ sellerId }) => sellerId))];
  return sellers.map((sellerId, index) => ({
    sellerId,
    shipmentId: shipmentIdOf(order.orderId, sellerId),
    trackingNumber: `${order.orderId}-${index + 1}`,
    lines: order.lines.filter((line) => line.sellerId === sellerId),
  }));
}

function shipmentEvents(order: OlistOrder): ReplayEvent[] {
  const { handedOverAt, deliveredAt } = order;
  return parcelsOf(order).flatMap((parcel) => [
    ...(handedOverAt === undefined ? [] : [dispatchEvent(order, parcel, handedOverAt)]),
    ...(deliveredAt === undefined ? [] : [deliveryEvent(order, parcel, deliveredAt)]),
  ]);
}

function dispatchEvent(order: OlistOrder, parcel: Parcel, at: number): ReplayEvent {
  const value: ShipmentDispatched = {
    type: 'ShipmentDispatched',
    ...base(order, `dispatched:${parcel.sellerId}`, at),
    orderId: order.orderId,
    shipmentId: parcel.shipmentId,
    sellerId: parcel.sellerId,
    carrierCode,
    trackingNumber: parcel.trackingNumber,
    lines: parcel.lines.map((line) => ({ lineId: lineIdOf(line), quantity: 1 })),
  };
  return {
    topic: 'shipment.events',
    key: order.orderId,
    value,
    timestamp: at,
    rank: ranks.dispatched,
    orderId: order.orderId,
  };
}

/**
 * A scan by tracking number, which the topology finds the order of. A parcel that was never handed over has
 * no tracking number that anybody knows, so its delivery is told by order.
 */
function deliveryEvent(order: OlistOrder, parcel: Parcel, at: number): ReplayEvent {
  const head = base(order, `delivered:${parcel.sellerId}`, at);
  const rest = { timestamp: at, rank: ranks.delivered, orderId: order.orderId };
  if (order.handedOverAt === undefined) {
    const value: TrackingUpdated = {
      type: 'TrackingUpdated',
      ...head,
      shipmentId: parcel.shipmentId,
      orderId: order.orderId,
      status: 'DELIVERED',
      rank: trackingRanks.DELIVERED,
      trackingNumber: null,
    };
    return { topic: 'tracking.updates', key: order.orderId, value, ...rest };
  }
  const value: TrackingScanned = {
    type: 'TrackingScanned',
    ...head,
    carrierCode,
    trackingNumber: parcel.trackingNumber,
    status: 'DELIVERED',
    location: null,
    scannedAt: at,
  };
  return { topic: 'tracking.scans', key: parcel.trackingNumber, value, ...rest };
}

function cancelEvents(order: OlistOrder): ReplayEvent[] {
  if (order.status !== 'canceled') return [];
  const at = lastKnownAt(order);
  const value: OrderCancelRequested = {
    type: 'OrderCancelRequested',
    ...base(order, 'cancelled', at),
    orderId: order.orderId,
    reasonCode: 'recorded_as_cancelled',
    requestedBy: 'company',
    lineIds: null,
  };
  return [
    {
      topic: 'purchase.events',
      key: order.orderId,
      value,
      timestamp: at,
      rank: ranks.cancelled,
      orderId: order.orderId,
    },
  ];
}
