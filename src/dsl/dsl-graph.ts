/**
 * The topology under construction, as all streams and tables of one builder share it: generated names,
 * operator nodes, stores, repartition topics. Called by the DSL's classes only.
 *
 * Names follow Kafka Streams to the letter (one counter over the whole builder, also moved on where an
 * explicit name is given), so that a topology written in Java has the same store and topic names here.
 */
import type { StoreSpec, TopicRef } from '../graph/node.ts';
import type { ProcessorSupplier } from '../graph/supplier.ts';
import { Topology } from '../graph/topology.ts';
import type { Serde } from '../serde/serde.ts';
import type { GlobalKTable, KStream, KTable } from './api.ts';
import { OperatorNotes, type RepartitionNote } from './operator-notes.ts';
import { StreamFilter } from './operators/stream-filter.ts';
import {
  asSerde,
  invalidTopology,
  type Materialized,
  needSerde,
  type Repartitioned,
  type SameTypeOptions,
  type StoreOptions,
  storeSettings,
} from './options.ts';
import type { TableView } from './table-view.ts';
import { timestampedSerde } from './timestamped.ts';

/** Where a stream stands in the graph. */
export interface StreamHandle<K, V> {
  readonly node: string;
  /** Undefined: an operator above changed the type, so an operator below has to say it. */
  readonly keySerde: Serde<K> | undefined;
  readonly valueSerde: Serde<NonNullable<V>> | undefined;
  /** The topics its records come from: what a join must co-partition. */
  readonly sources: readonly TopicRef[];
  /** The key may have changed since the records were partitioned by it. */
  readonly keyChanged: boolean;
}

/** A window takes records until T reaches its end and grace, or, with an inclusive end, until T has passed them. */
export interface WindowClose {
  readonly graceMs: number;
  readonly endInclusive: boolean;
}

/** Where a table stands in the graph. */
export interface TableHandle<K, V> {
  readonly node: string;
  readonly keySerde: Serde<K> | undefined;
  readonly valueSerde: Serde<V> | undefined;
  readonly sources: readonly TopicRef[];
  readonly view: TableView<K, V>;
  /** The store's name, if the user gave it one. */
  readonly queryable?: string | undefined;
  /** Of windowed tables, and of those derived from them row by row: when a row is final. */
  readonly windowClose?: WindowClose;
}

/** Where a global table is read; every processor may, without being connected. */
export interface GlobalTableHandle<K, V> {
  readonly store: string;
  readonly keySerde: Serde<K>;
  readonly valueSerde: Serde<V>;
}

/** Makes the classes behind the interfaces; streams and tables lead to each other, files must not. */
export interface DslClasses {
  stream<K, V>(graph: DslGraph, handle: StreamHandle<K, V>): KStream<K, V>;
  table<K, V>(graph: DslGraph, handle: TableHandle<K, V>): KTable<K, V>;
}

interface AddOperator<KIn, VIn, KOut, VOut> {
  readonly name: string;
  readonly parents: readonly string[];
  readonly supplier: ProcessorSupplier<KIn, VIn, KOut, VOut>;
  readonly stores?: readonly string[];
  readonly keepsKey: boolean;
  readonly timerKeySerde?: Serde<unknown>;
}

export class DslGraph {
  readonly topology = new Topology();
  readonly notes = new OperatorNotes();
  readonly #classes: DslClasses;
  readonly #streams = new WeakMap<object, unknown>();
  readonly #tables = new WeakMap<object, unknown>();
  readonly #globalTables = new WeakMap<object, unknown>();
  /** Repartition topics of streams that were joined without a name, by the stream's node: the next such join reads the same. */
  readonly #forJoins = new Map<string, { readonly handle: unknown; readonly note: RepartitionNote }>();
  #index = 0;

  constructor(classes: DslClasses) {
    this.#classes = classes;
  }

  stream<K, V>(handle: StreamHandle<K, V>): KStream<K, V> {
    const stream = this.#classes.stream(this, handle);
    this.#streams.set(stream, handle);
    return stream;
  }

  table<K, V>(handle: TableHandle<K, V>): KTable<K, V> {
    const table = this.#classes.table(this, handle);
    this.#tables.set(table, handle);
    return table;
  }

  globalTable<K, V>(handle: GlobalTableHandle<K, V>): GlobalKTable<K, V> {
    const table = Object.freeze({ queryableStoreName: handle.store }) as GlobalKTable<K, V>;
    this.#globalTables.set(table, handle);
    return table;
  }

  isGlobalTable(object: object): boolean {
    return this.#globalTables.has(object);
  }

