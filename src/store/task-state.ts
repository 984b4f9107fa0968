/**
 * A task's whole local state: one backend (one RocksDB), its stores as key prefixes in it, and the meta
 * entries (positions, applied input offsets, clocks) that change in the same batch as the data.
 *
 * Key layout in the backend:
 *   0x00 <name>                       meta
 *   0x01 <length u8><store> <key>     an entry of a store
 *
 * Stores that are not persistent lie in memory, and with them the positions of their changelogs: after a restart
 * there is neither, and they are replayed from the start.
 *
 * Called by the task (reads, writes), the restorer (replay) and the commit cycle (seal, store). It never
 * talks to the broker.
 */
import { assert, must } from '../base/assert.ts';
import type { KeyRange, KeyValueBackend, Write } from '../base/backend-port.ts';
import { mapKey, prefixEnd } from '../base/bytes.ts';
import { Generations, mapKeyEnd } from './generations.ts';
import { openMemory } from './memory-backend.ts';

/** Changes of one store on their way to its changelog and then to disk. */
export interface SealedStore {
  readonly store: string;
  readonly writes: readonly Write[];
}

/** A store of a task, where it is anything but persistent with the task's own cache size. */
export interface StoreSettings {
  readonly name: string;
  /** Default true; false needs the changelog's name, if it has one, to know which positions are the store's. */
  readonly persistent?: boolean;
  readonly changelog?: string | undefined;
  readonly cacheEntriesMax?: number | undefined;
}

/**
 * What has to be in memory before a round. Keys are the store's, without prefix; `to` is exclusive, undefined is
 * the end of the store. `limit`: only so many first entries, for `Generations.readPart`.
 */
export type LoadRequest =
  | {
      readonly store: string;
      readonly key: Buffer;
      /** `mapKey(key)`, where the asker has it already. */
      readonly mapped?: string;
    }
  | RangeRequest;

export interface RangeRequest {
  readonly store: string;
  readonly from: Buffer;
  readonly to: Buffer | undefined;
  readonly limit?: number;
}

/** The end of a range as a map key. */
export function endKey(to: Buffer | undefined): string {
  return to === undefined ? mapKeyEnd : mapKey(to);
}

interface OpenStore {
  readonly prefix: Buffer;
  readonly generations: Generations;
  readonly backend: KeyValueBackend;
}

function metaKey(name: string): Buffer {
  return Buffer.concat([Buffer.from([0]), Buffer.from(name)]);
}

/** The key of an entry in the backend. */
function entryKey(prefix: Buffer, key: Buffer): Buffer {
  const full = Buffer.allocUnsafe(prefix.length + key.length);
  full.set(prefix);
  full.set(key, prefix.length);
  return full;
}

function storePrefix(store: string): Buffer {
  const name = Buffer.from(store);
  return Buffer.concat([Buffer.from([1, name.length]), name]);
}

export class TaskState {
  readonly #backend: KeyValueBackend;
  /** Of the stores that are not persistent. */
  readonly #memory: KeyValueBackend = openMemory();
  /** The changelogs of those. */
  readonly #memoryTopics = new Set<string>();
  readonly #stores = new Map<string, OpenStore>();
  #sealed: SealedStore[] | undefined;
  /** Reads that had to wait for the disk in the middle of a round. */
  slowReads = 0;

