/**
 * The stock that a replay starts with. Olist does not record it, so it is derived: as much of each product as
 * was sold, nothing for what only `unavailable` orders asked for, and half of it for the products that
 * `--oversell` cuts. scripts/explain-olist.mjs derives the same from the files alone.
 */
import { createHash } from 'node:crypto';
import type { OlistOrder } from './olist-orders.ts';

export interface OpeningStock {
  /** Pieces by product; products with none are there with 0. */
  readonly pieces: ReadonlyMap<string, number>;
  /** Products with less than all orders together ask for. */
  readonly scarce: ReadonlySet<string>;
}

/** True for about `share` of all products, always the same ones. Arguments: 0 <= share <= 1. */
export function isCut(productId: string, share: number): boolean {
  const hash = createHash('sha256').update(`oversell:${productId}`).digest();
  return hash.readUInt32BE(0) / 4294967296 < share;
}

/** `oversellShare`: of the products, whose stock is cut to half (rounded down). */
export function openingStock(orders: readonly OlistOrder[], oversellShare: number): OpeningStock {
  const sold = new Map<string, number>();
  const asked = new Map<string, number>();
  for (const order of orders) {
    for (const { productId } of order.lines) {
      asked.set(productId, (asked.get(productId) ?? 0) + 1);
      const counts = order.status === 'unavailable' ? 0 : 1;
      sold.set(productId, (sold.get(productId) ?? 0) + counts);
    }
  }
  const pieces = new Map<string, number>();
  const scarce = new Set<string>();
  for (const [productId, count] of sold) {
    const opening = isCut(productId, oversellShare) ? Math.floor(count / 2) : count;
    pieces.set(productId, opening);
    if (opening < (asked.get(productId) ?? 0)) scarce.add(productId);
  }
  return { pieces, scarce };
}