  /** As `streamHandle`. */
  globalTableHandle<K, V>(table: GlobalKTable<K, V>): GlobalTableHandle<K, V> {
    return this.#own(this.#globalTables.get(table)) as GlobalTableHandle<K, V>;
  }

  isTable(object: object): boolean {
    return this.#tables.has(object);
  }

  /** Errors: TOPOLOGY_INVALID for another builder's: both use the same generated names. */
  streamHandle<K, V>(stream: KStream<K, V>): StreamHandle<K, V> {
    return this.#own(this.#streams.get(stream)) as StreamHandle<K, V>;
  }

  /** As `streamHandle`. */
  tableHandle<K, V>(table: KTable<K, V>): TableHandle<K, V> {
    return this.#own(this.#tables.get(table)) as TableHandle<K, V>;
  }

  /** Shape: `<prefix><10 digits>`. */
  generate(prefix: string): string {
    return `${prefix}${String(this.#index++).padStart(10, '0')}`;
  }

  /** The given name, or a generated one; the counter moves on either way. */
  nodeName(named: string | undefined, prefix: string): string {
    const generated = this.generate(prefix);
    return named === undefined ? generated : checkName(named);
  }

  /** A name that the counter does not know of. */
  checkedName(named: string): string {
    return checkName(named);
  }

  /** As `nodeName`, for operators made of several nodes. */
  suffixedName(named: string | undefined, suffix: string, prefix: string): string {
    return this.nodeName(named === undefined ? undefined : `${named}${suffix}`, prefix);
  }

  /** Unlike node names, a given store name leaves the counter where it is. */
  storeName(named: string | undefined, prefix: string): string {
    return named === undefined ? this.generate(`${prefix}STATE-STORE-`) : checkName(named);
  }

  addOperator<KIn, VIn, KOut, VOut>(operator: AddOperator<KIn, VIn, KOut, VOut>): void {
    this.topology.addProcessor({ ...operator, handWritten: false });
  }

  /** A table's store. Errors: TOPOLOGY_INVALID when a serde is missing or the name is taken. */
  addTableStore<K, V>(
    name: string,
    node: string,
    keySerde: Serde<K> | undefined,
    valueSerde: Serde<V> | undefined,
    { versioned, ...settings }: Pick<Materialized<K, V>, keyof StoreOptions | 'versioned'>,
  ): void {
    const hint = `give ${node} materialized: { keySerde, valueSerde }`;
    const keys = needSerde('key', node, hint, keySerde) as Serde<unknown>;
    const values = needSerde('value', node, hint, valueSerde);
    const common = {
      name,
      keySerde: keys,
      ...storeSettings(settings),
      placement: 'record-key' as const,
    };
    const plain = { kind: 'key-value' as const, valueSerde: timestampedSerde(values) as Serde<unknown> };
    this.addStore(
      versioned === undefined
        ? { ...common, ...plain }
        : { ...common, kind: 'versioned', valueSerde: values as Serde<unknown>, ...versioned },
      [node],
    );
  }

  addStore(spec: StoreSpec, nodes: readonly string[]): void {
    this.topology.addStateStore(spec, nodes);
  }

  connect(node: string, stores: readonly string[]): void {
    this.topology.connectProcessorAndStateStores(node, stores);
  }

  /**
   * Writes the stream to an internal topic by its present key and reads it back.
   * `prefix` names the topic; nodes get generated names exactly when it is a generated one.
   * `dropNullKeys`: what comes below cannot use them, so they do not travel. `asked`: by the user, for its own sake.
   */
  repartition<K, V>(
    stream: StreamHandle<K, V>,
    prefix: string,
    options: Omit<Repartitioned<K, V>, 'name'>,
    dropNullKeys: boolean,
    asked = false,
  ): StreamHandle<K, V> {
    const names = this.repartitionNames(prefix);
    const hint = 'give its serdes to the operator that needs the repartition topic';
    const keySerde = needSerde('key', names.topic, hint, options.keySerde, stream.keySerde);
    const valueSerde = needSerde('value', names.topic, hint, options.valueSerde, stream.valueSerde);
    this.topology.addRepartition({ name: names.topic, partitions: options.partitions });
    const note: RepartitionNote = {
      ...names,
      keySerde: keySerde as Serde<unknown>,
      valueSerde: valueSerde as Serde<unknown>,
      dropNullKeys,
    };
    this.addOperator({
      name: names.filter,
      parents: [stream.node],
      supplier: () => new StreamFilter<K, V>((key) => !note.dropNullKeys || key !== null, note.dropNullKeys),
      keepsKey: true,
    });
    if (!asked) this.notes.repartitions.push(note);
    return this.throughTopic(names, [names.filter], keySerde, valueSerde, options.partitioner);
  }

