/**
 * Sums and shares of an order's money. A parcel's share is a stretch of the order's total, fixed by its lines and
 * not by the order in which parcels leave, and payments cover the total one after the other in the same way; so
 * the captures of all parcels add up to the total to the cent, whatever leaves first. Pure arithmetic.
 */
import type { OrderState, PaymentState } from './state.ts';

/** A stretch of the total. Units: minor; `from` inclusive, `to` exclusive. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** What providers vouch for (authorised or captured) and was not voided. */
export function paidMinor(state: OrderState): number {
  return state.payments.reduce((sum, payment) => sum + payment.authorizedMinor, 0);
}

/**
 * Each line's stretch of the total: by value, by quantity when all lines are free. Shipping and adjustment are so
 * spread over the lines in proportion, and the last line takes the rest.
 */
export function lineStretches(state: OrderState): ReadonlyMap<string, Stretch> {
  const value = state.lines.reduce((sum, line) => sum + line.ordered * line.unitPriceMinor, 0);
  const weightOf = (line: OrderState['lines'][number]) =>
    value > 0 ? line.ordered * line.unitPriceMinor : line.ordered;
  const weights = state.lines.reduce((sum, line) => sum + weightOf(line), 0);
  const stretches = new Map<string, Stretch>();
  let passed = 0;
  let from = 0;
  for (const line of state.lines) {
    passed += weightOf(line);
    const to = weights === 0 ? 0 : Math.round(state.totalMinor * (passed / weights));
    stretches.set(line.lineId, { from, to });
    from = to;
  }
  return stretches;
}

/** The part of a line's stretch that belongs to units `fromUnit` (inclusive) to `toUnit` (exclusive). */
export function unitsOf(stretch: Stretch, ordered: number, fromUnit: number, toUnit: number): Stretch {
  const size = stretch.to - stretch.from;
  return {
    from: stretch.from + Math.round(size * (fromUnit / ordered)),
    to: stretch.from + Math.round(size * (toUnit / ordered)),
  };
}

/** What each payment pays of these stretches. Order: as the payments stand in the order. */
export function sharesOf(
  payments: readonly PaymentState[],
  stretches: readonly Stretch[],
): { readonly paymentId: string; readonly amountMinor: number }[] {
  const shares: { paymentId: string; amountMinor: number }[] = [];
  let from = 0;
  for (const payment of payments) {
    const to = from + payment.authorizedMinor;
    let amountMinor = 0;
    for (const stretch of stretches) {
      amountMinor += Math.max(0, Math.min(to, stretch.to) - Math.max(from, stretch.from));
    }
    if (amountMinor > 0) shares.push({ paymentId: payment.paymentId, amountMinor });
    from = to;
  }
  return shares;
}

/** Authorised and neither captured, nor asked to be captured, nor asked to be voided. */
export function voidableMinor(payment: PaymentState): number {
  const claimed = payment.asked
    ? Math.max(payment.authorizedMinor, payment.amountMinor)
    : payment.authorizedMinor;
  return claimed - payment.prepaidMinor - payment.captureRequestedMinor - payment.voidRequestedMinor;
}

/** Captured, and neither earned by a shipped parcel nor asked to be refunded. */
export function refundableMinor(payment: PaymentState): number {
  return payment.capturedMinor - payment.earnedMinor - payment.refundRequestedMinor;
}

/** Shape: PENDING, AUTHORIZED, CAPTURED, VOIDED, DECLINED or REFUNDED. */
export function paymentStatus(payment: PaymentState): string {
  if (payment.refundedMinor > 0 && payment.refundedMinor >= payment.capturedMinor) return 'REFUNDED';
  if (payment.capturedMinor > 0) return 'CAPTURED';
  if (payment.voidedMinor > 0) return 'VOIDED';
  if (payment.authorizedMinor > 0) return 'AUTHORIZED';
  return payment.declined ? 'DECLINED' : 'PENDING';
}
