/**
 * One store's changes between commits, as bytes, with the committed values it has in memory.
 *
 * Reads go: open ▸ sealed ▸ batch ▸ cache; what is in none of them is on disk and has to be loaded first.
 *
 *   open    changes being made by the records since the last seal
 *   sealed  changes being committed: on their way to the changelog, not yet on disk
 *   batch   committed entries loaded for the round at hand: never evicted while it lasts
 *   cache   committed entries, the most recent of them, decoded
 *
 * Uncommitted changes never reach the disk (task-state.ts writes `sealed` after the transaction has
 * committed), so a crash leaves the store behind its changelog, never ahead.
 *
 * Why a key that is being loaded cannot go stale: a load is started only for keys that are in none of the
 * four, the task processes nothing while it loads, and a store write that ends meanwhile writes sealed
 * keys only. Ranges have no such luck: `version` tells the loader to read them again.
 */
import { LRUCache } from 'lru-cache';
import { fromMapKey } from '../base/bytes.ts';

/** A value's bytes (null = known to be absent) and, once somebody decoded them, the value. */
export interface StateEntry {
  readonly bytes: Buffer | null;
  decoded: unknown;
  /** The key as it was written; only until it is stored, and only where the writer had it at hand. */
  keyBytes: Buffer | undefined;
}

/** A range read from disk, in byte order, with the writes that came since laid over it. */
export interface LoadedRange {
  readonly from: string;
  readonly to: string;
  readonly entries: Map<string, StateEntry>;
}

/** Above every map key, whose characters are bytes: the end of a range without one. */
export const mapKeyEnd = '\u0100';

/** The first entries of a range. `to`: up to where (exclusive) it was read; `complete`: that is its end. */
export interface RangePart {
  readonly entries: readonly (readonly [string, StateEntry])[];
  readonly to: string;
  readonly complete: boolean;
}

/** The range [from, to) of map keys, as one string. */
function rangeId(from: string, to: string): string {
  return `${from.length}:${from}${to}`;
}

/** The changes of one generation. Sorted only where ranges are read: then a range costs what is in it. */
class Changes {
  readonly entries = new Map<string, StateEntry>();
  #order: string[] | undefined;

