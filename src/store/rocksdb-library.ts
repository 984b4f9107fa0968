/**
 * The gateway to the `rocksdb` package (5.2.1, RocksDB 6.17): the only file that knows its API, its traps
 * and its error texts. Called by rocksdb-backend.ts.
 *
 * The package is loaded when the first database is opened, so that whoever needs no disk needs no binary.
 * Never falls back to memory: what cannot be loaded is STORE_LIBRARY_UNUSABLE.
 *
 * Traps handled here: a null database crashes the process, so nothing is called after close; iterators pin
 * files and a snapshot until ended; `next` costs a tick per entry, so its `cache` is drained; an empty upper
 * bound is ignored by the binding; a chained batch's memory is freed by the garbage collector only, which
 * does not see its size, so one batch object is used again and again.
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Entry, KeyRange, Write } from '../base/backend-port.ts';
import { type ErrorCode, StreamsError } from '../base/errors.ts';
import { findDamage } from './rocksdb-damage.ts';

type Callback<T = void> = (error: Error | null | undefined, result?: T) => void;

/** The parts of the package's classes that are used; it ships no types. */
interface NativeDatabase {
  open(options: Record<string, unknown>, callback: Callback): void;
  close(callback: Callback): void;
  getMany(keys: Buffer[], options: { asBuffer: true }, callback: Callback<(Buffer | undefined)[]>): void;
  iterator(options: Record<string, unknown>): NativeIterator;
  batch(): NativeBatch;
  getProperty(name: string): string;
}

/** Shape of `cache`: value, key, value, key, … with the next entry at the end. */
interface NativeIterator {
  cache: Buffer[] | null;
  next(callback: (error: Error | null | undefined, key?: Buffer, value?: Buffer) => void): void;
  end(callback: Callback): void;
}

/** The underscored methods skip checks and the rule that a batch is written once. */
interface NativeBatch {
  _put(key: Buffer, value: Buffer): void;
  _del(key: Buffer): void;
  _clear(): void;
  _write(options: { sync: boolean }, callback: Callback): void;
}

type NativeConstructor = new (path: string) => NativeDatabase;

export interface RocksDbOptions {
  /** Block cache of this database. */
  readonly cacheBytes?: number;
  /** Two of these are held in memory. */
  readonly writeBufferBytes?: number;
  /** -1 = all files stay open. */
  readonly maxOpenFiles?: number;
}

const defaultOptions = {
  cacheBytes: 16 * 1024 * 1024,
  writeBufferBytes: 16 * 1024 * 1024,
  maxOpenFiles: 512,
};
/** What one native read returns at most; the binding's 16 KiB makes many small trips. */
const iteratorBytesMax = 512 * 1024;
/** A batch that grew beyond this gives its memory back after the write. */
const keptBatchBytesMax = 8 * 1024 * 1024;
/** From this version on the published Linux binary aborts the process inside `require`. */
const firstNodeMajorWithoutPrebuilt = 22;

/** Tables that are read whole when a folder is opened: a second's work at most. */
const verifiedAtOpenBytesMax = 128 * 1024 * 1024;
/** Folders in which a flush or compaction has failed since all of their tables were read. */
const suspects = new Set<string>();

const require = createRequire(import.meta.url);
let library: NativeConstructor | undefined;

function loadLibrary(): NativeConstructor {
  if (library !== undefined) return library;
  const hint = 'run `npm_config_build_from_source=true npm rebuild rocksdb`';
  const nodeMajor = Number(process.versions.node.split('.')[0]);
  try {
    const folder = dirname(require.resolve('rocksdb/package.json'));
    if (process.platform === 'linux' && nodeMajor >= firstNodeMajorWithoutPrebuilt && !isCompiled(folder)) {
      throw new Error(`its published binary does not run on Node ${nodeMajor} and it was not compiled here`);
    }
    library = require('rocksdb') as NativeConstructor;
    return library;
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new StreamsError('STORE_LIBRARY_UNUSABLE', `the package rocksdb cannot be loaded: ${why}`, {
      hint,
      cause: error,
    });
  }
}

