/**
 * Kafka Streams' `topology.optimization`: makes of a topology one with the same results and fewer topics and stores.
 * Called by StreamsBuilder.build. The given topology is left as it is.
 *
 * - `merge.repartition.topics`: one repartition topic right below a change of key, in place of one for each operator
 *   below it. It bears the name of the first of them.
 * - `reuse.ktable.source.topics`: a table of a topic has no changelog; it is restored from the topic.
 * - `single.store.self.join`: an inner join of a stream with itself has one window in place of two.
 *
 * Where Kafka Streams' own rewriting changes results or ends in an error, this leaves the topology as it is or does
 * what was meant; docs/semantics.md lists the places.
 */
import { must } from '../base/assert.ts';
import type { GraphNode, ProcessorNode, SourceNode, StoreSpec } from '../graph/node.ts';
import { type NewNode, rewritten } from '../graph/rewrite.ts';
import type { Topology } from '../graph/topology.ts';
import type { OperatorNotes, RepartitionNote } from './operator-notes.ts';
import { StreamFilter } from './operators/stream-filter.ts';
import { StreamJoinWindow } from './operators/stream-join-window.ts';
import { StreamSelfJoin } from './operators/stream-self-join.ts';
import { invalidTopology } from './options.ts';

export const optimizations = [
  'reuse.ktable.source.topics',
  'merge.repartition.topics',
  'single.store.self.join',
] as const;

export type Optimization = (typeof optimizations)[number];

/** `all`, `none` (the default), or some of them. */
export type TopologyOptimization = 'all' | 'none' | readonly Optimization[];

export function optimize(topology: Topology, notes: OperatorNotes, chosen: TopologyOptimization): Topology {
  const wanted = new Set<string>(chosen === 'all' ? optimizations : chosen === 'none' ? [] : chosen);
  for (const name of wanted)
    if (!optimizations.some((known) => known === name))
      throw invalidTopology(
        `there is no topology optimisation ${name}`,
        `give 'all', 'none' or some of ${optimizations.join(', ')}`,
      );
  let result = topology;
  if (wanted.has('reuse.ktable.source.topics')) result = reuseSourceTopics(result, notes);
  if (wanted.has('merge.repartition.topics')) result = mergeRepartitions(result, notes);
  if (wanted.has('single.store.self.join')) result = joinWithOneStore(result, notes);
  return result;
}

function reuseSourceTopics(topology: Topology, { tableSources }: OperatorNotes): Topology {
  const stores = new Map<string, StoreSpec>();
  for (const { store, topic, source } of tableSources) {
    const spec = topology.store(store);
    const node = topology.node(source);
    // A versioned table has a history that the topic need not have. What begins elsewhere than with the first record
    // could not be told from the topic alone.
    if (spec?.kind !== 'key-value' || !spec.changelog || spec.persistent === false) continue;
    if (node?.kind !== 'source' || node.offsetReset !== 'earliest') continue;
    stores.set(store, { ...spec, changelog: false, restoredFrom: restoredFrom(topic, node) });
  }
  return rewritten(topology, { stores });
}

function restoredFrom(
  topic: string,
  { keySerde, valueSerde, timestampExtractor }: SourceNode,
): NonNullable<StoreSpec['restoredFrom']> {
  return {
    topic,
    keySerde,
    valueSerde,
    timestampExtractor,
    rows: ({ key, value, timestamp }) => [[key, value === null ? null : { value, timestamp }]],
  };
}

/** Repartition topics below one change of key, in the order in which they were made. */
interface Group {
  readonly anchor: string;
  readonly members: readonly RepartitionNote[];
}

function mergeRepartitions(topology: Topology, notes: OperatorNotes): Topology {
  const groups = new Map<string, RepartitionNote[]>();
  for (const note of notes.repartitions) {
    const anchor = anchorOf(topology, notes, note);
    if (anchor !== undefined) groups.set(anchor, [...(groups.get(anchor) ?? []), note]);
  }
  let result = topology;
  for (const [anchor, members] of groups)
    if (haveOneType(members)) result = mergeGroup(result, { anchor, members });
  return result;
}

/** The values of all of them are those of the anchor, but only equal serdes are sure to be for all of these. */
function haveOneType(members: readonly RepartitionNote[]): boolean {
  const [first] = members;
  return members.every(
    ({ keySerde, valueSerde }) => keySerde === first?.keySerde && valueSerde === first.valueSerde,
  );
}

function parentsOf(topology: Topology, name: string): readonly string[] {
  const node = topology.node(name);
  return node === undefined || node.kind === 'source' ? [] : node.parents;
}

