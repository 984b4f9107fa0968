/**
 * KeyValueBackends in memory, for tests, the test driver, the simulator and stores that are not
 * persistent; never a fallback for a disk.
 *
 * `MemoryDisk` plays a machine's disk: folders outlive their backends, a folder is open once at a time, a
 * `kill` keeps everything and a `powerLoss` loses what was not synced. `openMemoryBackend` is one folder,
 * gone when it is closed.
 */
import { assert } from '../base/assert.ts';
import type { Entry, KeyRange, KeyValueBackend, OpenBackend, Write } from '../base/backend-port.ts';
import { fromMapKey, mapKey } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import { SortedMap } from './memory-sorted-map.ts';

export interface MemoryBackendOptions {
  /** Called before each batch is applied. What it throws fails the write, and every later one. */
  readonly beforeWrite?: (writes: readonly Write[], sync: boolean) => void | Promise<void>;
}

/** What a batch replaced, newest last: undoing it backwards gives the folder as it was at the last sync. */
interface Undo {
  readonly key: string;
  readonly value: Buffer | null;
}

interface Folder {
  readonly entries: SortedMap;
  /** Undefined where no power loss will be played: the list would grow until the next sync. */
  unsynced: Undo[] | undefined;
  owner: MemoryBackend | undefined;
}

/** An empty backend that nobody else sees. */
export function openMemoryBackend(options: MemoryBackendOptions = {}): Promise<KeyValueBackend> {
  return Promise.resolve(openMemory(options));
}

/** As `openMemoryBackend`, at once. */
export function openMemory(options: MemoryBackendOptions = {}): KeyValueBackend {
  const folder: Folder = { entries: new SortedMap(), unsynced: undefined, owner: undefined };
  return new MemoryBackend('memory', folder, options);
}

export class MemoryDisk {
  readonly #options: MemoryBackendOptions;
  readonly #folders = new Map<string, Folder>();

  constructor(options: MemoryBackendOptions = {}) {
    this.#options = options;
  }

  /** Errors: STORE_LOCKED. */
  readonly open: OpenBackend = async (path) => {
    const folder = this.#folders.get(path) ?? { entries: new SortedMap(), unsynced: [], owner: undefined };
    this.#folders.set(path, folder);
    if (folder.owner !== undefined) {
      throw new StreamsError('STORE_LOCKED', `the folder ${path} is in use by another process`, {
        context: { file: path },
      });
    }
    const backend = new MemoryBackend(path, folder, this.#options);
    folder.owner = backend;
    return backend;
  };

  /** Ends the process that holds the folders below `prefix`: nothing written is lost, nothing more is written. */
  kill(prefix = ''): void {
    for (const [path, folder] of this.#folders) {
      if (!path.startsWith(prefix)) continue;
      folder.owner?.abandon();
      folder.owner = undefined;
    }
  }

  /** Like `kill`, and takes back whatever no sync has covered. */
  powerLoss(prefix = ''): void {
    this.kill(prefix);
    for (const [path, folder] of this.#folders) {
      if (!path.startsWith(prefix)) continue;
      for (const { key, value } of (folder.unsynced ?? []).reverse()) folder.entries.set(key, value);
      folder.unsynced = [];
    }
  }

  /** Removes the folders below `prefix`, which nobody may have open. */
  remove(prefix: string): void {
    for (const [path, folder] of this.#folders) {
      if (!path.startsWith(prefix)) continue;
      assert(folder.owner === undefined, 'a folder in use cannot be removed', { file: path });
      this.#folders.delete(path);
    }
  }
}

class MemoryBackend implements KeyValueBackend {
  readonly #path: string;
  readonly #folder: Folder;
  readonly #options: MemoryBackendOptions;
  #lastWrite: Promise<void> = Promise.resolve();
  #failed: unknown;
  #closed: Promise<void> | undefined;
  #abandoned = false;

  constructor(path: string, folder: Folder, options: MemoryBackendOptions) {
    this.#path = path;
    this.#folder = folder;
    this.#options = options;
  }

  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    this.#checkOpen();
    return keys.map((key) => {
      assert(key.length > 0, 'a key has no bytes', { file: this.#path });
      return this.#folder.entries.get(mapKey(key));
    });
  }

  async range(range: KeyRange): Promise<Entry[]> {
    this.#checkOpen();
    return [...this.#entries(range)];
  }

  async *scan(range: KeyRange, pageSize: number): AsyncIterable<readonly Entry[]> {
    this.#checkOpen();
    assert(pageSize > 0, 'a page holds at least one entry', { file: this.#path });
    let page: Entry[] = [];
    for (const entry of this.#entries(range)) {
      page.push(entry);
      if (page.length < pageSize) continue;
      yield page;
      this.#checkOpen();
      page = [];
    }
    if (page.length > 0) yield page;
  }

  async write(writes: readonly Write[], options: { readonly sync?: boolean } = {}): Promise<void> {
    this.#checkOpen();
    const done = this.#lastWrite.then(() => this.#writeNow(writes, options.sync === true));
    this.#lastWrite = done.catch(() => {});
    await done;
  }

  async sizeBytes(): Promise<number> {
    this.#checkOpen();
    return this.#folder.entries.bytes;
  }

  close(): Promise<void> {
    this.#closed ??= this.#lastWrite.then(() => {
      if (this.#folder.owner === this) this.#folder.owner = undefined;
    });
    return this.#closed;
  }

  /** Its process is gone: what is still called has no effect. */
  abandon(): void {
    this.#abandoned = true;
  }

  async #writeNow(writes: readonly Write[], sync: boolean): Promise<void> {
    if (this.#failed !== undefined) throw this.#failed;
    try {
      await this.#options.beforeWrite?.(writes, sync);
    } catch (error) {
      this.#failed = new StreamsError('STORE_IO_FAILED', 'writing the database failed', {
        context: { file: this.#path },
        cause: error,
      });
      throw this.#failed;
    }
    this.#checkAlive();
    for (const { key, value } of writes) {
      assert(key.length > 0, 'a key has no bytes', { file: this.#path });
      const name = mapKey(key);
      // Copied, as a disk would: the caller may use its buffer again.
      const before = this.#folder.entries.set(name, value === null ? null : Buffer.from(value));
      if (!sync) this.#folder.unsynced?.push({ key: name, value: before ?? null });
    }
    if (sync && this.#folder.unsynced !== undefined) this.#folder.unsynced = [];
  }

  *#entries({ from, to, reverse, limit = Number.POSITIVE_INFINITY }: KeyRange): Generator<Entry> {
    if (limit <= 0) return;
    const snapshot = this.#folder.entries.snapshot();
    const start = from === undefined ? '' : mapKey(from);
    const end = to === undefined ? undefined : mapKey(to);
    let count = 0;
    const found = reverse === true ? snapshot.descending(start, end) : snapshot.ascending(start, end);
    for (const [key, value] of found) {
      yield { key: fromMapKey(key), value };
      if (++count >= limit) return;
    }
  }

  #checkOpen(): void {
    this.#checkAlive();
    if (this.#closed === undefined) return;
    throw new StreamsError('INVARIANT_BROKEN', 'the store was used after it was closed', {
      context: { file: this.#path },
    });
  }

  #checkAlive(): void {
    if (!this.#abandoned) return;
    throw new StreamsError('STORE_IO_FAILED', 'the process that held the store was ended', {
      context: { file: this.#path },
    });
  }
}
