/**
 * A topology like another one, with some of its parts left out, replaced or put in. Called by the optimisation of
 * dsl/optimize.ts; the given topology is left as it is, and nodes keep their order, which is that of their records.
 */
import type { GraphNode, StoreSpec, TopicRef } from './node.ts';
import {
  type AddGlobalStore,
  type AddProcessor,
  type AddSink,
  type AddSource,
  asWritten,
  Topology,
} from './topology.ts';

/** What is put in, as it would be given to the topology. */
export type NewNode =
  | ({ readonly kind: 'source' } & AddSource<unknown, unknown>)
  | ({ readonly kind: 'processor' } & AddProcessor<unknown, unknown, unknown, unknown>)
  | ({ readonly kind: 'sink' } & AddSink<unknown, unknown>);

export interface Rewrite {
  /** Nodes that are left out. */
  readonly drop?: ReadonlySet<string>;
  readonly dropStores?: ReadonlySet<string>;
  /** In place of nodes of the same names. Their children come by themselves. */
  readonly nodes?: ReadonlyMap<string, GraphNode>;
  /** In place of stores of the same names. */
  readonly stores?: ReadonlyMap<string, StoreSpec>;
  /** The parent that a node has in place of one that it had. */
  readonly parentOf?: (node: string, parent: string) => string;
  /** New nodes, right behind those named. */
  readonly after?: ReadonlyMap<string, readonly NewNode[]>;
  /** Repartition topics that are merged into others, by name. */
  readonly topics?: ReadonlyMap<string, string>;
}

export function rewritten(topology: Topology, rewrite: Rewrite): Topology {
  const result = new Topology();
  const topicOf = (name: string): string => rewrite.topics?.get(name) ?? name;
  for (const spec of topology.repartitions())
    if (topicOf(spec.name) === spec.name) result.addRepartition(spec);
  for (const spec of topology.stores())
    if (rewrite.dropStores?.has(spec.name) !== true)
      result.addStateStore(rewrite.stores?.get(spec.name) ?? spec);
  const globals = [...topology.globalStores()];
  const order = topology.sourceOrder();
  const addGlobals = (before: number): void => {
    while (globals[0] !== undefined && order.indexOf(globals[0].source) < before)
      result.addGlobalStore(globals.shift() as AddGlobalStore<unknown, unknown>);
  };
  for (const original of topology.nodes()) {
    const node = rewrite.nodes?.get(original.name) ?? original;
    // Sub-topologies are numbered by their sources, global ones among them.
    if (node.kind === 'source') addGlobals(order.indexOf(node.name));
    if (rewrite.drop?.has(node.name) !== true) addNode(result, node, rewrite);
    for (const added of rewrite.after?.get(node.name) ?? []) addNew(result, added);
  }
  addGlobals(order.length);
  for (const group of topology.copartitionGroups()) {
    const renamed = new Map<string, TopicRef>();
    for (const topic of group) {
      const name = topic.internal ? topicOf(topic.name) : topic.name;
      renamed.set(`${topic.internal} ${name}`, { ...topic, name });
    }
    if (renamed.size > 1) result.copartition([...renamed.values()]);
  }
  return result;
}

function addNode(result: Topology, node: GraphNode, { parentOf = (_node, parent) => parent }: Rewrite): void {
  if (node.kind === 'source') {
    result.addSource({
      ...node,
      topics: node.pattern === undefined ? node.topics.map(({ name }) => name) : asWritten(node.pattern),
      internal: node.topics.some(({ internal }) => internal),
    } as AddSource<unknown, unknown>);
    return;
  }
  const parents = [...new Set(node.parents.map((parent) => parentOf(node.name, parent)))];
  if (node.kind === 'processor') {
    // Its stores are there already, those that its supplier brought among them.
    const supplier = () => node.supplier();
    result.addProcessor({ ...node, parents, supplier } as AddProcessor<unknown, unknown, unknown, unknown>);
    return;
  }
  const { topic } = node;
  result.addSink({
    ...node,
    parents,
    topic: typeof topic === 'function' ? topic : topic.name,
    internal: typeof topic === 'function' ? false : topic.internal,
  } as AddSink<unknown, unknown>);
}

function addNew(result: Topology, node: NewNode): void {
  if (node.kind === 'source') result.addSource(node);
  else if (node.kind === 'processor') result.addProcessor(node);
  else result.addSink(node);
}
