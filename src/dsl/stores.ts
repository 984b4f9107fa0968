/**
 * Definitions of stores for hand-written processors, under the names of Kafka Streams' `Stores`, for
 * `addStateStore`. What is done with them: graph/processor.ts; how they keep it: docs/semantics.md.
 */
import type { StoreSpec } from '../graph/node.ts';
import type { Serde } from '../serde/serde.ts';
import { type StoreOptions, storeSettings } from './options.ts';
import { timestampedSerde } from './timestamped.ts';

/** What each kind of store needs. */
export interface StoreDefinition<K, V> extends StoreOptions {
  readonly name: string;
  readonly keySerde: Serde<K>;
  readonly valueSerde: Serde<V>;
}

export interface VersionedStoreDefinition<K, V> extends StoreDefinition<K, V> {
  /** How far back from the largest time put a version can be read or put, in milliseconds. */
  readonly historyRetentionMs: number;
}

/** Units: milliseconds, back from the largest time put (sessions: end); Infinity keeps for ever. */
export interface SessionStoreDefinition<K, V> extends StoreDefinition<K, V> {
  readonly retentionMs: number;
}

export interface WindowStoreDefinition<K, V> extends SessionStoreDefinition<K, V> {
  /** Keep several values of one key and time. Default false. */
  readonly retainDuplicates?: boolean;
}

function define<K, V>(kind: StoreSpec['kind'], definition: StoreDefinition<K, V>): StoreSpec {
  const { name, keySerde, valueSerde, ...settings } = definition;
  return {
    name,
    kind,
    keySerde: keySerde as Serde<unknown>,
    valueSerde: valueSerde as Serde<unknown>,
    ...storeSettings(settings),
  };
}

function windowStore<K, V>(definition: WindowStoreDefinition<K, V>): StoreSpec {
  const { retentionMs, retainDuplicates = false } = definition;
  return { ...define('window', definition), retentionMs, retainDuplicates };
}

/**
 * Makes definitions of stores.
 *
 * @example
 * ```ts
 * // amounts: o1=30@100, o1=12@200, o1=5@90000
 * builder.addStateStore(
 *   Stores.windowStore({
 *     name: 'recent',
 *     keySerde: stringSerde,
 *     valueSerde: longSerde,
 *     retentionMs: 60_000,
 *     persistent: false,
 *   }),
 * );
 * class LastMinute implements Processor<string, number, string, number> {
 *   #context!: ProcessorContext<string, number>;
 *   #recent!: WindowStore<string, number>;
 *   init(context: ProcessorContext<string, number>) {
 *     this.#context = context;
 *     this.#recent = context.getStateStore('recent');
 *   }
 *   process(record: Record<string, number>) {
 *     this.#recent.put(record.key, record.value, record.timestamp);
 *     let value = 0;
 *     for (const [, amount] of this.#recent.fetch(record.key, 0, record.timestamp)) value += amount;
 *     this.#context.forward({ ...record, value });
 *   }
 *   prefetch({ key, timestamp }: Record<string, number>) {
 *     const [from, to] = [{ key, timestampMs: 0 }, { key, timestampMs: timestamp }];
 *     return [{ store: 'recent', from, to }];
 *   }
 * }
 * const sums = amounts.process(() => new LastMinute(), { stores: ['recent'], keepsKey: true });
 * // sums: o1=30@100, o1=42@200, o1=5@90000
 * ```
 */
export const Stores = {
  /** For a `KeyValueStore<K, V>`. */
  keyValueStore: <K, V>(definition: StoreDefinition<K, V>): StoreSpec => define('key-value', definition),
  /** For a `KeyValueStore<K, ValueAndTimestamp<V>>`: what tables keep. */
  timestampedKeyValueStore: <K, V>(definition: StoreDefinition<K, V>): StoreSpec =>
    define('key-value', { ...definition, valueSerde: timestampedSerde(definition.valueSerde) }),
  /** For a `VersionedKeyValueStore<K, V>`. */
  versionedKeyValueStore: <K, V>(definition: VersionedStoreDefinition<K, V>): StoreSpec => ({
    ...define('versioned', definition),
    historyRetentionMs: definition.historyRetentionMs,
  }),
  /** For a `WindowStore<K, V>`, without duplicates a `SingleWindowStore<K, V>` too. */
  windowStore,
  /** For a `WindowStore<K, ValueAndTimestamp<V>>`: what windowed aggregates keep. */
  timestampedWindowStore: <K, V>(definition: WindowStoreDefinition<K, V>): StoreSpec =>
    windowStore({ ...definition, valueSerde: timestampedSerde(definition.valueSerde) }),
  /** For a `SessionStore<K, V>`. */
  sessionStore: <K, V>(definition: SessionStoreDefinition<K, V>): StoreSpec => ({
    ...define('session', definition),
    retentionMs: definition.retentionMs,
  }),
} as const;
