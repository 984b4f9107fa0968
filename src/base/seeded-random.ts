/** Chance from a seed: the same seed gives the same numbers on every machine. */
import type { Random } from './clock-port.ts';

/**
 * A small fast generator; not for secrets.
 * Source: Mulberry32 by Tommy Ettinger (public domain).
 *
 * @example
 * ```ts
 * import { seededRandom } from 'millrace';
 *
 * console.log(seededRandom(7).next() === seededRandom(7).next());
 * // prints: true
 * ```
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return { next, integer: (endExclusive) => Math.floor(next() * endExclusive) };
}

/** The items in a random order (Fisher-Yates); the input is left as it is. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    const held = result[i] as T;
    result[i] = result[j] as T;
    result[j] = held;
  }
  return result;
}
