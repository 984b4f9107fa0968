/**
 * What the DSL's operators take: functions and option objects, under Kafka Streams' names. Where Java has
 * an overload per combination, here is one object; everything in it may be left out unless said otherwise.
 *
 * Argument order: predicates, key-value mappers and actions get (key, value) as in Java; value mappers and
 * joiners get the value or values first and the key last, so that the short form is the common one.
 */
import { StreamsError } from '../base/errors.ts';
import type { OffsetReset, StoreSpec, StreamPartitioner, TimestampExtractor } from '../graph/node.ts';
import type { ProcessorContext } from '../graph/processor.ts';
import type { Serde } from '../serde/serde.ts';

export type KeyValue<K, V> = readonly [key: K, value: V];
export type Predicate<K, V> = (key: K, value: V) => boolean;
/** A predicate that also narrows the value's type. */
export type TypePredicate<K, V, V2 extends V> = (key: K, value: V) => value is V2;
export type ForeachAction<K, V> = (key: K, value: V) => void;
export type KeyValueMapper<K, V, R> = (key: K, value: V) => R;
export type ValueMapper<K, V, R> = (value: V, key: K) => R;
export type ValueJoiner<K, V1, V2, R> = (left: V1, right: V2, key: K) => R;
export type Initializer<A> = () => A;
/** Null deletes the aggregate. Must be pure: a record may be processed again after its state was loaded. */
export type Aggregator<K, V, A> = (key: K, value: V, aggregate: A) => A | null;
export type Reducer<V> = (aggregate: V, value: V) => V | null;

/**
 * A serde that can write every `V`; what is read back is what was written, so that of a wider type will do
 * (a stream narrowed by `filter` keeps the serde of the whole union). For values whose type is known.
 */
export interface SerdeFor<V> {
  readonly name: string;
  readonly serialize: (value: V | null, topic: string) => Buffer | null;
  deserialize(bytes: Buffer | null, topic: string): unknown;
  prepare?(bytes: Buffer): Promise<void> | undefined;
}

/** A value mapper with a life: it may read the stores that it is given, and is shown deletions as null. */
export interface ValueTransformerWithKey<K, V, V2> {
  init?(context: ProcessorContext<never, never>): void;
  /** Null: the result has no such row. Must be pure but for its stores. */
  transform(key: K, value: V | null): V2 | null;
}

/** Called once per task, and once more for each operator that looks into a result without a store. */
export interface ValueTransformerSupplier<K, V, V2> {
  (): ValueTransformerWithKey<K, V, V2>;
  /** Stores that it brings; see `withStores`. */
  readonly stores?: readonly StoreSpec[];
}

export interface Named {
  /** Names the node; stores and topics are named by `materialized`, `grouped` and `joined`. */
  readonly named?: string;
}

/** Serdes of a source; required, for a topic's bytes do not say what they are. */
export interface Consumed<K, V> extends Named {
  readonly keySerde: Serde<K>;
  readonly valueSerde: Serde<V>;
  readonly timestampExtractor?: TimestampExtractor;
  /** Where reading begins when the group has committed nothing yet. Default: earliest. */
  readonly offsetReset?: OffsetReset;
}

export interface Produced<K, V> extends Named {
  readonly keySerde?: Serde<K>;
  readonly valueSerde?: SerdeFor<NonNullable<V>>;
  readonly partitioner?: StreamPartitioner;
}

export interface Repartitioned<K, V> {
  /** The topic becomes `<application.id>-<name>-repartition`. */
  readonly name?: string;
  readonly keySerde?: Serde<K>;
  readonly valueSerde?: SerdeFor<NonNullable<V>>;
  readonly partitions?: number;
  readonly partitioner?: StreamPartitioner;
}

export interface Grouped<K, V> {
  /** Names the repartition topic, if one is needed. */
  readonly name?: string;
  readonly keySerde?: Serde<K>;
  readonly valueSerde?: SerdeFor<NonNullable<V>>;
}

export interface Joined<K, V> {
  /** Names the node and the repartition topic, if one is needed. */
  readonly name?: string;
  readonly keySerde?: Serde<K>;
  readonly valueSerde?: SerdeFor<NonNullable<V>>;
  /**
   * Holds each stream record back until the newest one is so many milliseconds ahead, so that changes of the
   * table that come late are seen. The table must be versioned.
   */
  readonly gracePeriodMs?: number;
}

