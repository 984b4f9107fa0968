/**
 * A KeyValueBackend on one RocksDB folder. Opened by the application for the embedded broker and for each
 * task's state; a folder belongs to one process at a time.
 *
 * Adds to rocksdb-library.ts what the port promises: writes in the order of the calls, close that waits for
 * what is in flight, and no write after a failed one (RocksDB may have it or not: reopen and read).
 */

import { assert } from '../base/assert.ts';
import type { Entry, KeyRange, KeyValueBackend, Write } from '../base/backend-port.ts';
import { StreamsError } from '../base/errors.ts';
import { type RocksCursor, RocksDatabase, type RocksDbOptions } from './rocksdb-library.ts';

const rangePageEntries = 10_000;

/**
 * Opens the database of a folder, creating it when it is not there.
 * Errors: STORE_LOCKED, STORE_CORRUPTED, STORE_LIBRARY_UNUSABLE, STORE_IO_FAILED.
 */
export async function openRocksDbBackend(
  path: string,
  options: RocksDbOptions = {},
): Promise<KeyValueBackend> {
  return new RocksDbBackend(path, await RocksDatabase.open(path, options));
}

class RocksDbBackend implements KeyValueBackend {
  readonly #path: string;
  readonly #database: RocksDatabase;
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #cursors = new Set<RocksCursor>();
  #lastWrite: Promise<void> = Promise.resolve();
  #failed: StreamsError | undefined;
  #closed: Promise<void> | undefined;

  constructor(path: string, database: RocksDatabase) {
    this.#path = path;
    this.#database = database;
  }

  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    this.#checkOpen();
    if (keys.length === 0) return [];
    for (const key of keys) assert(key.length > 0, 'a key has no bytes', { file: this.#path });
    return this.#tracked(this.#database.getMany(keys));
  }

  async range(range: KeyRange): Promise<Entry[]> {
    this.#checkOpen();
    const pages: Entry[][] = [];
    for await (const page of this.#pages(range, rangePageEntries)) pages.push(page);
    return pages.length === 1 ? (pages[0] as Entry[]) : pages.flat();
  }

  async *scan(range: KeyRange, pageSize: number): AsyncIterable<readonly Entry[]> {
    this.#checkOpen();
    assert(pageSize > 0, 'a page holds at least one entry', { file: this.#path });
    yield* this.#pages(range, pageSize);
  }

  async write(writes: readonly Write[], options: { readonly sync?: boolean } = {}): Promise<void> {
    this.#checkOpen();
    // The queue keeps the order of the calls: RocksDB runs each write as its own job in a thread pool.
    const done = this.#lastWrite.then(() => this.#writeNow(writes, options.sync === true));
    this.#lastWrite = done.catch(() => {});
    await this.#tracked(done);
  }

  async sizeBytes(): Promise<number> {
    this.#checkOpen();
    return this.#database.sizeBytes();
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeNow();
    return this.#closed;
  }

  async #closeNow(): Promise<void> {
    await Promise.allSettled([...this.#inFlight]);
    // A scan that its reader holds half-read must not keep the folder locked.
    for (const cursor of this.#cursors) await cursor.close();
    await this.#database.close();
  }

  async #writeNow(writes: readonly Write[], sync: boolean): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    if (writes.length === 0) return;
    for (const { key } of writes) assert(key.length > 0, 'a key has no bytes', { file: this.#path });
    try {
      await this.#database.write(writes, sync);
      this.#database.requireBackgroundHealth();
    } catch (error) {
      this.#failed = error as StreamsError;
      throw error;
    }
  }

  async *#pages(range: KeyRange, pageSize: number): AsyncGenerator<Entry[]> {
    // The binding takes an empty upper bound for none, and a limit of 0 for one.
    if (range.to?.length === 0 || (range.limit !== undefined && range.limit <= 0)) return;
    const cursor = this.#database.openCursor(range);
    this.#cursors.add(cursor);
    try {
      while (true) {
        const page = await this.#tracked(cursor.next(pageSize));
        if (page.length > 0) yield page;
        if (page.length < pageSize) return;
        this.#checkOpen();
      }
    } finally {
      this.#cursors.delete(cursor);
      await cursor.close();
    }
  }

  #tracked<T>(work: Promise<T>): Promise<T> {
    this.#inFlight.add(work);
    const forget = () => this.#inFlight.delete(work);
    work.then(forget, forget);
    return work;
  }

  #checkOpen(): void {
    if (this.#closed === undefined) return;
    throw new StreamsError('INVARIANT_BROKEN', 'the store was used after it was closed', {
      context: { file: this.#path },
    });
  }
}
