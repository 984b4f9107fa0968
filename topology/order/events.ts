/**
 * What the order machine takes in: the records of five topics, and its own timers. Types only, and the order in
 * which events of one moment make sense. Used by the table, the handlers and the processor.
 */
import type {
  InventoryReply,
  PaymentEvent,
  PurchaseEvent,
  ShipmentEvent,
  TrackingUpdate,
} from '../schema-types.ts';
import { type TimerKind, timerKinds } from '../timer-profiles.ts';

export type OrderEvent = PurchaseEvent | PaymentEvent | InventoryReply | ShipmentEvent | TrackingUpdate;

/** A durable timer came due. `name` as it was scheduled: `kind` or `kind:subject`. */
export interface TimerFired {
  readonly type: 'TimerFired';
  readonly name: string;
  readonly dueMs: number;
}

export type OrderInput = OrderEvent | TimerFired;

/** The columns of the table: every event by its record name, every timer by its kind. */
export type EventType = OrderEvent['type'];
export type InputType = EventType | `timer:${TimerKind}`;

/** A firing as its handler gets it. `subject`: '' when the name had none. */
export interface Firing {
  readonly type: 'TimerFired';
  readonly kind: TimerKind;
  readonly subject: string;
  readonly dueMs: number;
}

export type HandlerInput = OrderEvent | Firing;
export type InputOf<I extends InputType> = I extends `timer:${string}`
  ? Firing
  : Extract<OrderEvent, { type: I }>;

/** Splits a timer's name at its first colon; undefined when no such kind exists (an older version's timer). */
export function firingOf(fired: TimerFired): Firing | undefined {
  const colon = fired.name.indexOf(':');
  const head = colon < 0 ? fired.name : fired.name.slice(0, colon);
  const kind = timerKinds.find((known) => known === head);
  if (kind === undefined) return undefined;
  return {
    type: 'TimerFired',
    kind,
    subject: colon < 0 ? '' : fired.name.slice(colon + 1),
    dueMs: fired.dueMs,
  };
}

/** Who counts `sourceSeq`, and of what: numbers of different sources or entities say nothing about each other. */
export function sourceEntityOf(event: OrderEvent): string {
  switch (event.type) {
    case 'OrderPlaced':
    case 'OrderCancelRequested':
    case 'OrderReleased':
      return 'purchase';
    case 'StockReserved':
    case 'StockRejected':
    case 'StockBackordered':
    case 'BackorderFilled':
    case 'ReservationExpired':
    case 'StockReleased':
    case 'StockRestocked':
      return `inventory/${event.lineId}`;
    case 'ShipmentAccepted':
    case 'ShipmentDispatched':
    case 'ShipmentCancelled':
      return `shipment/${event.shipmentId}`;
    case 'TrackingUpdated':
      return `tracking/${event.shipmentId}`;
    default:
      return `payment/${event.paymentId}`;
  }
}

/** Events of one moment, in the order in which they make sense. Lower first. */
const rankOfType: Readonly<Record<EventType, number>> = {
  OrderPlaced: 0,
  OrderReleased: 1,
  StockReserved: 10,
  BackorderFilled: 11,
  StockBackordered: 12,
  StockRejected: 13,
  ReservationExpired: 14,
  PaymentActionRequired: 20,
  PaymentDeclined: 21,
  PaymentAuthorized: 22,
  PaymentCaptured: 23,
  CaptureFailed: 24,
  ShipmentAccepted: 30,
  ShipmentDispatched: 31,
  TrackingUpdated: 32,
  OrderCancelRequested: 40,
  StockReleased: 50,
  StockRestocked: 51,
  PaymentVoided: 52,
  RefundSettled: 53,
  RefundFailed: 54,
  ShipmentCancelled: 55,
};

/** Sorts events as they happened: by time, then by sense, then by number, rank and id. Total, so no order of arrival shows. */
export function compareEvents(a: OrderEvent, b: OrderEvent): number {
  if (a.occurredAt !== b.occurredAt) return a.occurredAt - b.occurredAt;
  if (a.type !== b.type) return rankOfType[a.type] - rankOfType[b.type];
  const bySeq = (a.sourceSeq ?? 0) - (b.sourceSeq ?? 0);
  if (bySeq !== 0) return bySeq;
  if (a.type === 'TrackingUpdated' && b.type === 'TrackingUpdated' && a.rank !== b.rank)
    return a.rank - b.rank;
  return a.eventId < b.eventId ? -1 : a.eventId > b.eventId ? 1 : 0;
}

/** Goods on their way: these wait in the inbox until the order is paid and released (row 12b). */
export function isShipmentNews(event: OrderEvent): boolean {
  return (
    event.type === 'ShipmentAccepted' ||
    event.type === 'ShipmentDispatched' ||
    event.type === 'TrackingUpdated'
  );
}
