/**
 * A task's whole local state: one backend (one RocksDB), its stores as key prefixes in it, and the meta
 * entries (positions, applied input offsets, clocks) that change in the same batch as the data.
 *
 * Key layout in the backend:
 *   0x00 <name>                       meta
 *   0x01 <length u8><store> <key>     an entry of a store
 *
 * Called by the task (reads, writes), the restorer (replay) and the commit cycle (seal, store). It never
 * talks to the broker.
 */
import { assert, must } from '../base/assert.ts';
import type { KeyValueBackend, Write } from '../base/backend-port.ts';
import { mapKey, prefixEnd } from '../base/bytes.ts';
import { Generations } from './generations.ts';

/** Changes of one store on their way to its changelog and then to disk. */
export interface SealedStore {
  readonly store: string;
  readonly writes: readonly Write[];
}

/** What has to be in memory before a round. Keys are the store's, without prefix; `to` is exclusive. */
export type LoadRequest =
  | {
      readonly store: string;
      readonly key: Buffer;
      /** `mapKey(key)`, where the asker has it already. */
      readonly mapped?: string;
    }
  | { readonly store: string; readonly from: Buffer; readonly to: Buffer };

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
  readonly #stores = new Map<string, { prefix: Buffer; generations: Generations }>();
  #sealed: SealedStore[] | undefined;
  /** Reads that had to wait for the disk in the middle of a round. */
  slowReads = 0;

  constructor(backend: KeyValueBackend, stores: readonly string[], cacheEntriesMax: number) {
    this.#backend = backend;
    for (const store of stores) {
      this.#stores.set(store, { prefix: storePrefix(store), generations: new Generations(cacheEntriesMax) });
    }
  }

  generations(store: string): Generations {
    return must(this.#stores.get(store), `store ${store} is not part of this task`).generations;
  }

  /** Brings keys and ranges into memory; two awaits at most unless a store write ends meanwhile. */
  async load(requests: readonly LoadRequest[]): Promise<void> {
    const keys: Buffer[] = [];
    const missing: { readonly generations: Generations; readonly key: string }[] = [];
    const asked = new Map<Generations, Set<string>>();
    const ranges: Extract<LoadRequest, { from: Buffer }>[] = [];
    for (const request of requests) {
      const { prefix, generations } = must(
        this.#stores.get(request.store),
        `store ${request.store} is not part of this task`,
      );
      if ('from' in request) {
        if (!generations.hasRange(mapKey(request.from), mapKey(request.to))) ranges.push(request);
        continue;
      }
      const key = request.mapped ?? mapKey(request.key);
      if (generations.pin(key)) continue;
      const before = asked.get(generations);
      if (before?.has(key) === true) continue;
      if (before === undefined) asked.set(generations, new Set([key]));
      else before.add(key);
      keys.push(entryKey(prefix, request.key));
      missing.push({ generations, key });
    }
    if (keys.length > 0) {
      const values = await this.#backend.getMany(keys);
      for (const [index, { generations, key }] of missing.entries())
        generations.loaded(key, values[index] ?? null);
    }
    for (const range of ranges) await this.#loadRange(range);
  }

  async #loadRange({ store, from, to }: Extract<LoadRequest, { from: Buffer }>): Promise<void> {
    const { prefix, generations } = must(this.#stores.get(store), `store ${store} is not part of this task`);
    for (;;) {
      const before = generations.version;
      const entries = await this.#backend.range({
        from: Buffer.concat([prefix, from]),
        to: Buffer.concat([prefix, to]),
      });
      // A store write that ended while we read may be half in this snapshot's past: read again.
      if (generations.version !== before) continue;
      generations.loadedRange(
        mapKey(from),
        mapKey(to),
        entries.map(({ key, value }) => [mapKey(key.subarray(prefix.length)), value] as const),
      );
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
    for (const { store, writes: changes } of sealed) {
      const { prefix } = must(this.#stores.get(store), `store ${store} is not part of this task`);
      for (const { key, value } of changes) writes.push({ key: entryKey(prefix, key), value });
    }
    for (const [name, value] of meta) writes.push({ key: metaKey(name), value: Buffer.from(value) });
    await this.#backend.write(writes);
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
    const { prefix } = must(this.#stores.get(store), `store ${store} is not part of this task`);
    const writes: Write[] = changes.map(({ key, value }) => ({ key: entryKey(prefix, key), value }));
    for (const [name, value] of meta) writes.push({ key: metaKey(name), value: Buffer.from(value) });
    await this.#backend.write(writes);
  }

  async readMeta(names: readonly string[]): Promise<(string | undefined)[]> {
    return (await this.#backend.getMany(names.map(metaKey))).map((value) => value?.toString());
  }

  /** Committed entries, in pages; generations are not looked at. */
  async *scanCommitted(
    store: string,
    pageSize: number,
  ): AsyncIterable<readonly { key: Buffer; value: Buffer }[]> {
    const { prefix } = must(this.#stores.get(store), `store ${store} is not part of this task`);
    const to = prefixEnd(prefix);
    for await (const page of this.#backend.scan(
      to === undefined ? { from: prefix } : { from: prefix, to },
      pageSize,
    )) {
      yield page.map(({ key, value }) => ({ key: key.subarray(prefix.length), value }));
    }
  }

  /** The committed value of a key: what queries may see. */
  async getCommitted(store: string, key: Buffer): Promise<Buffer | undefined> {
    const { prefix } = must(this.#stores.get(store), `store ${store} is not part of this task`);
    return (await this.#backend.getMany([Buffer.concat([prefix, key])]))[0];
  }

  sizeBytes(): Promise<number> {
    return this.#backend.sizeBytes();
  }

  close(): Promise<void> {
    return this.#backend.close();
  }
}
