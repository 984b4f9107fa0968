/**
 * The summary of a replay: what the independent observer found, compared with what the company recorded.
 * Pure; called by replay.ts.
 */
import type { OrderSnapshot } from '../schema-types.ts';
import type { Observed } from '../shop-observer.ts';
import { type Comparison, compareOutcome } from './compare.ts';
import type { Reached } from './expected-outcome.ts';
import type { OlistOrder } from './olist-orders.ts';

export interface ReplaySummary extends Comparison {
  readonly input: 'olist';
  readonly broker: 'embedded' | 'kafka';
  /** Events sent, repeats and opening stock included. */
  readonly events: number;
  /** Counts by record name. */
  readonly commands: Readonly<Record<string, number>>;
  /** Commands whose id and attempt were there before. */
  readonly duplicateCommands: number;
  /** Orders that were refused for stock. Order: by id. */
  readonly refusedForStock: readonly string[];
  readonly deadLetters: number;
  readonly seconds: number;
  readonly eventsPerSecond: number;
}

export function summarize(options: {
  readonly orders: readonly OlistOrder[];
  readonly oversell: number;
  readonly observed: Observed;
  readonly broker: 'embedded' | 'kafka';
  /** In the plan. */
  readonly events: number;
  /** By this process, in `seconds`. */
  readonly eventsSent: number;
  readonly seconds: number;
}): ReplaySummary {
  const { orders, oversell, observed, broker, events, eventsSent, seconds } = options;
  const { commands, duplicateCommands, deadLetters, snapshots } = observed;
  const reached = new Map([...snapshots].map(([orderId, snapshot]) => [orderId, reachedOf(snapshot)]));
  return {
    input: 'olist',
    broker,
    ...compareOutcome(orders, reached, oversell),
    events,
    commands,
    duplicateCommands,
    refusedForStock: [...snapshots.values()]
      .filter(isRefused)
      .map(({ orderId }) => orderId)
      .sort(),
    deadLetters,
    seconds: Math.round(seconds * 1000) / 1000,
    eventsPerSecond: Math.round((eventsSent / Math.max(seconds, 0.001)) * 10) / 10,
  };
}

function reachedOf({ phase, shipments }: OrderSnapshot): Reached {
  return { phase, dispatched: shipments.some(({ dispatchedAt }) => dispatchedAt !== null) };
}

function isRefused({ phase, reasonCode }: OrderSnapshot): boolean {
  return phase === 'REJECTED' && reasonCode === 'out_of_stock';
}
