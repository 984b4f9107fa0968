/** The parts a topology is made of: plain data that the builder fills and the task brings to life. */
import type { Serde } from '../serde/serde.ts';
import type { AsyncStep } from './async-step.ts';
import type { Processor, Record } from './processor.ts';

/** Milliseconds since the epoch; negative drops the record. `partitionTimeMs`: the largest so far, or -1. */
export type TimestampExtractor = (record: Record<unknown, unknown>, partitionTimeMs: number) => number;

/**
 * The partition, of `partitions`; undefined = by the key's murmur2 hash, as Kafka. A list: one copy for each of
 * its partitions; an empty one drops the record.
 */
export type StreamPartitioner = (
  topic: string,
  key: unknown,
  value: unknown,
  partitions: number,
) => number | readonly number[] | undefined;

/** A topic by its name, or one of the application's own, whose name gets the prefix `<application.id>-`. */
export interface TopicRef {
  readonly name: string;
  readonly internal: boolean;
}

/**
 * Where a source begins that has no committed offset. `none`: it refuses to begin. `byDurationMs`: with the first
 * record whose timestamp is at most so old, else at the end (Kafka's `by_duration`).
 */
export type OffsetReset = 'earliest' | 'latest' | 'none' | { readonly byDurationMs: number };

export interface SourceNode {
  readonly kind: 'source';
  readonly name: string;
  /** Of a pattern: those that it matched when the topology was bound (`Topology.withTopics`). */
  readonly topics: readonly TopicRef[];
  readonly pattern: RegExp | undefined;
  readonly offsetReset: OffsetReset;
  readonly keySerde: Serde<unknown>;
  readonly valueSerde: Serde<unknown>;
  readonly timestampExtractor: TimestampExtractor | undefined;
  readonly children: string[];
}

export interface ProcessorNode {
  readonly kind: 'processor';
  readonly name: string;
  readonly supplier: () => Processor<unknown, unknown>;
  readonly stores: string[];
  readonly parents: readonly string[];
  readonly children: string[];
  /**
   * The key that goes out is the key that came in, and reads of stores are by that key: the engine may
   * then load state by the source record's key for everything downstream.
   */
  readonly keepsKey: boolean;
  /** Of the keys of its timers; undefined: they are keys of the first source above it. */
  readonly timerKeySerde: Serde<unknown> | undefined;
  /** Written by the user, not by the DSL: a read that was not declared is an error, not a slow path. */
  readonly handWritten: boolean;
  /** Its supplier makes an AsyncNodeProcessor. Undefined: a plain, synchronous processor. */
  readonly asyncStep: AsyncStep | undefined;
}

export interface SinkNode {
  readonly kind: 'sink';
  readonly name: string;
  /** Static, or chosen per record (then never internal). */
  readonly topic: TopicRef | ((record: Record<unknown, unknown>) => string);
  readonly keySerde: Serde<unknown>;
  readonly valueSerde: Serde<unknown>;
  readonly partitioner: StreamPartitioner | undefined;
  readonly parents: readonly string[];
}

export type GraphNode = SourceNode | ProcessorNode | SinkNode;

/**
 * A state store's definition. Units: milliseconds; `retentionMs` is of window and session stores (Infinity
 * keeps for ever), `historyRetentionMs` of versioned ones, and each needs its own.
 */
export interface StoreSpec {
  readonly name: string;
  readonly kind: 'key-value' | 'window' | 'session' | 'versioned';
  readonly keySerde: Serde<unknown>;
  readonly valueSerde: Serde<unknown>;
  /** False: lost when the task moves. */
  readonly changelog: boolean;
  readonly retentionMs?: number;
  readonly retainDuplicates?: boolean;
  readonly historyRetentionMs?: number;
  /** False: kept in memory, and replayed from the changelog when it is opened. Default true. */
  readonly persistent?: boolean;
  /** Entries that are kept decoded, the most recent ones. Default: the application's `cacheEntriesMax`. */
  readonly cacheEntriesMax?: number;
  /**
   * Who removes the rows of a window or session store that are older than its retention. `operator`: it knows the
   * time, and which windows there are (windowed aggregates). `segments`: the store, whose rows lie by time, so
   * that they are dear to find over a long time and cheap to remove (joins). Default: the store, by an index.
   */
  readonly expiry?: 'operator' | 'segments';
  /** Stands beside another store of its operator; Kafka Streams has none there, so its text form leaves it out. */
  readonly companion?: boolean;
  /** More settings of the changelog topic, in Kafka's names. */
  readonly changelogConfig?: Readonly<globalThis.Record<string, string>>;
}

/**
 * A store that every instance fills with all partitions of a topic before its tasks run, and goes on following.
 * Any processor reads it, without being connected; none may write it. The topic is its changelog.
 */
export interface GlobalStoreSpec {
  /** Of kind `key-value`, without a changelog of its own. */
  readonly store: StoreSpec;
  readonly topic: string;
  /** Node names, for descriptions. */
  readonly source: string;
  readonly processor: string;
  /** Of the topic's records. */
  readonly keySerde: Serde<unknown>;
  readonly valueSerde: Serde<unknown>;
  readonly timestampExtractor: TimestampExtractor | undefined;
  /**
   * What a record changes; a row of null deletes. Pure: it is called again after a restart, and on every
   * instance. A record with a null key never comes here.
   */
  readonly rows: (record: Record<unknown, unknown>) => Iterable<readonly [key: unknown, row: unknown]>;
}

/** An internal topic through which records get a new key. `partitions` undefined = as its co-partitioned ones. */
export interface RepartitionSpec {
  readonly name: string;
  readonly partitions: number | undefined;
}