  set(key: string, entry: StateEntry): void {
    const size = this.entries.size;
    this.entries.set(key, entry);
    if (this.#order !== undefined && this.entries.size > size) this.#order.splice(this.#at(key), 0, key);
  }

  delete(key: string): void {
    if (this.entries.delete(key)) this.#order?.splice(this.#at(key), 1);
  }

  overlay(from: string, to: string, onto: Map<string, StateEntry>): void {
    this.#order ??= [...this.entries.keys()].sort();
    const order = this.#order;
    for (let at = this.#at(from); at < order.length; at++) {
      const key = order[at] as string;
      if (key >= to) return;
      onto.set(key, this.entries.get(key) as StateEntry);
    }
  }

  /** The place of the first key that is not below `key`. */
  #at(key: string): number {
    const order = this.#order as string[];
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((order[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

type Undo = { readonly key: string; readonly previous: StateEntry | undefined };

export class Generations {
  #open = new Changes();
  #sealed: Changes | undefined;
  readonly #batch = new Map<string, StateEntry>();
  readonly #ranges = new Map<string, LoadedRange>();
  /** Ranges of which only the first entries were read, by the range that was asked for. */
  readonly #parts = new Map<string, LoadedRange>();
  readonly #cache: LRUCache<string, StateEntry>;
  #whole: LoadedRange | undefined;
  readonly #undo: Undo[] = [];
  /** Rises when sealed changes have gone to disk. */
  version = 0;

  constructor(cacheEntriesMax: number) {
    this.#cache = new LRUCache<string, StateEntry>({ max: cacheEntriesMax });
  }

  /** Undefined: not in memory, load it. */
  read(key: string): StateEntry | undefined {
    return (
      this.#open.entries.get(key) ??
      this.#sealed?.entries.get(key) ??
      this.#batch.get(key) ??
      this.#cache.get(key) ??
      this.#readWhole(key)
    );
  }

  #readWhole(key: string): StateEntry | undefined {
    if (this.#whole === undefined) return undefined;
    return this.#whole.entries.get(key) ?? { bytes: null, decoded: undefined, keyBytes: undefined };
  }

  /** Arguments: `keyBytes`, the bytes behind `key`, spare their making at the seal. */
  write(key: string, bytes: Buffer | null, decoded: unknown, keyBytes?: Buffer): void {
    this.#undo.push({ key, previous: this.#open.entries.get(key) });
    this.#open.set(key, { bytes, decoded, keyBytes });
  }

  /** Takes the whole store, so that nothing has to be loaded any more; for a view that nobody writes. */
  loadedWhole(entries: Iterable<readonly [string, Buffer]>): void {
    this.loadedRange('', mapKeyEnd, entries);
    this.#whole = this.#ranges.get(rangeId('', mapKeyEnd));
  }

  /** Takes what was loaded from disk; an entry that is newer in memory stays. */
  loaded(key: string, bytes: Buffer | null): void {
    if (this.read(key) !== undefined) return;
    const entry: StateEntry = { bytes, decoded: undefined, keyBytes: undefined };
    this.#batch.set(key, entry);
    this.#cache.set(key, entry);
  }

  /** Keeps a cached entry until the end of the round; false when it has to be loaded. */
  pin(key: string): boolean {
    const entry = this.read(key);
    if (entry === undefined) return false;
    this.#batch.set(key, entry);
    return true;
  }

  hasRange(from: string, to: string): boolean {
    return this.#ranges.has(rangeId(from, to));
  }

  loadedRange(from: string, to: string, entries: Iterable<readonly [string, Buffer]>): void {
    const map = new Map<string, StateEntry>();
    for (const [key, bytes] of entries) map.set(key, { bytes, decoded: undefined, keyBytes: undefined });
    this.#ranges.set(rangeId(from, to), { from, to, entries: map });
  }

  hasPart(from: string, to: string): boolean {
    return this.#parts.has(rangeId(from, to));
  }

  /** The first entries of [from, to): all that there are below `loadedTo`. */
  loadedPart(from: string, to: string, loadedTo: string, entries: Iterable<readonly [string, Buffer]>): void {
    const map = new Map<string, StateEntry>();
    for (const [key, bytes] of entries) map.set(key, { bytes, decoded: undefined, keyBytes: undefined });
    this.#parts.set(rangeId(from, to), { from, to: loadedTo, entries: map });
  }

  /** Present entries of [from, to) in byte order, or undefined when no range that was loaded holds it. */
  readRange(from: string, to: string): [string, StateEntry][] | undefined {
    const range = this.#ranges.get(rangeId(from, to)) ?? this.#rangeAround(from, to);
    return range === undefined ? undefined : this.#merged(range, from, to);
  }

  /** Undefined when it was not loaded. */
  readPart(from: string, to: string): RangePart | undefined {
    const part = this.#parts.get(rangeId(from, to));
    if (part === undefined) return undefined;
    return { entries: this.#merged(part, from, part.to), to: part.to, complete: part.to === to };
  }

  /** Whoever declares what he will read may declare more than that. */
  #rangeAround(from: string, to: string): LoadedRange | undefined {
    for (const range of this.#ranges.values()) if (range.from <= from && to <= range.to) return range;
    return undefined;
  }

  #merged(range: LoadedRange, from: string, to: string): [string, StateEntry][] {
    const isWhole = range.from === from && range.to === to;
    const merged = isWhole
      ? new Map(range.entries)
      : new Map([...range.entries].filter(([key]) => key >= from && key < to));
    this.#sealed?.overlay(from, to, merged);
    this.#open.overlay(from, to, merged);
    return [...merged]
      .filter(([, entry]) => entry.bytes !== null)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  }

  endRound(): void {
    this.#batch.clear();
    this.#ranges.clear();
    this.#parts.clear();
  }

  /** A mark to roll back to. Marks are only valid until the next seal. */
  savepoint(): number {
    return this.#undo.length;
  }

  rollback(savepoint: number): void {
    while (this.#undo.length > savepoint) {
      const { key, previous } = this.#undo.pop() as Undo;
      if (previous === undefined) this.#open.delete(key);
      else this.#open.set(key, previous);
    }
  }

  get openCount(): number {
    return this.#open.entries.size;
  }

  /** Closes the open generation and returns its last value per key. The earlier sealed one must be stored. */
  seal(): { readonly key: Buffer; readonly value: Buffer | null }[] {
    this.#sealed = this.#open;
    this.#open = new Changes();
    this.#undo.length = 0;
    const writes: { key: Buffer; value: Buffer | null }[] = [];
    for (const [key, entry] of this.#sealed.entries)
      writes.push({ key: entry.keyBytes ?? fromMapKey(key), value: entry.bytes });
    return writes;
  }

  /** The sealed changes are on disk: they are committed values now. */
  stored(): void {
    if (this.#sealed === undefined) return;
    for (const [key, entry] of this.#sealed.entries) {
      entry.keyBytes = undefined;
      this.#cache.set(key, entry);
      // What the round at hand has loaded must not be older; what it has not, it will not read.
      if (this.#batch.has(key)) this.#batch.set(key, entry);
      for (const ranges of [this.#ranges, this.#parts])
        for (const range of ranges.values())
          if (key >= range.from && key < range.to) range.entries.set(key, entry);
    }
    this.#sealed = undefined;
    this.version++;
  }

  /** Forgets everything in memory: after an abort, nothing here may be believed. */
  discard(): void {
    this.#open = new Changes();
    this.#sealed = undefined;
    this.#undo.length = 0;
    this.#batch.clear();
    this.#ranges.clear();
    this.#parts.clear();
    this.#cache.clear();
    this.version++;
  }
}
