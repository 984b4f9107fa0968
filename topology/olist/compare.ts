/**
 * The phase that each order reached against the status that the company recorded: confusion matrix, accuracy,
 * and each mismatch with its reason. Pure. It is given what an independent reader found in
 * `orchestration.state`, never the engine's memory.
 */
import { byCount } from '../shop-observer.ts';
import { agrees, expectedMismatches, type MismatchReason, type Reached } from './expected-outcome.ts';
import type { OlistOrder } from './olist-orders.ts';

export interface Mismatch {
  readonly orderId: string;
  readonly recorded: string;
  readonly reached: string;
  readonly why: MismatchReason;
}

/** Shape: `confusion[recorded][reached]` and `phases[reached]` are counts of orders. */
export interface Comparison {
  readonly orders: number;
  readonly matched: number;
  readonly accuracy: number;
  readonly phases: Readonly<Record<string, number>>;
  readonly confusion: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly mismatches: readonly Mismatch[];
}

/** What an order has reached that the state topic does not know. */
export const notThere = 'NOT_THERE';

export function compareOutcome(
  orders: readonly OlistOrder[],
  reachedOf: ReadonlyMap<string, Reached>,
  oversellShare: number,
): Comparison {
  const reasons = expectedMismatches(orders, oversellShare);
  const phases: Record<string, number> = {};
  const confusion: Record<string, Record<string, number>> = {};
  const mismatches: Mismatch[] = [];
  for (const { orderId, status } of orders) {
    const reached = reachedOf.get(orderId);
    const phase = reached?.phase ?? notThere;
    phases[phase] = (phases[phase] ?? 0) + 1;
    const row = confusion[status] ?? {};
    confusion[status] = row;
    row[phase] = (row[phase] ?? 0) + 1;
    if (reached !== undefined && agrees(status, reached)) continue;
    mismatches.push({
      orderId,
      recorded: status,
      reached: phase,
      why: reached === undefined ? 'unexplained' : (reasons.get(orderId) ?? 'unexplained'),
    });
  }
  const matched = orders.length - mismatches.length;
  return {
    orders: orders.length,
    matched,
    accuracy: orders.length === 0 ? 1 : Math.round((matched / orders.length) * 1e6) / 1e6,
    phases: byCount(phases),
    confusion: Object.fromEntries(Object.entries(confusion).map(([status, row]) => [status, byCount(row)])),
    mismatches,
  };
}
