/**
 * One sku's stock: what is there and who holds it. Plain JSON-able data, made by decide-stock.ts, kept by
 * stock-processor.ts (as JSON inside the Avro envelope StockState).
 * available = onHand - allocated - reserved, never below zero.
 */
import type { StockState as StoredStockState } from '../schema-types.ts';

/**
 * One line's hold. `reserved`: may still be taken back; `committed`: the order is confirmed (allocated); `sold`, `released` and
 * `rejected` have ended and are kept to recognise repeats, and a reserve that comes after its release.
 */
export interface Hold {
  readonly status: 'reserved' | 'committed' | 'sold' | 'released' | 'rejected';
  /** Held now. */
  readonly quantity: number;
  readonly expiresAt: number | null;
  /** The answer to the reserve; null before it came (the release came first). */
  readonly granted: number | null;
  /** What the release gave back; null before one came. */
  readonly released: number | null;
  /** The highest attempt seen per command id. */
  readonly attempts: Readonly<Record<string, number>>;
}

export interface StockState {
  readonly sku: string;
  readonly onHand: number;
  /** Sum over the committed holds. */
  readonly allocated: number;
  /** Sum over the reserved holds. */
  readonly reserved: number;
  /** By `orderId/lineId/generation`. */
  readonly holds: Readonly<Record<string, Hold>>;
  /** Keys of the ended holds, oldest first; the oldest beyond `endedMax` are forgotten. */
  readonly ended: readonly string[];
  /** Ids of stock events and returns taken, oldest first, at most `seenMax`. */
  readonly seen: readonly string[];
  /** The highest sequence number applied, per location. */
  readonly sourceSeq: Readonly<Record<string, number>>;
}

/** The horizon of repeats of commands: holds that ended, per sku. */
export const endedMax = 128;
/** The horizon of repeats of stock events, per sku. */
export const seenMax = 128;
export const stockStateVersion = 1;

export function emptyStock(sku: string): StockState {
  return { sku, onHand: 0, allocated: 0, reserved: 0, holds: {}, ended: [], seen: [], sourceSeq: {} };
}

/** What can be promised. A count below what is held leaves nothing, never less. */
export function availableQuantity(state: StockState): number {
  return Math.max(0, state.onHand - state.allocated - state.reserved);
}

export function toStoredStock(state: StockState): StoredStockState {
  return {
    type: 'StockState',
    sku: state.sku,
    stateVersion: stockStateVersion,
    state: JSON.stringify(state),
  };
}

/** Errors: SyntaxError when the JSON is damaged. */
export function fromStoredStock(stored: StoredStockState): StockState {
  return JSON.parse(stored.state) as StockState;
}
