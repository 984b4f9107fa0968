/**
 * Topology: the graph of sources, processors, stores and sinks. Users build it by hand or through the DSL
 * (dsl/streams-builder.ts); tasks run it. Pure: nothing here reads a topic or opens a store.
 *
 * Errors: every misuse is TOPOLOGY_INVALID at the call that makes it, naming the node.
 */
import { StreamsError } from '../base/errors.ts';
import type { Serde } from '../serde/serde.ts';
import { type AsyncStep, obstacleToCalls } from './async-step.ts';
import { checkStore } from './check-store.ts';
import { describeDot, describeJson, describeText, type TopologyJson } from './describe.ts';
import type {
  GlobalStoreSpec,
  GraphNode,
  OffsetReset,
  ProcessorNode,
  RepartitionSpec,
  SinkNode,
  SourceNode,
  StoreSpec,
  StreamPartitioner,
  TimestampExtractor,
  TopicRef,
} from './node.ts';
import type { Record } from './processor.ts';
import { type Subtopology, splitIntoSubtopologies, type TopologyParts } from './subtopology.ts';
import type { ProcessorSupplier } from './supplier.ts';

function invalid(sentence: string, hint?: string): StreamsError {
  return new StreamsError('TOPOLOGY_INVALID', sentence, hint === undefined ? {} : { hint });
}

function checkOffsetReset(source: string, offsetReset: OffsetReset | undefined): void {
  if (typeof offsetReset !== 'object') return;
  const { byDurationMs } = offsetReset;
  if (Number.isSafeInteger(byDurationMs) && byDurationMs >= 0) return;
  throw invalid(`byDurationMs of source ${source} is whole milliseconds, not ${String(byDurationMs)}`);
}

/** Kafka Streams matches whole names. */
export function wholeName(pattern: RegExp): RegExp {
  return new RegExp(`^(?:${pattern.source})$`, pattern.flags.replace(/[gy]/g, ''));
}

/** The reverse of `wholeName`. */
export function asWritten(pattern: RegExp): RegExp {
  return new RegExp(pattern.source.slice(4, -2), pattern.flags);
}

/** Stands for a pattern's topics until they are known; no topic can be named so. */
export function patternTopic(pattern: RegExp): TopicRef {
  return { name: String(pattern), internal: false };
}

export interface AddSource<K, V> {
  readonly name: string;
  /** A pattern has to match the whole name; it is matched when the application starts. */
  readonly topics: readonly string[] | RegExp;
  readonly keySerde: Serde<K>;
  readonly valueSerde: Serde<V>;
  readonly timestampExtractor?: TimestampExtractor;
  /** Default: earliest. */
  readonly offsetReset?: OffsetReset;
  /** The topics are this application's own (repartition topics). */
  readonly internal?: boolean;
}

export interface AddProcessor<KIn, VIn, KOut, VOut> {
  readonly name: string;
  readonly supplier: ProcessorSupplier<KIn, VIn, KOut, VOut>;
  readonly parents: readonly string[];
  readonly stores?: readonly string[];
  readonly keepsKey?: boolean;
  readonly handWritten?: boolean;
  /** The supplier makes an AsyncNodeProcessor. */
  readonly asyncStep?: AsyncStep;
  /** Where timers have keys of their own: by default they are keys of the first source. */
  readonly timerKeySerde?: Serde<unknown>;
}

export interface AddSink<K, V> {
  readonly name: string;
  readonly topic: string | ((record: Record<K, V>) => string);
  readonly keySerde: Serde<K>;
  readonly valueSerde: Serde<V>;
  readonly parents: readonly string[];
  readonly partitioner?: StreamPartitioner;
  readonly internal?: boolean;
}

export interface AddGlobalStore<K, V> {
  /** Its serdes are those of the rows; `changelog` has to be false. */
  readonly store: StoreSpec;
  readonly topic: string;
  /** Node names, for descriptions. */
  readonly source: string;
  readonly processor: string;
  readonly keySerde: Serde<K>;
  readonly valueSerde: Serde<V>;
  readonly timestampExtractor?: TimestampExtractor;
  /** By default the value under the key. See `GlobalStoreSpec.rows`. */
  readonly rows?: (record: Record<K, V | null>) => Iterable<readonly [key: unknown, row: unknown]>;
}

