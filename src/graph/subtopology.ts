/**
 * Sub-topologies: the parts of a graph that share no edge and no store. Each runs as one task per
 * partition of its sources; records go from one to another through topics only.
 */
import { must } from '../base/assert.ts';
import type {
  GlobalStoreSpec,
  GraphNode,
  ProcessorNode,
  SinkNode,
  SourceNode,
  StoreSpec,
  TopicRef,
} from './node.ts';

export interface Subtopology {
  readonly id: number;
  readonly sources: readonly SourceNode[];
  readonly processors: readonly ProcessorNode[];
  readonly sinks: readonly SinkNode[];
  readonly stores: readonly StoreSpec[];
  /** All nodes, parents before children. */
  readonly nodes: readonly GraphNode[];
}

/** A global store with its number among the sub-topologies; it makes no tasks. */
export interface GlobalPart {
  readonly id: number;
  readonly spec: GlobalStoreSpec;
}

export interface TopologyParts {
  readonly subtopologies: readonly Subtopology[];
  readonly globals: readonly GlobalPart[];
}

/** The name of a topic as the broker knows it. */
export function resolveTopic(topic: TopicRef, applicationId: string): string {
  return topic.internal ? `${applicationId}-${topic.name}` : topic.name;
}

/** Kafka Streams' name of a store's changelog topic. */
export function changelogTopic(applicationId: string, store: string): string {
  return `${applicationId}-${store}-changelog`;
}

/** `globals` in the order in which they were added; `sourceOrder`: the names of all sources, theirs too. */
export function splitIntoSubtopologies(
  nodes: readonly GraphNode[],
  stores: ReadonlyMap<string, StoreSpec>,
  globals: readonly GlobalStoreSpec[],
  sourceOrder: readonly string[],
): TopologyParts {
  const parent = new Map<string, string>();
  const find = (name: string): string => {
    let root = name;
    for (let up = parent.get(root); up !== undefined && up !== root; up = parent.get(root)) root = up;
    parent.set(name, root);
    return root;
  };
  const union = (a: string, b: string): void => {
    parent.set(find(b), find(a));
  };
  for (const node of nodes) {
    find(node.name);
    if (node.kind === 'source') continue;
    for (const up of node.parents) union(up, node.name);
    if (node.kind === 'processor') for (const store of node.stores) union(`store/${store}`, node.name);
  }
  const groups = new Map<string, GraphNode[]>();
  // By the order of their sources, so that adding an operator at the end renumbers nothing before it.
  const globalOf = new Map(globals.map((spec) => [spec.source, spec]));
  const globalParts: GlobalPart[] = [];
  const idOf = new Map<string, number>();
  for (const source of sourceOrder) {
    const id = globalParts.length + groups.size;
    const spec = globalOf.get(source);
    if (spec !== undefined) globalParts.push({ id, spec });
    else if (!groups.has(find(source))) {
      groups.set(find(source), []);
      idOf.set(find(source), id);
    }
  }
  for (const node of nodes)
    must(groups.get(find(node.name)), `node ${node.name} has no source above it`).push(node);
  const subtopologies = [...groups].map(([root, members]) => {
    const id = must(idOf.get(root), `the part of ${root} has no number`);
    const processors = members.filter((node): node is ProcessorNode => node.kind === 'processor');
    const names = new Set(processors.flatMap((node) => node.stores));
    return {
      id,
      nodes: members,
      sources: members.filter((node): node is SourceNode => node.kind === 'source'),
      processors,
      sinks: members.filter((node): node is SinkNode => node.kind === 'sink'),
      stores: [...names].sort().map((name) => must(stores.get(name), `store ${name} is not defined`)),
    };
  });
  return { subtopologies, globals: globalParts };
}

/** Shape: `<sub-topology>_<partition>`. */
export function taskIdOf(subtopology: number, partition: number): string {
  return `${subtopology}_${partition}`;
}

export function parseTaskId(taskId: string): { subtopology: number; partition: number } {
  const [subtopology, partition] = taskId.split('_');
  return { subtopology: Number(subtopology), partition: Number(partition) };
}
