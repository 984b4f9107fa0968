/**
 * A topology in three forms. The text is Kafka Streams' own, so that existing viewers parse it
 * (source: org.apache.kafka.streams.processor.internals.InternalTopologyBuilder.TopologyDescription).
 */
import { inHashOrder, inKafkaOrder, type OrderedNode } from './description-order.ts';
import type { GlobalStoreSpec, SinkNode, SourceNode } from './node.ts';
import type { TopologyParts } from './subtopology.ts';

function list(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}

function sinkTopic(node: SinkNode): string {
  return typeof node.topic === 'function' ? 'chosen per record' : node.topic.name;
}

function sourceTopics({ pattern, topics }: SourceNode): string {
  // The pattern as it was written: the anchors are ours.
  if (pattern !== undefined) return pattern.source.slice(4, -2);
  return `[${inHashOrder(topics.map(({ name }) => name)).join(', ')}]`;
}

function describeNode({ node, above, below }: OrderedNode, companions: ReadonlySet<string>): string {
  const to = `      --> ${list(below)}\n`;
  const from = `      <-- ${list(above)}\n`;
  if (node.kind === 'source') return `    Source: ${node.name} (topics: ${sourceTopics(node)})\n${to}`;
  if (node.kind === 'processor') {
    const stores = inHashOrder(node.stores.filter((name) => !companions.has(name)));
    return `    Processor: ${node.name} (stores: [${stores.join(', ')}])\n${to}${from}`;
  }
  const topic =
    typeof node.topic === 'function' ? 'extractor class: per record' : `topic: ${node.topic.name}`;
  return `    Sink: ${node.name} (${topic})\n${from}`;
}

function describeGlobal({ source, processor, topic, store }: GlobalStoreSpec): string {
  return (
    `    Source: ${source} (topics: [${topic}])\n      --> ${processor}\n` +
    `    Processor: ${processor} (stores: [${store.name}])\n      --> none\n      <-- ${source}\n`
  );
}

export function describeText({ subtopologies, globals }: TopologyParts): string {
  const texts: string[] = [];
  for (const { id, nodes, stores } of subtopologies) {
    const companions = new Set(stores.filter(({ companion }) => companion === true).map(({ name }) => name));
    const lines = inKafkaOrder(nodes).map((node) => describeNode(node, companions));
    texts[id] = `  Sub-topology: ${id}\n${lines.join('')}\n`;
  }
  for (const { id, spec } of globals)
    texts[id] = `  Sub-topology: ${id} for global store (will not generate tasks)\n${describeGlobal(spec)}`;
  // The stray blank stands before the first one only, as in Kafka Streams: viewers compare the text.
  return `Topologies:\n ${texts.join('')}`;
}

export interface TopologyJson {
  readonly subtopologies: readonly {
    readonly id: number;
    readonly stores: readonly string[];
    readonly nodes: readonly {
      readonly name: string;
      readonly kind: string;
      readonly topics?: readonly string[];
      readonly stores?: readonly string[];
      readonly parents: readonly string[];
      readonly children: readonly string[];
    }[];
  }[];
  /** Read whole by every instance; numbered among the sub-topologies, without tasks. */
  readonly globalStores: readonly {
    readonly id: number;
    readonly store: string;
    readonly topic: string;
    readonly source: string;
    readonly processor: string;
  }[];
}

export function describeJson({ subtopologies, globals }: TopologyParts): TopologyJson {
  return {
    subtopologies: subtopologies.map((part) => ({
      id: part.id,
      stores: part.stores.map((store) => store.name),
      nodes: part.nodes.map((node) => {
        const parents = node.kind === 'source' ? [] : node.parents;
        const children = node.kind === 'sink' ? [] : node.children;
        const base = { name: node.name, kind: node.kind, parents, children };
        if (node.kind === 'source') return { ...base, topics: node.topics.map((topic) => topic.name) };
        if (node.kind === 'sink') return { ...base, topics: [sinkTopic(node)] };
        return { ...base, stores: node.stores };
      }),
    })),
    globalStores: globals.map(({ id, spec: { store, topic, source, processor } }) => ({
      id,
      store: store.name,
      topic,
      source,
      processor,
    })),
  };
}

export function describeDot({ subtopologies, globals }: TopologyParts): string {
  const id = (name: string): string => JSON.stringify(name);
  const lines = ['digraph topology {', '  rankdir=LR;', '  node [shape=box, style=rounded];'];
  const topics = new Set<string>();
  for (const part of subtopologies) {
    lines.push(`  subgraph cluster_${part.id} {`, `    label=${id(`sub-topology ${part.id}`)};`);
    for (const node of part.nodes) if (node.kind === 'processor') lines.push(`    ${id(node.name)};`);
    for (const store of part.stores)
      lines.push(`    ${id(`store ${store.name}`)} [label=${id(store.name)}, shape=cylinder];`);
    lines.push('  }');
    for (const node of part.nodes) {
      if (node.kind === 'processor') {
        for (const store of node.stores)
          lines.push(`  ${id(node.name)} -> ${id(`store ${store}`)} [dir=both, style=dashed];`);
      }
      const from = node.kind === 'source' ? node.topics.map((topic) => `topic ${topic.name}`) : [node.name];
      if (node.kind === 'source') for (const topic of node.topics) topics.add(topic.name);
      if (node.kind === 'sink') {
        topics.add(sinkTopic(node));
        continue;
      }
      for (const child of node.children) {
        const target = part.nodes.find((other) => other.name === child);
        const to = target?.kind === 'sink' ? `topic ${sinkTopic(target)}` : child;
        for (const start of from) lines.push(`  ${id(start)} -> ${id(to)};`);
      }
    }
  }
  for (const { spec } of globals) {
    const store = `store ${spec.store.name}`;
    lines.push(`  ${id(store)} [label=${id(spec.store.name)}, shape=cylinder, peripheries=2];`);
    lines.push(`  ${id(`topic ${spec.topic}`)} -> ${id(store)};`);
    topics.add(spec.topic);
  }
  for (const topic of topics)
    lines.push(
      `  ${id(`topic ${topic}`)} [label=${id(topic)}, shape=cds, style=filled, fillcolor="#eef3f7"];`,
    );
  return `${lines.join('\n')}\n}\n`;
}
