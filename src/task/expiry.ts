/**
 * How a window or session store gets rid of what is older than its retention. The store's time is the largest
 * time put, kept among the clocks of its task: it is committed, rolled back, restored and moved with the rows.
 *
 *   shown       what is younger than the store's time less the retention
 *   refused     a put of anything older
 *   removed     the rest, by and by: at the start of a round the task asks `upkeep` what to load, and the next
 *               put removes what was loaded; in steps, and a bounded number of rows at a time
 *
 * Nobody waits for a removal, and no read fails for it: what is not loaded is removed later.
 */
import { fromMapKey, mapKey } from '../base/bytes.ts';
import type { Generations } from '../store/generations.ts';
import { endKey, type LoadRequest } from '../store/task-state.ts';

/** The clocks of a task: in memory, durable, undone with the record that moved them. */
export interface StoreClocks {
  clock(name: string): number | undefined;
  setClock(name: string, value: number): void;
}

/** The clock that holds the largest time put into a store. */
export function observedClock(store: string): string {
  return `observed/${store}`;
}

/** The clock up to which (exclusive) a store has removed its rows. */
export function removedClock(store: string): string {
  return `removed/${store}`;
}

export interface ExpiryOptions {
  readonly store: string;
  readonly retentionMs: number;
  /** Rows are removed in steps of so much time. */
  readonly stepMs: number;
  readonly generations: Generations;
  readonly clocks: StoreClocks;
  /** Where the entries with fromMs <= time < endMs lie, by time. */
  readonly bounds: (fromMs: number, endMs: number) => { readonly from: Buffer; readonly to: Buffer };
  /** A time at which the entry, and nothing before it, is found by `bounds`. */
  readonly timeOf: (entry: Buffer) => number;
  /** Deletes what the entry stands for, and the entry. */
  readonly remove: (entry: Buffer) => void;
}

/** Removed at once, and once between two commits; more when more was put since the last time, or a store would grow. */
const rowsAtOnce = 1_000;

export class Expiry {
  readonly #options: ExpiryOptions;
  /** What `upkeep` has asked for; only a hint, for it is checked against the clock before it is used. */
  #asked: { readonly fromMs: number; readonly endMs: number } | undefined;
  /** The generations' version before which loading more would bring the rows that are deleted already. */
  #storedAfter = -1;
  /** Since something has been left to remove. Only a measure: puts that were undone count too. */
  #puts = 0;

  constructor(options: ExpiryOptions) {
    this.#options = options;
  }

  /** Nothing at or before this time is shown. */
  get hiddenMs(): number {
    const { store, retentionMs, clocks } = this.#options;
    return (clocks.clock(observedClock(store)) ?? Number.NEGATIVE_INFINITY) - retentionMs;
  }

  /** Takes the time of a put, and removes what was loaded for it. False: too old to be stored. */
  observe(timestampMs: number): boolean {
    const { store, clocks } = this.#options;
    this.#puts++;
    if (timestampMs > (clocks.clock(observedClock(store)) ?? -1))
      clocks.setClock(observedClock(store), timestampMs);
    if (this.#asked !== undefined) this.#remove(this.#asked);
    return timestampMs > this.hiddenMs;
  }

  /** What to load so that the next put can remove something; empty when there is nothing to do. */
  upkeep(): LoadRequest[] {
    const { store, stepMs, generations, clocks } = this.#options;
    this.#asked = undefined;
    const fromMs = clocks.clock(removedClock(store)) ?? 0;
    const endMs = Math.floor((this.hiddenMs + 1) / stepMs) * stepMs;
    if (!(endMs > fromMs)) this.#puts = 0;
    if (!(endMs > fromMs) || generations.version <= this.#storedAfter) return [];
    this.#asked = { fromMs, endMs };
    return [{ store, ...this.#options.bounds(fromMs, endMs), limit: Math.max(rowsAtOnce, 2 * this.#puts) }];
  }

  #remove({ fromMs, endMs }: { readonly fromMs: number; readonly endMs: number }): void {
    const { store, generations, clocks } = this.#options;
    this.#asked = undefined;
    // Undone meanwhile, or another task state altogether: asked again in the next round.
    if ((clocks.clock(removedClock(store)) ?? 0) !== fromMs) return;
    const { from, to } = this.#options.bounds(fromMs, endMs);
    const part = generations.readPart(mapKey(from), endKey(to));
    if (part === undefined) return;
    this.#puts = 0;
    for (const [entry] of part.entries) this.#options.remove(fromMapKey(entry));
    if (part.complete) clocks.setClock(removedClock(store), endMs);
    else {
      clocks.setClock(removedClock(store), this.#options.timeOf(fromMapKey(part.to)));
      this.#storedAfter = generations.version;
    }
  }
}