export class Topology {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #globals = new Map<string, GlobalStoreSpec>();
  readonly #stores = new Map<string, StoreSpec>();
  readonly #repartitions = new Map<string, RepartitionSpec>();
  readonly #sourceOfTopic = new Map<string, string>();
  readonly #copartitioned: TopicRef[][] = [];

  /** Reads topics. A topic has one source; add children to it instead of a second source. */
  addSource<K, V>(options: AddSource<K, V>): this {
    this.#checkName(options.name);
    const pattern = options.topics instanceof RegExp ? wholeName(options.topics) : undefined;
    const topics = options.topics instanceof RegExp ? [] : options.topics;
    if (pattern === undefined && topics.length === 0) throw invalid(`source ${options.name} names no topic`);
    checkOffsetReset(options.name, options.offsetReset);
    const internal = options.internal ?? false;
    for (const topic of topics) this.#claimTopic(topic, options.name);
    if (pattern !== undefined) this.#claimPattern(pattern, options.name);
    const node: SourceNode = {
      kind: 'source',
      name: options.name,
      topics: topics.map((name) => ({ name, internal })),
      pattern,
      offsetReset: options.offsetReset ?? 'earliest',
      keySerde: options.keySerde as Serde<unknown>,
      valueSerde: options.valueSerde as Serde<unknown>,
      timestampExtractor: options.timestampExtractor,
      children: [],
    };
    this.#nodes.set(node.name, node);
    return this;
  }

  addProcessor<KIn, VIn, KOut = unknown, VOut = unknown>(options: AddProcessor<KIn, VIn, KOut, VOut>): this {
    this.#checkName(options.name);
    this.#checkParents(options.name, options.parents);
    const node: ProcessorNode = {
      kind: 'processor',
      name: options.name,
      supplier: options.supplier as unknown as ProcessorSupplier<unknown, unknown>,
      stores: [],
      parents: [...options.parents],
      children: [],
      keepsKey: options.keepsKey ?? false,
      timerKeySerde: options.timerKeySerde,
      handWritten: options.handWritten ?? true,
      asyncStep: options.asyncStep,
    };
    if (node.asyncStep !== undefined) this.#checkCallsAreKnown(node.name, node.parents);
    this.#nodes.set(node.name, node);
    this.#adopt(node.name, options.parents);
    this.connectProcessorAndStateStores(node.name, options.stores ?? []);
    for (const spec of options.supplier.stores ?? []) this.addStateStore(spec, [node.name]);
    return this;
  }

  addSink<K, V>(options: AddSink<K, V>): this {
    this.#checkName(options.name);
    this.#checkParents(options.name, options.parents);
    const { topic } = options;
    const node: SinkNode = {
      kind: 'sink',
      name: options.name,
      topic:
        typeof topic === 'string'
          ? { name: topic, internal: options.internal ?? false }
          : (topic as (record: Record<unknown, unknown>) => string),
      keySerde: options.keySerde as Serde<unknown>,
      valueSerde: options.valueSerde as Serde<unknown>,
      partitioner: options.partitioner,
      parents: [...options.parents],
    };
    this.#nodes.set(node.name, node);
    this.#adopt(node.name, options.parents);
    return this;
  }