  /**
   * As `repartition`, for a side of a join whose key has changed. `name` is that of the side; without one, a stream
   * that was joined before is read from the topic that it has, as in Kafka Streams.
   */
  repartitionForJoin<K, V>(
    stream: StreamHandle<K, V>,
    name: string | undefined,
    dropNullKeys: boolean,
  ): StreamHandle<K, V> {
    const known = name === undefined ? this.#forJoins.get(stream.node) : undefined;
    if (known === undefined) {
      const handle = this.repartition(stream, name ?? stream.node, {}, dropNullKeys);
      const note = this.notes.repartitions.at(-1);
      if (name === undefined && note !== undefined) this.#forJoins.set(stream.node, { handle, note });
      return handle;
    }
    // Names are taken all the same, so that those after them are Kafka Streams'.
    this.repartitionNames(stream.node);
    known.note.dropNullKeys &&= dropNullKeys;
    const handle = known.handle as StreamHandle<K, V>;
    return {
      ...handle,
      keySerde: stream.keySerde ?? handle.keySerde,
      valueSerde: stream.valueSerde ?? handle.valueSerde,
    };
  }

  /** The topic and node names of a repartition step; moves the counter on by three, as Kafka Streams does. */
  repartitionNames(prefix: string): { topic: string; filter: string; sink: string; source: string } {
    const topic = prefix.endsWith('-repartition') ? prefix : `${prefix}-repartition`;
    const generated = {
      topic,
      sink: this.generate('KSTREAM-SINK-'),
      filter: this.generate('KSTREAM-FILTER-'),
      source: this.generate('KSTREAM-SOURCE-'),
    };
    if (/^KSTREAM.*-[0-9]{10}$/.test(prefix)) return generated;
    return { topic, sink: `${topic}-sink`, filter: `${topic}-filter`, source: `${topic}-source` };
  }

  /** Internal sink and source of an already registered repartition topic. */
  throughTopic<K, V>(
    names: { readonly topic: string; readonly sink: string; readonly source: string },
    parents: readonly string[],
    keySerde: Serde<K>,
    valueSerde: Serde<NonNullable<V>>,
    partitioner?: Repartitioned<K, V>['partitioner'],
  ): StreamHandle<K, V> {
    this.topology.addSink({
      name: names.sink,
      topic: names.topic,
      keySerde,
      valueSerde,
      parents,
      internal: true,
      ...(partitioner === undefined ? {} : { partitioner }),
    });
    this.topology.addSource({
      name: names.source,
      topics: [names.topic],
      keySerde,
      valueSerde,
      internal: true,
    });
    const sources = [{ name: names.topic, internal: true }];
    return { node: names.source, keySerde, valueSerde, sources, keyChanged: false };
  }

  /** Declares that both sides meet by key. Returns the topics of both. */
  copartition(left: readonly TopicRef[], right: readonly TopicRef[]): readonly TopicRef[] {
    const all = [...left];
    for (const topic of right) {
      if (!all.some((other) => other.name === topic.name && other.internal === topic.internal))
        all.push(topic);
    }
    if (all.length > 1) this.topology.copartition(all);
    return all;
  }

  #own(handle: unknown): unknown {
    if (handle !== undefined) return handle;
    throw invalidTopology(
      'a stream or table of another StreamsBuilder cannot be combined with one of this',
      'build both with one builder',
    );
  }
}

/** Whether a source's table has a store even if nobody below reads it. */
export function isStored<K, V>(materialized: SameTypeOptions<K, V>['materialized']): boolean {
  return materialized?.name !== undefined || materialized?.versioned !== undefined;
}

/** Options of a store with all that may be left out filled in from above. */
export function materializedSerdes<K, V>(
  materialized: SameTypeOptions<K, V>['materialized'],
  keySerde: Serde<K> | undefined,
  valueSerde: Serde<V> | undefined,
): { keySerde: Serde<K> | undefined; valueSerde: Serde<V> | undefined } {
  return {
    keySerde: materialized?.keySerde ?? keySerde,
    valueSerde: asSerde(materialized?.valueSerde) ?? valueSerde,
  };
}

function checkName(name: string): string {
  if (/^[A-Za-z0-9._-]{1,200}$/.test(name) && name !== '.' && name !== '..') return name;
  throw invalidTopology(
    `${JSON.stringify(name)} cannot name a part of a topology`,
    'topic names are made of it: letters, digits, dot, dash and underscore, at most 200',
  );
}
