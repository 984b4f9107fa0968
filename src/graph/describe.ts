/**
 * A topology in three forms. The text is Kafka Streams' own, so that existing viewers parse it
 * (source: org.apache.kafka.streams.processor.internals.InternalTopologyBuilder.TopologyDescription).
 */
import type { GraphNode, SinkNode } from './node.ts';
import type { Subtopology } from './subtopology.ts';

function list(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}

function sinkTopic(node: SinkNode): string {
  return typeof node.topic === 'function' ? 'chosen per record' : node.topic.name;
}

function describeNode(node: GraphNode, companions: ReadonlySet<string>): string {
  if (node.kind === 'source') {
    return `    Source: ${node.name} (topics: [${node.topics.map((topic) => topic.name).join(', ')}])\n      --> ${list(node.children)}\n`;
  }
  if (node.kind === 'processor') {
    const stores = node.stores.filter((name) => !companions.has(name));
    return `    Processor: ${node.name} (stores: [${stores.join(', ')}])\n      --> ${list(node.children)}\n      <-- ${list(node.parents)}\n`;
  }
  const topic =
    typeof node.topic === 'function' ? 'extractor class: per record' : `topic: ${node.topic.name}`;
  return `    Sink: ${node.name} (${topic})\n      <-- ${list(node.parents)}\n`;
}

export function describeText(subtopologies: readonly Subtopology[]): string {
  const parts = subtopologies.map(({ id, nodes, stores }) => {
    const companions = new Set(stores.filter(({ companion }) => companion === true).map(({ name }) => name));
    return `  Sub-topology: ${id}\n${nodes.map((node) => describeNode(node, companions)).join('')}\n`;
  });
  // The stray blank stands before the first one only, as in Kafka Streams: viewers compare the text.
  return `Topologies:\n ${parts.join('')}`;
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
}

export function describeJson(subtopologies: readonly Subtopology[]): TopologyJson {
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
  };
}

export function describeDot(subtopologies: readonly Subtopology[]): string {
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
  for (const topic of topics)
    lines.push(
      `  ${id(`topic ${topic}`)} [label=${id(topic)}, shape=cds, style=filled, fillcolor="#eef3f7"];`,
    );
  return `${lines.join('\n')}\n}\n`;
}
