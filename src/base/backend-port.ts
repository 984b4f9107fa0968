/**
 * Bytes at rest: an ordered map of byte keys to byte values with atomic batches. Adapters:
 * store/rocksdb-backend.ts (disk) and store/memory-backend.ts. Held to one contract suite
 * (test/contract/backend-contract.ts). The embedded broker and the state stores both stand on it.
 */

/** A range of keys. Order: byte order; `from` inclusive, `to` exclusive, both open when absent. */
export interface KeyRange {
  readonly from?: Buffer;
  readonly to?: Buffer;
  readonly reverse?: boolean;
  readonly limit?: number;
}

export interface Entry {
  readonly key: Buffer;
  readonly value: Buffer;
}

/** A change: `value` null deletes the key. */
export interface Write {
  readonly key: Buffer;
  readonly value: Buffer | null;
}

export interface KeyValueBackend {
  /** Values in the order of the keys; undefined where there is none. One snapshot for all of them. */
  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]>;
  /** The entries of a range from one snapshot. */
  range(range: KeyRange): Promise<Entry[]>;
  /** Like `range`, in pages of at most `pageSize` entries, for ranges that do not fit in memory. */
  scan(range: KeyRange, pageSize: number): AsyncIterable<readonly Entry[]>;
  /**
   * All or nothing; later writes of a key win. `sync` waits for the disk (survives a power loss); without
   * it the batch survives a killed process. Order: one batch in flight at a time, or writes may overtake
   * each other; callers await.
   * Errors: STORE_IO_FAILED (the outcome is unknown: close, reopen and read before going on).
   */
  write(writes: readonly Write[], options?: { readonly sync?: boolean }): Promise<void>;
  /** Rough bytes on disk (or in memory). */
  sizeBytes(): Promise<number>;
  /** Idempotent. Waits for what is in flight. */
  close(): Promise<void>;
}

/**
 * Opens the backend of a folder, creating it when it is not there.
 * Errors: STORE_LOCKED (another process has it), STORE_CORRUPTED, STORE_LIBRARY_UNUSABLE.
 */
export type OpenBackend = (path: string) => Promise<KeyValueBackend>;