/** Kafka Streams' search upwards, whose result for several parents depends on their order. */
function nearest(
  topology: Topology,
  notes: OperatorNotes,
  name: string,
  matches: (name: string) => boolean,
): string | undefined {
  if (matches(name)) return name;
  // It knows a repartition as one node, with what writes the topic above it.
  const above = notes.repartitions.find(({ source }) => source === name)?.filter ?? name;
  let found: string | undefined;
  for (const parent of parentsOf(topology, above)) {
    if (matches(parent)) return parent;
    found = nearest(topology, notes, parent, matches);
  }
  return found;
}

/** The node below which the topic can be: the change of key, or a merge below it. */
function anchorOf(topology: Topology, notes: OperatorNotes, { filter }: RepartitionNote): string | undefined {
  const { keyChanges, valueChanges, merges } = notes;
  const changed = nearest(topology, notes, filter, (name) => keyChanges.has(name) || valueChanges.has(name));
  if (changed === undefined || !keyChanges.has(changed)) return undefined;
  let at = filter;
  for (;;) {
    const parents = parentsOf(topology, at);
    const [parent] = parents;
    if (parent === undefined || parents.length > 1) return undefined;
    if (keyChanges.has(parent) || merges.has(parent)) return parent;
    if (valueChanges.has(parent) || topology.node(parent)?.kind !== 'processor') return undefined;
    at = parent;
  }
}

function mergeGroup(topology: Topology, { anchor, members }: Group): Topology {
  const first = must(members[0], `no repartition topic is below ${anchor}`);
  const { topic, keySerde, valueSerde } = first;
  const names = { filter: `${topic}-filter`, sink: `${topic}-sink`, source: `${topic}-source` };
  const drop = new Set(members.flatMap(({ filter, sink, source }) => [filter, sink, source]));
  const parents = new Map<string, string>();
  const paths = members.map((member) => pathUp(topology, anchor, member.filter));
  for (const [index, path] of paths.entries()) {
    const [above] = path;
    const member = must(members[index], 'a path belongs to a member');
    // What read the topic reads where it was written; directly below the anchor that is the merged topic.
    parents.set(member.source, above ?? names.source);
    const top = path.at(-1);
    if (top !== undefined) parents.set(`${anchor} > ${top}`, names.source);
  }
  const parentOf = (node: string, parent: string): string =>
    parents.get(parent) ?? parents.get(`${parent} > ${node}`) ?? parent;
  // Where something else hangs below an operator that now comes after the topic, it is to see null keys as before.
  const isAlone = (name: string): boolean => {
    const node = topology.node(name);
    return node?.kind === 'processor' && node.children.every((child) => drop.has(child) || onPath.has(child));
  };
  const onPath = new Set(paths.flat());
  const dropNullKeys = members.every((member) => member.dropNullKeys) && [...onPath].every(isAlone);
  const after: NewNode[] = [
    {
      kind: 'processor',
      name: names.filter,
      parents: [anchor],
      supplier: () => new StreamFilter((key) => !dropNullKeys || key !== null, dropNullKeys),
      keepsKey: true,
      handWritten: false,
    },
    {
      kind: 'sink',
      name: names.sink,
      topic,
      keySerde,
      valueSerde,
      parents: [names.filter],
      internal: true,
    },
    { kind: 'source', name: names.source, topics: [topic], keySerde, valueSerde, internal: true },
  ];
  const topics = new Map(members.map((member) => [member.topic, topic]));
  return rewritten(topology, { drop, parentOf, after: new Map([[anchor, after]]), topics });
}

/** The operators between the anchor and a repartition, from below. */
function pathUp(topology: Topology, anchor: string, filter: string): readonly string[] {
  const path: string[] = [];
  let at = must(parentsOf(topology, filter)[0], `${filter} has no parent`);
  while (at !== anchor) {
    path.push(at);
    at = must(parentsOf(topology, at)[0], `${anchor} is not above ${filter}`);
  }
  return path;
}

function joinWithOneStore(topology: Topology, { innerJoins }: OperatorNotes): Topology {
  let result = topology;
  for (const { windows, stores, joiner, window, join, merge } of innerJoins) {
    const [left, right] = [parentsOf(result, window.left), parentsOf(result, window.right)];
    if (left.length !== 1 || left[0] !== right[0]) continue;
    const one = { left: stores.left, right: stores.left, shared: stores.shared };
    const replace = (name: string, changes: Partial<ProcessorNode>): [string, GraphNode] => [
      name,
      { ...(must(result.node(name), `there is no ${name}`) as ProcessorNode), ...changes },
    ];
    const nodes = new Map([
      replace(window.left, {
        supplier: () => new StreamJoinWindow('left', one, windows, undefined),
        stores: [stores.left, stores.shared],
      }),
      replace(merge, {
        supplier: () => new StreamSelfJoin({ stores: one, windows, joiner }),
        stores: [stores.left, stores.shared],
        parents: [window.left],
      }),
    ]);
    const drop = new Set([window.right, join.left, join.right]);
    result = rewritten(result, { nodes, drop, dropStores: new Set([stores.right]) });
  }
  return result;
}