  /** Defines a store and connects it to the named processors. The very same definition may come again. */
  addStateStore(spec: StoreSpec, processors: readonly string[] = []): this {
    if (this.#stores.get(spec.name) !== spec) this.#defineStore(spec);
    for (const name of processors) this.connectProcessorAndStateStores(name, [spec.name]);
    return this;
  }

  /** A store that every instance fills with a whole topic; any processor may read it and none may write it. */
  addGlobalStore<K, V>(options: AddGlobalStore<K, V>): this {
    const { store, topic, source, processor } = options;
    this.#checkStoreName(store.name);
    for (const name of [source, processor]) this.#checkName(name);
    if (source === processor) throw invalid(`there are two nodes named ${source}`, 'give each its own name');
    if (store.kind !== 'key-value' || store.changelog)
      throw invalid(
        `global store ${store.name} has to be of kind key-value and without a changelog`,
        'its topic is its changelog',
      );
    if (store.persistent === false)
      throw invalid(`global store ${store.name} cannot be in memory alone`, 'leave persistent out');
    this.#claimTopic(topic, source);
    this.#globals.set(store.name, {
      store,
      topic,
      source,
      processor,
      keySerde: options.keySerde as Serde<unknown>,
      valueSerde: options.valueSerde as Serde<unknown>,
      timestampExtractor: options.timestampExtractor,
      rows: (options.rows as GlobalStoreSpec['rows'] | undefined) ?? (({ key, value }) => [[key, value]]),
    });
    return this;
  }

  connectProcessorAndStateStores(processor: string, stores: readonly string[]): this {
    const node = this.#nodes.get(processor);
    if (node?.kind !== 'processor')
      throw invalid(`${processor} is not a processor, so no store can be connected to it`);
    for (const store of stores) {
      if (this.#globals.has(store))
        throw invalid(
          `processor ${processor} names the global store ${store}, which needs no connection`,
          'leave it out: every processor may read it',
        );
      if (!this.#stores.has(store))
        throw invalid(
          `processor ${processor} names the store ${store}, which is not defined`,
          'call addStateStore first',
        );
      const step = this.#asyncStepBelow(node);
      if (step !== undefined) throw this.#callsUnknown(step, `${processor} is given state (${store})`);
      if (!node.stores.includes(store)) node.stores.push(store);
    }
    return this;
  }

  /** An internal topic; write it with an internal sink, read it with an internal source. */
  addRepartition(spec: RepartitionSpec): this {
    if (this.#repartitions.has(spec.name))
      throw invalid(`there are two repartition topics named ${spec.name}`);
    this.#repartitions.set(spec.name, spec);
    return this;
  }

  /** These topics meet in one task by key, so they must have the same partition count; checked at start. */
  copartition(topics: readonly (string | TopicRef)[]): this {
    this.#copartitioned.push(
      topics.map((topic) =>
        typeof topic === 'string' ? { name: topic, internal: this.#repartitions.has(topic) } : topic,
      ),
    );
    return this;
  }

  node(name: string): GraphNode | undefined {
    return this.#nodes.get(name);
  }

  nodes(): readonly GraphNode[] {
    return [...this.#nodes.values()];
  }

  store(name: string): StoreSpec | undefined {
    return this.#stores.get(name);
  }

  stores(): readonly StoreSpec[] {
    return [...this.#stores.values()];
  }

  globalStore(name: string): GlobalStoreSpec | undefined {
    return this.#globals.get(name);
  }

  globalStores(): readonly GlobalStoreSpec[] {
    return [...this.#globals.values()];
  }

  repartitions(): readonly RepartitionSpec[] {
    return [...this.#repartitions.values()];
  }

  copartitionGroups(): readonly (readonly TopicRef[])[] {
    return this.#copartitioned;
  }

  /** The source that reads a topic, for a builder that wants to add a child to it. */
  sourceOf(topic: string): string | undefined {
    return this.#sourceOfTopic.get(topic);
  }

  /** All sources in the order in which they came, those of global stores too. */
  sourceOrder(): readonly string[] {
    return [...new Set(this.#sourceOfTopic.values())];
  }

  /** A source reads the topics of a pattern, which are known when the application starts. */
  get hasPatterns(): boolean {
    return this.nodes().some((node) => node.kind === 'source' && node.pattern !== undefined);
  }

  /** A sink chooses the topic of each record, so that any topic may be written. */
  get choosesTopics(): boolean {
    return this.nodes().some((node) => node.kind === 'sink' && typeof node.topic === 'function');
  }

  /**
   * The same topology with its patterns bound to the topics that are there.
   * Errors: TOPOLOGY_INVALID when a topic is matched twice.
   */
  withTopics(existing: readonly string[]): Topology {
    const bound = new Topology();
    for (const [name, store] of this.#stores) bound.#stores.set(name, store);
    for (const [name, spec] of this.#globals) bound.#globals.set(name, spec);
    for (const [name, spec] of this.#repartitions) bound.#repartitions.set(name, spec);
    for (const [topic, source] of this.#sourceOfTopic) bound.#sourceOfTopic.set(topic, source);
    const topicsOf = new Map<string, readonly TopicRef[]>();
    for (const [name, node] of this.#nodes) {
      if (node.kind !== 'source' || node.pattern === undefined) {
        bound.#nodes.set(name, node);
        continue;
      }
      const { pattern } = node;
      const topics = existing.filter((topic) => pattern.test(topic)).sort();
      for (const topic of topics) {
        const other = bound.#sourceOfTopic.get(topic);
        if (other !== undefined)
          throw invalid(`topic ${topic} is matched by the sources ${other} and ${name}`);
        bound.#sourceOfTopic.set(topic, name);
      }
      const refs = topics.map((topic) => ({ name: topic, internal: false }));
      topicsOf.set(patternTopic(pattern).name, refs);
      bound.#nodes.set(name, { ...node, topics: refs });
    }
    for (const group of this.#copartitioned)
      bound.#copartitioned.push(group.flatMap((topic) => topicsOf.get(topic.name) ?? [topic]));
    return bound;
  }

  /** The parts that are not connected by an edge or a store, numbered in the order of their first source. */
  subtopologies(): readonly Subtopology[] {
    return this.#parts().subtopologies;
  }

  /** Kafka Streams' text form, which topology viewers parse. */
  describe(): string {
    return describeText(this.#parts());
  }

  describeJson(): TopologyJson {
    return describeJson(this.#parts());
  }

  /** Graphviz. */
  describeDot(): string {
    return describeDot(this.#parts());
  }

  #parts(): TopologyParts {
    return splitIntoSubtopologies(this.nodes(), this.#stores, this.globalStores(), this.sourceOrder());
  }

  #defineStore(spec: StoreSpec): void {
    this.#checkStoreName(spec.name);
    checkStore(spec);
    this.#stores.set(spec.name, spec);
  }

  #claimPattern(pattern: RegExp, source: string): void {
    for (const [topic, other] of this.#sourceOfTopic)
      if (pattern.test(topic))
        throw invalid(`topic ${topic} of source ${other} is matched by the pattern of ${source}`);
    this.#sourceOfTopic.set(patternTopic(pattern).name, source);
  }

  #claimTopic(topic: string, source: string): void {
    const matching = this.nodes().find((node) => node.kind === 'source' && node.pattern?.test(topic));
    if (matching !== undefined)
      throw invalid(`topic ${topic} of source ${source} is matched by the pattern of ${matching.name}`);
    const other = this.#sourceOfTopic.get(topic);
    if (other !== undefined)
      throw invalid(`topic ${topic} already has the source ${other}`, `give ${other} another child`);
    this.#sourceOfTopic.set(topic, source);
  }

  #checkStoreName(name: string): void {
    if (this.#stores.has(name) || this.#globals.has(name))
      throw invalid(`there are two stores named ${name}`);
    if (/^[A-Za-z0-9._-]+$/.test(name)) return;
    throw invalid(
      `${name} cannot name a store`,
      'its changelog topic allows letters, digits, dot, dash and underscore',
    );
  }

  #checkName(name: string): void {
    const taken = [...this.#globals.values()].some(
      ({ source, processor }) => source === name || processor === name,
    );
    if (taken || this.#nodes.has(name))
      throw invalid(`there are two nodes named ${name}`, 'give each its own name');
  }

  #checkParents(name: string, parents: readonly string[]): void {
    if (parents.length === 0) throw invalid(`node ${name} has no parent`);
    for (const parent of parents) {
      const node = this.#nodes.get(parent);
      // A parent must exist before its child, so a cycle of processors cannot be built at all.
      if (node === undefined)
        throw invalid(`node ${name} names the parent ${parent}, which is not there`, 'add parents first');
      if (node.kind === 'sink')
        throw invalid(`node ${name} names the sink ${parent} as its parent`, 'read the topic with a source');
    }
  }

  /** Errors: TOPOLOGY_INVALID when something above an async step is not a function of the record alone. */
  #checkCallsAreKnown(step: string, parents: readonly string[]): void {
    for (const parent of parents) {
      const node = this.#nodes.get(parent);
      if (node?.kind !== 'processor') continue;
      const obstacle = obstacleToCalls(node);
      if (obstacle !== undefined) throw this.#callsUnknown(step, obstacle);
      this.#checkCallsAreKnown(step, node.parents);
    }
  }

  #callsUnknown(step: string, obstacle: string): StreamsError {
    return invalid(
      `the calls of the async step ${step} must be known from the source's record alone, but above it ${obstacle}`,
      'put repartition() between the two: the step then stands at the head of a sub-topology of its own',
    );
  }

  #asyncStepBelow(node: ProcessorNode): string | undefined {
    for (const name of node.children) {
      const child = this.#nodes.get(name);
      if (child?.kind !== 'processor') continue;
      if (child.asyncStep !== undefined) return child.name;
      const below = this.#asyncStepBelow(child);
      if (below !== undefined) return below;
    }
    return undefined;
  }

  #adopt(child: string, parents: readonly string[]): void {
    for (const parent of parents) {
      const node = this.#nodes.get(parent);
      if (node !== undefined && node.kind !== 'sink') node.children.push(child);
    }
  }
}