/** How an operator's store is kept; the same choices as for stores of processors (`Stores`). */
export interface StoreOptions {
  /** False: what is stored is lost when the task moves. */
  readonly logging?: boolean;
  /** More settings of the changelog topic, in Kafka's names. */
  readonly changelogConfig?: Readonly<Record<string, string>>;
  /** False: in memory, and replayed from the changelog whenever the task is opened. */
  readonly persistent?: boolean;
  /** Entries kept decoded, of each of its stores in each task. It changes no result: there is no record cache. */
  readonly cacheEntriesMax?: number;
}

/** Errors: TOPOLOGY_INVALID, from `Topology.addStateStore`. */
export function storeSettings({
  logging = true,
  changelogConfig,
  persistent,
  cacheEntriesMax,
}: StoreOptions): Pick<StoreSpec, 'changelog' | 'changelogConfig' | 'persistent' | 'cacheEntriesMax'> {
  return {
    changelog: logging,
    ...(changelogConfig === undefined ? {} : { changelogConfig }),
    ...(persistent === undefined ? {} : { persistent }),
    ...(cacheEntriesMax === undefined ? {} : { cacheEntriesMax }),
  };
}

export interface StreamJoined<K, V, VOther> extends Omit<Joined<K, V>, 'gracePeriodMs'>, StoreOptions {
  /** Names the join's stores, and so their changelogs. */
  readonly storeName?: string;
  readonly otherValueSerde?: SerdeFor<NonNullable<VOther>>;
}

/** Of a left or outer join. */
export interface OuterStreamJoined<K, V, VOther> extends StreamJoined<K, V, VOther> {
  /**
   * `strict`: a record without partner comes out once, after its window and grace are over, and then nothing
   * joins it any more; what is later than the grace is dropped. Also on an idle input (see `idleMs`). Without it
   * unmatched records come out as in Kafka Streams, sometimes before a partner.
   */
  readonly unmatched?: 'strict';
  /**
   * Of `strict`: an input that is read to its end for so long counts as idle, and from then on the join's time
   * goes on with the wall clock. Default 5000, at least 1.
   */
  readonly idleMs?: number;
}

export interface Materialized<K, V> extends StoreOptions {
  readonly name?: string;
  readonly keySerde?: Serde<K>;
  readonly valueSerde?: Serde<V>;
  /** Keeps the rows of the past too; the table needs a name then. */
  readonly versioned?: VersionedOptions;
}

/**
 * A versioned table's store. Changes that come out of order go into its history and do not take part in joins and
 * aggregates; stream-table joins look up the row as of the stream record's time.
 */
export interface VersionedOptions {
  /** How far back from the newest change, in milliseconds; what is older is refused. */
  readonly historyRetentionMs: number;
}

export interface TableOptions<K, V> extends Named {
  readonly materialized?: Materialized<K, V>;
}

/** The other table's key for a row of this one; null when it has none. Must be pure. */
export type ForeignKeyExtractor<K, V, KO> = (value: V, key: K) => KO | null;

/** Of a join by foreign key. `named` also names its topics and the store of subscriptions. */
export interface ForeignKeyJoinOptions<K, V, KO, VOut> extends TableOptions<K, VOut> {
  readonly foreignKeyExtractor: ForeignKeyExtractor<K, V, KO>;
  /** How the other table's topic is partitioned, when not by Kafka's default; the value is always null. */
  readonly otherPartitioner?: StreamPartitioner;
}

/** Of an operator that keeps the type of its values. */
export interface SameTypeOptions<K, V> extends Named {
  readonly materialized?: Omit<Materialized<K, V>, 'valueSerde'> & { readonly valueSerde?: SerdeFor<V> };
}

/** An aggregate's type is new, so its serde cannot be inherited. */
export interface AggregateOptions<K, A> extends Named {
  readonly materialized: Materialized<K, A> & { readonly valueSerde: Serde<A> };
}

export interface TransformValuesOptions<K, V> extends TableOptions<K, V> {
  /** Stores to connect; define them with `StreamsBuilder.addStateStore` first. */
  readonly stores?: readonly string[];
}

export interface ProcessValuesOptions extends Named {
  /** Stores to connect; define them with `StreamsBuilder.addStateStore` first. */
  readonly stores?: readonly string[];
}

export interface Printed<K, V> extends Named {
  /** Takes each line; it may be called more than once for a record. */
  readonly write: (line: string) => void;
  /** Default: the name of the node above. */
  readonly label?: string;
  /** Default: `key, value`. */
  readonly mapper?: KeyValueMapper<K, V, string>;
}