function isCompiled(packageFolder: string): boolean {
  const folder = join(packageFolder, 'build', 'Release');
  return existsSync(folder) && readdirSync(folder).some((name) => name.endsWith('.node'));
}

/**
 * Another holder of the folder's lock, here or in another process. A disk that is full or read-only fails on the
 * file LOCK too, and a path may contain any word: neither is a reason to end.
 */
const lockHeld =
  /lock hold by current process|While lock file: .*: (Resource temporarily unavailable|Permission denied)$/;

/** RocksDB gives no codes, only texts; this is the one place that reads them. */
function wrapped(error: Error, path: string, doing: string): StreamsError {
  const text = error.message;
  const about = { context: { file: path }, cause: error };
  if (doing === 'opening' && lockHeld.test(text)) {
    return new StreamsError('STORE_LOCKED', `the folder ${path} is in use by another process`, {
      ...about,
      hint: 'stop the other process or choose another data directory',
    });
  }
  // A file that the manifest or CURRENT names is gone: no retry brings it back.
  const missing = /No such file or directory/.test(text) && doing !== 'creating the folder of';
  const damaged = missing || text.startsWith('Corruption') || text.startsWith('Invalid argument');
  const code: ErrorCode = damaged ? 'STORE_CORRUPTED' : 'STORE_IO_FAILED';
  return new StreamsError(code, `${doing} the database failed: ${text}`, about);
}

/**
 * RocksDB 6.17 notes a folder as locked before it opens the file LOCK, and forgets to take the note back when
 * that fails: after one attempt on a full or read-only disk this process could never open the folder again.
 * Not tried on LOCK itself: to close that file would give up a lock that this process has on it.
 */
async function requireWritable(path: string): Promise<void> {
  const probe = join(path, 'WRITABLE');
  await writeFile(probe, '');
  await rm(probe, { force: true });
}

/** Errors: STORE_CORRUPTED for what rocksdb-damage.ts finds; STORE_IO_FAILED. */
async function requireWhole(path: string): Promise<void> {
  const verifiedBytesMax = suspects.has(path) ? Number.POSITIVE_INFINITY : verifiedAtOpenBytesMax;
  const damage = await findDamage(path, verifiedBytesMax).catch((error: Error) => {
    throw wrapped(error, path, 'checking');
  });
  suspects.delete(path);
  if (damage !== undefined)
    throw new StreamsError('STORE_CORRUPTED', `the database is damaged: ${damage}`, {
      context: { file: path },
    });
}

/** One open database, as promises; errors are StreamsErrors. The caller keeps order and never calls after close. */
export class RocksDatabase {
  readonly #path: string;
  readonly #native: NativeDatabase;
  #batch: NativeBatch | undefined;

  private constructor(path: string, native: NativeDatabase) {
    this.#path = path;
    this.#native = native;
  }