  constructor(
    backend: KeyValueBackend,
    stores: readonly (string | StoreSettings)[],
    cacheEntriesMax: number,
  ) {
    this.#backend = backend;
    for (const store of stores) {
      const settings: StoreSettings = typeof store === 'string' ? { name: store } : store;
      const { name, persistent = true, changelog } = settings;
      if (!persistent && changelog !== undefined) this.#memoryTopics.add(changelog);
      this.#stores.set(name, {
        prefix: storePrefix(name),
        generations: new Generations(settings.cacheEntriesMax ?? cacheEntriesMax),
        backend: persistent ? backend : this.#memory,
      });
    }
  }

  #store(name: string): OpenStore {
    return must(this.#stores.get(name), `store ${name} is not part of this task`);
  }

  generations(store: string): Generations {
    return this.#store(store).generations;
  }

  /** Brings keys and ranges into memory; two awaits at most unless a store write ends meanwhile. */
  async load(requests: readonly LoadRequest[]): Promise<void> {
    const missing = new Map<KeyValueBackend, { store: OpenStore; full: Buffer; key: string }[]>();
    const asked = new Map<Generations, Set<string>>();
    const ranges: RangeRequest[] = [];
    for (const request of requests) {
      if ('from' in request) {
        ranges.push(request);
        continue;
      }
      const store = this.#store(request.store);
      const key = request.mapped ?? mapKey(request.key);
      if (store.generations.pin(key)) continue;
      const before = asked.get(store.generations);
      if (before?.has(key) === true) continue;
      if (before === undefined) asked.set(store.generations, new Set([key]));
      else before.add(key);
      const one = { store, full: entryKey(store.prefix, request.key), key };
      const others = missing.get(store.backend);
      if (others === undefined) missing.set(store.backend, [one]);
      else others.push(one);
    }
    for (const [backend, entries] of missing) {
      const values = await backend.getMany(entries.map(({ full }) => full));
      for (const [index, { store, key }] of entries.entries())
        store.generations.loaded(key, values[index] ?? null);
    }
    for (const range of ranges) await this.#loadRange(range);
  }

  async #loadRange({ store, from, to, limit }: RangeRequest): Promise<void> {
    const { prefix, generations, backend } = this.#store(store);
    const [fromKey, toKey] = [mapKey(from), endKey(to)];
    if (limit === undefined ? generations.hasRange(fromKey, toKey) : generations.hasPart(fromKey, toKey))
      return;
    const end = to === undefined ? prefixEnd(prefix) : Buffer.concat([prefix, to]);
    const range: KeyRange = {
      from: Buffer.concat([prefix, from]),
      ...(end === undefined ? {} : { to: end }),
      ...(limit === undefined ? {} : { limit }),
    };
    for (;;) {
      const before = generations.version;
      const entries = await backend.range(range);
      // A store write that ended while we read may be half in this snapshot's past: read again.
      if (generations.version !== before) continue;
      const mapped = entries.map(({ key, value }) => [mapKey(key.subarray(prefix.length)), value] as const);
      if (limit === undefined) generations.loadedRange(fromKey, toKey, mapped);
      else {
        const last = mapped[limit - 1]?.[0];
        // Directly behind the last entry that was read.
        generations.loadedPart(fromKey, toKey, last === undefined ? toKey : `${last}\0`, mapped);
      }
      return;
    }
  }

  endRound(): void {
    for (const { generations } of this.#stores.values()) generations.endRound();
  }

  savepoint(): number[] {
    return [...this.#stores.values()].map(({ generations }) => generations.savepoint());
  }

  rollback(savepoint: readonly number[]): void {
    let index = 0;
    for (const { generations } of this.#stores.values()) generations.rollback(savepoint[index++] as number);
  }

  get openCount(): number {
    let count = 0;
    for (const { generations } of this.#stores.values()) count += generations.openCount;
    return count;
  }

  /** Step 1 of the commit cycle. Order: the earlier seal must have been stored or discarded. */
  seal(): readonly SealedStore[] {
    assert(this.#sealed === undefined, 'a generation is sealed while the one before is not stored yet');
    this.#sealed = [...this.#stores].map(([store, { generations }]) => ({
      store,
      writes: generations.seal(),
    }));
    return this.#sealed;
  }

  /** Step 4: the sealed changes and the meta entries in one batch, after the transaction has committed. */
  async storeSealed(meta: ReadonlyMap<string, string>): Promise<void> {
    const sealed = must(this.#sealed, 'there is no sealed generation to store');
    const writes: Write[] = [];
    const inMemory: Write[] = [];
    for (const { store, writes: changes } of sealed) {
      const { prefix, backend } = this.#store(store);
      const into = backend === this.#memory ? inMemory : writes;
      for (const { key, value } of changes) into.push({ key: entryKey(prefix, key), value });
    }
    this.#metaWrites(meta, writes, inMemory);
    // The disk first: it may fail, and then nothing of this is stored.
    await this.#backend.write(writes);
    if (inMemory.length > 0) await this.#memory.write(inMemory);
    for (const { generations } of this.#stores.values()) generations.stored();
    this.#sealed = undefined;
  }

  discard(): void {
    for (const { generations } of this.#stores.values()) generations.discard();
    this.#sealed = undefined;
  }

  /** Replayed changelog records and the position they lead to, in one batch. For the restorer only. */
  async applyChangelog(
    store: string,
    changes: readonly Write[],
    meta: ReadonlyMap<string, string>,
  ): Promise<void> {
    const { prefix, backend } = this.#store(store);
    const entries: Write[] = changes.map(({ key, value }) => ({ key: entryKey(prefix, key), value }));
    const [writes, inMemory]: [Write[], Write[]] = backend === this.#memory ? [[], entries] : [entries, []];
    this.#metaWrites(meta, writes, inMemory);
    if (writes.length > 0) await this.#backend.write(writes);
    if (inMemory.length > 0) await this.#memory.write(inMemory);
  }

  async readMeta(names: readonly string[]): Promise<(string | undefined)[]> {
    const values = await this.#backend.getMany(names.map(metaKey));
    const inMemory = await this.#memory.getMany(names.map(metaKey));
    // What an earlier version of the topology has left on the disk says nothing of a store in memory.
    return names.map((name, index) => (this.#isOfMemory(name) ? inMemory : values)[index]?.toString());
  }

  /** Shape of such a meta entry: `<what>/<changelog>`. */
  #isOfMemory(meta: string): boolean {
    return this.#memoryTopics.has(meta.slice(meta.indexOf('/') + 1));
  }

  #metaWrites(meta: ReadonlyMap<string, string>, onDisk: Write[], inMemory: Write[]): void {
    for (const [name, value] of meta)
      (this.#isOfMemory(name) ? inMemory : onDisk).push({ key: metaKey(name), value: Buffer.from(value) });
  }

  /** Committed entries, in pages; generations are not looked at. */
  async *scanCommitted(
    store: string,
    pageSize: number,
  ): AsyncIterable<readonly { key: Buffer; value: Buffer }[]> {
    const { prefix, backend } = this.#store(store);
    const to = prefixEnd(prefix);
    for await (const page of backend.scan(
      to === undefined ? { from: prefix } : { from: prefix, to },
      pageSize,
    )) {
      yield page.map(({ key, value }) => ({ key: key.subarray(prefix.length), value }));
    }
  }

  /** The committed value of a key: what queries may see. */
  async getCommitted(store: string, key: Buffer): Promise<Buffer | undefined> {
    const { prefix, backend } = this.#store(store);
    return (await backend.getMany([Buffer.concat([prefix, key])]))[0];
  }

  /**
   * The committed state of one store alone, to be read by `load` without the task's knowing: for queries. Not to be
   * written or closed. Order: for one read; what is committed afterwards it may not see.
   */
  committedView(store: string): TaskState {
    return new TaskState(this.#store(store).backend, [store], 1);
  }

  /** Of a `committedView`: brings the whole store into memory, for good. */
  async loadWhole(store: string): Promise<void> {
    const entries: [string, Buffer][] = [];
    for await (const page of this.scanCommitted(store, 1_000))
      for (const { key, value } of page) entries.push([mapKey(key), value]);
    this.generations(store).loadedWhole(entries);
  }

  async sizeBytes(): Promise<number> {
    return (await this.#backend.sizeBytes()) + (await this.#memory.sizeBytes());
  }

  async close(): Promise<void> {
    await this.#backend.close();
    await this.#memory.close();
  }
}