/** `named`: of the splitting node, and the beginning of every branch's name. */
export interface NamedSplit<P extends string> {
  readonly named?: P;
}

/** A branch of `split`. `name` ends the name of its node and its key in the result. */
export interface Branched<N extends string, S, R> {
  readonly name?: N;
  /** What comes out of it stands in the result in the branch's place; nothing does when it gives undefined. */
  readonly withFunction?: (branch: S) => R;
}

/** A branch that is used up here and not in the result. */
export interface BranchedConsumer<N extends string, S> {
  readonly name?: N;
  readonly withConsumer: (branch: S) => void;
}

export interface ProcessOptions extends Named {
  /** Stores to connect; define them with `StreamsBuilder.addStateStore` first. */
  readonly stores?: readonly string[];
  /**
   * True: the processor forwards under the key it was given, so that nothing has to be repartitioned
   * (Kafka Streams' `processValues`). A processor that breaks the promise puts records on wrong partitions.
   */
  readonly keepsKey?: boolean;
}

/**
 * A right record joins a left one when leftTime - beforeMs <= rightTime <= leftTime + afterMs.
 * `graceMs`: how long after its end an unmatched record of a left or outer join waits for late matches.
 */
export interface JoinWindows {
  readonly beforeMs: number;
  readonly afterMs: number;
  readonly graceMs: number;
}

export function invalidTopology(sentence: string, hint?: string): StreamsError {
  return new StreamsError('TOPOLOGY_INVALID', sentence, hint === undefined ? {} : { hint });
}

/** See SerdeFor for why this holds. */
export function asSerde<T>(serde: SerdeFor<T>): Serde<T>;
export function asSerde<T>(serde: SerdeFor<T> | undefined): Serde<T> | undefined;
export function asSerde<T>(serde: SerdeFor<T> | undefined): Serde<T> | undefined {
  return serde as Serde<T> | undefined;
}

/** The serde that is there. Errors: TOPOLOGY_INVALID, saying who needs it and where to give it. */
export function needSerde<T>(
  what: 'key' | 'value',
  node: string,
  hint: string,
  ...choices: readonly (SerdeFor<T> | undefined)[]
): Serde<T> {
  const found = choices.find((serde) => serde !== undefined);
  if (found !== undefined) return asSerde(found);
  throw invalidTopology(`${node} has no ${what} serde: an operator above it changed the ${what}`, hint);
}

const idleMsDefault = 5_000;

/** Undefined: unmatched records come out as in Kafka Streams. Errors: TOPOLOGY_INVALID. */
export function checkUnmatched<K, V, VOther>(
  { unmatched, idleMs }: OuterStreamJoined<K, V, VOther>,
  isInner: boolean,
): { readonly idleMs: number } | undefined {
  if (unmatched === undefined) {
    if (idleMs === undefined) return undefined;
    throw invalidTopology(
      'a join has idleMs, which only strict joins use',
      "give it unmatched: 'strict' too",
    );
  }
  if (unmatched !== 'strict')
    throw invalidTopology(`unmatched can be 'strict' or left out, not ${JSON.stringify(unmatched)}`);
  if (isInner)
    throw invalidTopology("an inner join has no unmatched records: unmatched: 'strict' means nothing to it");
  const checked = idleMs ?? idleMsDefault;
  if (!Number.isSafeInteger(checked) || checked < 1)
    throw invalidTopology(`a join needs idleMs in whole milliseconds, at least 1, not ${String(idleMs)}`);
  return { idleMs: checked };
}

/** Errors: TOPOLOGY_INVALID for a window that is not one, or that leaves out its grace. */
export function checkJoinWindows(windows: JoinWindows): JoinWindows {
  for (const name of ['beforeMs', 'afterMs', 'graceMs'] as const) {
    // Callers without types, or with settings from a file, come here too.
    const value: unknown = windows[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value))
      throw invalidTopology(
        `a join window needs ${name} in whole milliseconds, not ${String(value)}`,
        'give beforeMs, afterMs and graceMs; graceMs: 0 means that nothing may come late',
      );
  }
  const { beforeMs, afterMs, graceMs } = windows;
  if (graceMs < 0) throw invalidTopology(`a join window's graceMs cannot be negative, it is ${graceMs}`);
  if (beforeMs + afterMs < 0)
    throw invalidTopology(
      `a join window from ${-beforeMs} to ${afterMs} ms is empty`,
      'beforeMs + afterMs must not be negative',
    );
  return windows;
}