  /** Errors: STORE_LIBRARY_UNUSABLE, STORE_LOCKED, STORE_CORRUPTED, STORE_IO_FAILED. */
  static async open(path: string, options: RocksDbOptions): Promise<RocksDatabase> {
    const Native = loadLibrary();
    try {
      await mkdir(path, { recursive: true });
      await requireWritable(path);
    } catch (error) {
      throw wrapped(error as Error, path, 'creating the folder of');
    }
    await requireWhole(path);
    const native = new Native(path);
    const database = new RocksDatabase(path, native);
    await database.#call<void>('opening', (callback) =>
      native.open(
        {
          createIfMissing: true,
          cacheSize: options.cacheBytes ?? defaultOptions.cacheBytes,
          writeBufferSize: options.writeBufferBytes ?? defaultOptions.writeBufferBytes,
          maxOpenFiles: options.maxOpenFiles ?? defaultOptions.maxOpenFiles,
        },
        callback,
      ),
    );
    return database;
  }

  /** One job, one snapshot. Arguments: no empty key (the binding would skip it and shift the answers). */
  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const found = await this.#call<(Buffer | undefined)[]>('reading', (callback) =>
      this.#native.getMany(keys as Buffer[], { asBuffer: true }, callback),
    );
    return found ?? [];
  }

  /** A cursor on a snapshot taken now. The caller closes it. */
  openCursor(range: KeyRange): RocksCursor {
    const iterator = this.#native.iterator({
      ...(range.from === undefined ? {} : { gte: range.from }),
      ...(range.to === undefined ? {} : { lt: range.to }),
      reverse: range.reverse === true,
      limit: range.limit ?? -1,
      highWaterMark: iteratorBytesMax,
      fillCache: false,
    });
    return new RocksCursor(iterator, (error) => wrapped(error, this.#path, 'reading'));
  }

  /** One write at a time: the batch object is shared and un-awaited jobs overtake each other. */
  async write(writes: readonly Write[], sync: boolean): Promise<void> {
    const batch = this.#batch ?? this.#native.batch();
    this.#batch = batch;
    let bytes = 0;
    for (const { key, value } of writes) {
      bytes += key.length + (value?.length ?? 0);
      if (value === null) batch._del(key);
      else batch._put(key, value);
    }
    try {
      await this.#call<void>('writing', (callback) => batch._write({ sync }, callback));
    } finally {
      batch._clear();
      if (bytes > keptBatchBytesMax) this.#batch = undefined;
    }
  }

  sizeBytes(): number {
    return (
      Number(this.#native.getProperty('rocksdb.total-sst-files-size')) +
      Number(this.#native.getProperty('rocksdb.cur-size-all-mem-tables'))
    );
  }

  /**
   * Fails when a flush or a compaction has failed. RocksDB as the binding opens it keeps such failures to itself,
   * never repeats the flush, and lets a later write wait for it for ever.
   */
  requireBackgroundHealth(): void {
    const failures = Number(this.#native.getProperty('rocksdb.background-errors'));
    if (failures === 0) return;
    suspects.add(this.#path);
    throw new StreamsError('STORE_IO_FAILED', `${failures} flush(es) or compaction(s) failed`, {
      context: { file: this.#path },
    });
  }

  close(): Promise<void> {
    return this.#call<void>('closing', (callback) => this.#native.close(callback)) as Promise<void>;
  }

  #call<T>(doing: string, start: (callback: Callback<T>) => void): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      start((error, result) => {
        if (error) reject(wrapped(error, this.#path, doing));
        else resolve(result);
      });
    });
  }
}

/** Entries of a range in order, from the snapshot of its creation. */
export class RocksCursor {
  readonly #iterator: NativeIterator;
  readonly #wrap: (error: Error) => StreamsError;
  #finished = false;
  #closed: Promise<void> | undefined;

  constructor(iterator: NativeIterator, wrap: (error: Error) => StreamsError) {
    this.#iterator = iterator;
    this.#wrap = wrap;
  }

  /** At most `entriesMax` entries; fewer only at the end of the range. */
  async next(entriesMax: number): Promise<Entry[]> {
    const page: Entry[] = [];
    while (page.length < entriesMax) {
      const cache = this.#iterator.cache;
      while (cache && cache.length > 0 && page.length < entriesMax) {
        page.push({ key: cache.pop() as Buffer, value: cache.pop() as Buffer });
      }
      if (this.#finished || page.length >= entriesMax) break;
      const entry = await this.#nextEntry();
      if (entry === undefined) this.#finished = true;
      else page.push(entry);
    }
    return page;
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closed ??= new Promise((resolve, reject) => {
      this.#iterator.end((error) => (error ? reject(this.#wrap(error)) : resolve()));
    });
    return this.#closed;
  }

  #nextEntry(): Promise<Entry | undefined> {
    return new Promise((resolve, reject) => {
      this.#iterator.next((error, key, value) => {
        if (error) reject(this.#wrap(error));
        else resolve(key === undefined || value === undefined ? undefined : { key, value });
      });
    });
  }
}
