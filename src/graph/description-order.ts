/**
 * The order in which Kafka Streams prints the nodes of a sub-topology and the names in a line, so that texts can be
 * compared. It is how its collections happen to be filled (InternalTopologyBuilder.describeSubtopology), and says
 * nothing about the order of records. Called by describe.ts.
 */
import { must } from '../base/assert.ts';
import type { GraphNode } from './node.ts';

/** A node with the names above and below it as they are printed. */
export interface OrderedNode {
  readonly node: GraphNode;
  readonly above: readonly string[];
  readonly below: readonly string[];
}

interface Described {
  readonly node: GraphNode;
  readonly above: Described[];
  readonly below: Described[];
  /** The nodes below it, once for each way there, and itself. */
  size: number;
}

/** The order in which a Java HashSet of these names is read. */
export function inHashOrder(names: readonly string[]): string[] {
  const distinct = [...new Set(names)];
  let slots = 16;
  while (distinct.length > slots * 0.75) slots *= 2;
  const slotOf = (name: string): number => {
    let hash = 0;
    for (let index = 0; index < name.length; index++)
      hash = (Math.imul(hash, 31) + name.charCodeAt(index)) | 0;
    return (hash ^ (hash >>> 16)) & (slots - 1);
  };
  return distinct
    .map((name) => ({ name, slot: slotOf(name) }))
    .sort((a, b) => a.slot - b.slot)
    .map(({ name }) => name);
}

/** Who has more below it comes first, then by name. Lists are in the order of the sizes known when they were filled. */
export function inKafkaOrder(nodes: readonly GraphNode[]): OrderedNode[] {
  const sources = nodes.filter(({ kind }) => kind === 'source').map(({ name }) => name);
  const others = nodes.filter(({ kind }) => kind !== 'source').map(({ name }) => name);
  const described = new Map<string, Described>(
    nodes.map((node) => [node.name, { node, above: [], below: [], size: 1 }]),
  );
  const find = (name: string): Described => must(described.get(name), `${name} is not in this sub-topology`);
  for (const name of inHashOrder([...sources, ...others.sort()])) {
    const own = find(name);
    for (const parent of own.node.kind === 'source' ? [] : own.node.parents) {
      const above = find(parent);
      insert(own.above, above);
      insert(above.below, own);
      grow(above, own.size);
    }
  }
  const names = (list: readonly Described[]): string[] => list.map(({ node }) => node.name);
  return [...described.values()]
    .sort(compare)
    .map(({ node, above, below }) => ({ node, above: names(above), below: names(below) }));
}

function compare(a: Described, b: Described): number {
  return b.size - a.size || (a.node.name < b.node.name ? -1 : 1);
}

/** Java's list is a tree: where sizes have changed meanwhile, and there are more than two, it may come to another order. */
function insert(list: Described[], item: Described): void {
  const at = list.findIndex((other) => compare(item, other) < 0);
  if (at < 0) list.push(item);
  else list.splice(at, 0, item);
}

function grow(node: Described, by: number): void {
  node.size += by;
  for (const above of node.above) grow(above, by);
}
