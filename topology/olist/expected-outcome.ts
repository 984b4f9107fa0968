/**
 * What the tables alone say about where an order must end, and why that may differ from what the company
 * recorded. Pure; it knows nothing of the order machine's code. scripts/explain-olist.mjs says the same
 * without a line of this project, and a test compares the two.
 */
import { lastKnownAt, paysByBoleto, totalMinorOf } from './olist-events.ts';
import type { OlistOrder, OlistStatus } from './olist-orders.ts';
import { type OpeningStock, openingStock } from './opening-stock.ts';

/** Why an order cannot reach what was recorded. The list is closed; `unexplained` is a fault of ours. */
export const mismatchReasons = [
  'no_lines',
  'out_of_stock',
  'stock_was_there',
  'cancelled_after_handover',
  'never_approved',
  'payment_overdue',
  'delivery_not_recorded',
  'handover_not_recorded',
  'status_behind_events',
  'unexplained',
] as const;
export type MismatchReason = (typeof mismatchReasons)[number];

/** The phase an order reached, as far as the oracle tells phases apart. */
export interface Reached {
  readonly phase: string;
  readonly dispatched: boolean;
}

const slowPaymentMs = 14 * 24 * 3600 * 1000;
const graceMs = 15 * 60 * 1000;

const open = (reached: Reached): boolean =>
  reached.phase === 'AUTHORIZING' ||
  reached.phase === 'CONFIRMED' ||
  (reached.phase === 'FULFILLING' && !reached.dispatched);

/** The fixed oracle: which phases a recorded status allows. */
const oracle: Readonly<Record<OlistStatus, (reached: Reached) => boolean>> = {
  delivered: ({ phase }) => phase === 'DELIVERED' || phase === 'CLOSED',
  shipped: ({ phase, dispatched }) => phase === 'SHIPPED' || (phase === 'FULFILLING' && dispatched),
  invoiced: open,
  processing: open,
  created: open,
  approved: open,
  canceled: ({ phase }) => phase === 'CANCELLED' || phase === 'REJECTED',
  unavailable: ({ phase }) => phase === 'REJECTED',
};

export function agrees(status: OlistStatus, reached: Reached): boolean {
  return oracle[status](reached);
}

/** The orders that a plain fold of the tables refuses: whole orders, by time of purchase, given back when cancelled. */
export function refusedForStock(orders: readonly OlistOrder[], stock: OpeningStock): ReadonlySet<string> {
  const left = new Map(stock.pieces);
  const held = new Map<string, OlistOrder>();
  const refused = new Set<string>();
  const move = (order: OlistOrder, by: number) => {
    for (const { productId } of order.lines) left.set(productId, (left.get(productId) ?? 0) + by);
  };
  for (const { order, what } of stockMoments(orders)) {
    if (what === 'back') {
      if (held.delete(order.orderId)) move(order, 1);
      continue;
    }
    move(order, -1);
    if (order.lines.some(({ productId }) => (left.get(productId) ?? 0) < 0)) {
      move(order, 1);
      refused.add(order.orderId);
    } else held.set(order.orderId, order);
  }
  return refused;
}

interface StockMoment {
  readonly at: number;
  readonly rank: number;
  readonly order: OlistOrder;
  readonly what: 'take' | 'back';
}

function stockMoments(orders: readonly OlistOrder[]): StockMoment[] {
  const moments: StockMoment[] = [];
  for (const order of orders) {
    if (order.lines.length === 0) continue;
    moments.push({ at: order.purchasedAt, rank: 0, order, what: 'take' });
    const backAt = givenBackAt(order);
    if (backAt !== undefined) moments.push({ ...backAt, order, what: 'back' });
  }
  return moments.sort(
    (a, b) => a.at - b.at || a.rank - b.rank || (a.order.orderId < b.order.orderId ? -1 : 1),
  );
}

/** When an order that holds stock gives it back; undefined when it never does. */
function givenBackAt(order: OlistOrder): { at: number; rank: number } | undefined {
  const dueAt = order.purchasedAt + slowPaymentMs;
  const overdue = paymentOf(order) === 'overdue';
  if (order.status === 'canceled' && !(overdue && dueAt < lastKnownAt(order))) {
    return hasLeft(order) ? undefined : { at: lastKnownAt(order), rank: 1 };
  }
  return overdue ? { at: dueAt, rank: 2 } : undefined;
}

function paymentOf(order: OlistOrder): 'paid' | 'overdue' | 'waiting' {
  if (totalMinorOf(order) === 0) return 'paid';
  const dueAt = order.purchasedAt + slowPaymentMs;
  if (paysByBoleto(order) && (order.approvedAt ?? Number.POSITIVE_INFINITY) > dueAt) return 'overdue';
  return order.approvedAt === undefined ? 'waiting' : 'paid';
}

/** The parcel left before a cancel could stop it: paid, released and handed over before the cancel came. */
function hasLeft(order: OlistOrder): boolean {
  if (paymentOf(order) !== 'paid' || order.handedOverAt === undefined) return false;
  return (order.approvedAt ?? order.purchasedAt) + graceMs < lastKnownAt(order);
}

/** Where an order ends, replayed in event order. */
export function expectedPhase(order: OlistOrder, isRefused: boolean): Reached {
  const end = (phase: string, dispatched = false): Reached => ({ phase, dispatched });
  if (order.lines.length === 0 || isRefused) return end('REJECTED');
  if (order.status === 'canceled' && !hasLeft(order)) return end('CANCELLED');
  const payment = paymentOf(order);
  if (payment === 'overdue') return end('REJECTED');
  if (payment === 'waiting') return end('AUTHORIZING');
  if (order.deliveredAt !== undefined) return end('DELIVERED', true);
  return order.handedOverAt === undefined ? end('FULFILLING') : end('SHIPPED', true);
}

/** Why the recorded status cannot be reached; undefined when it can. */
export function mismatchReason(order: OlistOrder, isRefused: boolean): MismatchReason | undefined {
  if (agrees(order.status, expectedPhase(order, isRefused))) return undefined;
  if (order.lines.length === 0) return 'no_lines';
  if (isRefused) return 'out_of_stock';
  if (order.status === 'unavailable') return 'stock_was_there';
  if (order.status === 'canceled') return 'cancelled_after_handover';
  const payment = paymentOf(order);
  if (payment === 'overdue' && order.approvedAt !== undefined) return 'payment_overdue';
  if (payment !== 'paid') return 'never_approved';
  if (order.status === 'delivered') return 'delivery_not_recorded';
  if (order.status === 'shipped' && order.handedOverAt === undefined && order.deliveredAt === undefined) {
    return 'handover_not_recorded';
  }
  return 'status_behind_events';
}

/** All predicted mismatches of a replay in event order, by order. */
export function expectedMismatches(
  orders: readonly OlistOrder[],
  oversellShare: number,
): ReadonlyMap<string, MismatchReason> {
  const refused = refusedForStock(orders, openingStock(orders, oversellShare));
  const mismatches = new Map<string, MismatchReason>();
  for (const order of orders) {
    const reason = mismatchReason(order, refused.has(order.orderId));
    if (reason !== undefined) mismatches.set(order.orderId, reason);
  }
  return mismatches;
}
