/**
 * Topology: the graph of sources, processors, stores and sinks. Users build it by hand or through the DSL
 * (dsl/streams-builder.ts); tasks run it. Pure: nothing here reads a topic or opens a store.
 *
 * Errors: every misuse is TOPOLOGY_INVALID at the call that makes it, naming the node.
 */
import { StreamsError } from '../base/errors.ts';
import type { Serde } from '../serde/serde.ts';
import { type AsyncStep, obstacleToCalls } from './async-step.ts';
import { describeDot, describeJson, describeText, type TopologyJson } from './describe.ts';
import type {
  GraphNode,
  ProcessorNode,
  RepartitionSpec,
  SinkNode,
  SourceNode,
  StoreSpec,
  StreamPartitioner,
  TimestampExtractor,
  TopicRef,
} from './node.ts';
import type { ProcessorSupplier, Record } from './processor.ts';
import { type Subtopology, splitIntoSubtopologies } from './subtopology.ts';

function invalid(sentence: string, hint?: string): StreamsError {
  return new StreamsError('TOPOLOGY_INVALID', sentence, hint === undefined ? {} : { hint });
}

export interface AddSource<K, V> {
  readonly name: string;
  readonly topics: readonly string[];
  readonly keySerde: Serde<K>;
  readonly valueSerde: Serde<V>;
  readonly timestampExtractor?: TimestampExtractor;
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

export class Topology {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #stores = new Map<string, StoreSpec>();
  readonly #repartitions = new Map<string, RepartitionSpec>();
  readonly #sourceOfTopic = new Map<string, string>();
  readonly #copartitioned: TopicRef[][] = [];

  /** Reads topics. A topic has one source; add children to it instead of a second source. */
  addSource<K, V>(options: AddSource<K, V>): this {
    this.#checkName(options.name);
    if (options.topics.length === 0) throw invalid(`source ${options.name} names no topic`);
    const internal = options.internal ?? false;
    for (const topic of options.topics) {
      const other = this.#sourceOfTopic.get(topic);
      if (other !== undefined) {
        throw invalid(`topic ${topic} already has the source ${other}`, `give ${other} another child`);
      }
      this.#sourceOfTopic.set(topic, options.name);
    }
    const node: SourceNode = {
      kind: 'source',
      name: options.name,
      topics: options.topics.map((name) => ({ name, internal })),
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
      handWritten: options.handWritten ?? true,
      asyncStep: options.asyncStep,
    };
    if (node.asyncStep !== undefined) this.#checkCallsAreKnown(node.name, node.parents);
    this.#nodes.set(node.name, node);
    this.#adopt(node.name, options.parents);
    this.connectProcessorAndStateStores(node.name, options.stores ?? []);
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

  /** Defines a store and connects it to the named processors. */
  addStateStore(spec: StoreSpec, processors: readonly string[] = []): this {
    if (this.#stores.has(spec.name)) throw invalid(`there are two stores named ${spec.name}`);
    if (!/^[A-Za-z0-9._-]+$/.test(spec.name)) {
      throw invalid(
        `${spec.name} cannot name a store`,
        'its changelog topic allows letters, digits, dot, dash and underscore',
      );
    }
    this.#stores.set(spec.name, spec);
    for (const name of processors) this.connectProcessorAndStateStores(name, [spec.name]);
    return this;
  }

  connectProcessorAndStateStores(processor: string, stores: readonly string[]): this {
    const node = this.#nodes.get(processor);
    if (node?.kind !== 'processor')
      throw invalid(`${processor} is not a processor, so no store can be connected to it`);
    for (const store of stores) {
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

  /** The parts that are not connected by an edge or a store, numbered in the order of their first source. */
  subtopologies(): readonly Subtopology[] {
    return splitIntoSubtopologies(this.nodes(), this.#stores);
  }

  /** Kafka Streams' text form, which topology viewers parse. */
  describe(): string {
    return describeText(this.subtopologies());
  }

  describeJson(): TopologyJson {
    return describeJson(this.subtopologies());
  }

  /** Graphviz. */
  describeDot(): string {
    return describeDot(this.subtopologies());
  }

  #checkName(name: string): void {
    if (this.#nodes.has(name)) throw invalid(`there are two nodes named ${name}`, 'give each its own name');
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
