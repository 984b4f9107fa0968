/**
 * Global stores as tasks see them, and how a topic's records become their rows. The stores are filled by
 * restore/global-replica.ts; any task of the instance reads them, none writes them.
 */

import type { Write } from '../base/backend-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import type { RecordBatch } from '../broker/broker-port.ts';
import type { GlobalStoreSpec, StoreSpec, TopicRows } from '../graph/node.ts';
import type { StateStore } from '../graph/processor.ts';
import type { GlobalState } from '../store/global-state.ts';
import type { LoadRequest } from '../store/task-state.ts';
import { type TaskStore, TypedKeyValueStore } from './typed-stores.ts';

class GlobalKeyValueStore<K, V> extends TypedKeyValueStore<K, V> {
  override put(): void {
    throw this.#readOnly();
  }

  override putIfAbsent(): V | undefined {
    throw this.#readOnly();
  }

  override delete(): V | undefined {
    throw this.#readOnly();
  }

  #readOnly(): StreamsError {
    return new StreamsError('STORE_READ_ONLY', `${this.name} is a global store: tasks only read it`, {
      context: { store: this.name },
      hint: 'write to its topic, and every instance will have it',
    });
  }
}

/** One instance's global stores, shared by its tasks. */
export class GlobalStores {
  readonly #specs: ReadonlyMap<string, GlobalStoreSpec>;
  readonly #state: GlobalState;

  constructor(specs: readonly GlobalStoreSpec[], state: GlobalState) {
    this.#specs = new Map(specs.map((spec) => [spec.store.name, spec]));
    this.#state = state;
  }

  has(store: string): boolean {
    return this.#specs.has(store);
  }

  /** For one task's processors. */
  open(store: string): (StateStore & TaskStore) | undefined {
    const spec = this.#specs.get(store);
    return spec === undefined
      ? undefined
      : new GlobalKeyValueStore<unknown, unknown>(spec.store, this.#state);
  }

  /** Errors: of kind `fatal` where the disk fails, for it is no task's damage. */
  async load(requests: readonly LoadRequest[]): Promise<void> {
    try {
      await this.#state.load(requests);
    } catch (error) {
      const { code, message } = asStreamsError(error, 'STORE_IO_FAILED');
      throw new StreamsError(code, `the global stores cannot be read: ${message}`, {
        cause: error,
        kind: 'fatal',
      });
    }
  }

  endRound(): void {
    this.#state.endRound();
  }

  /** The value of a key on the disk, for queries. */
  get(store: string, key: Buffer): Promise<Buffer | undefined> {
    return this.#state.getCommitted(store, key);
  }
}

/** What became of a batch. `unreadable`: records that were left out, with the reason. */
export interface GlobalRows {
  readonly writes: readonly Write[];
  readonly unreadable: readonly { readonly offset: number; readonly error: StreamsError }[];
}

/**
 * A batch of the topic as changes of the store, in order; a record with a null key is none.
 * Errors: what is no record's fault, such as a registry that is away: ask again with the same batch.
 */
export function globalRows(spec: GlobalStoreSpec, batch: RecordBatch): Promise<GlobalRows> {
  return rowsOfBatch(spec, spec.store, batch);
}

/** As `globalRows`, for any store that is made of a topic. `until`: records from this offset on are left out. */
export async function rowsOfBatch(
  spec: TopicRows,
  store: StoreSpec,
  batch: RecordBatch,
  until = Number.POSITIVE_INFINITY,
): Promise<GlobalRows> {
  const { keySerde, valueSerde } = spec;
  const writes: Write[] = [];
  const unreadable: { offset: number; error: StreamsError }[] = [];
  for (let index = 0; index < batch.count; index++) {
    const key = batch.key(index);
    const value = batch.value(index);
    if (batch.offset(index) >= until) break;
    if (key === null) continue;
    try {
      if (keySerde.prepare !== undefined) await keySerde.prepare(key);
      if (value !== null && valueSerde.prepare !== undefined) await valueSerde.prepare(value);
      // All rows of a record or none.
      const rows: Write[] = [];
      for (const [rowKey, row] of rowsOf(spec, batch, index)) {
        const bytes = store.keySerde.serialize(rowKey, store.name);
        const rowBytes = row === null ? null : store.valueSerde.serialize(row, store.name);
        if (bytes !== null) rows.push({ key: bytes, value: rowBytes });
      }
      writes.push(...rows);
    } catch (error) {
      const failure = asStreamsError(error, 'RECORD_UNREADABLE');
      if (failure.kind !== 'poison') throw failure;
      unreadable.push({ offset: batch.offset(index), error: failure });
    }
  }
  return { writes, unreadable };
}

function rowsOf(spec: TopicRows, batch: RecordBatch, index: number): ReturnType<TopicRows['rows']> {
  const record = {
    key: spec.keySerde.deserialize(batch.key(index), batch.topic),
    value: spec.valueSerde.deserialize(batch.value(index), batch.topic),
    timestamp: batch.timestamp(index),
    headers: batch.headers(index),
  };
  // The time that partitions have reached is a task's; here, as in Kafka Streams, there is none.
  const timestamp = spec.timestampExtractor?.(record, -1) ?? record.timestamp;
  return timestamp < 0 ? [] : spec.rows({ ...record, timestamp });
}
