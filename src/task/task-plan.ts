/**
 * From a topology and the partition counts of its topics to what has to exist and run: tasks, internal
 * topics, changelogs. Pure; the application creates the topics and hands the plan to the threads.
 */

import { must } from '../base/assert.ts';
import { StreamsError } from '../base/errors.ts';
import { deadLetterTopic } from '../failure/dead-letter.ts';
import type { GlobalStoreSpec, OffsetReset, StoreSpec } from '../graph/node.ts';
import { changelogTopic, resolveTopic, type Subtopology, taskIdOf } from '../graph/subtopology.ts';
import type { Topology } from '../graph/topology.ts';
import { bytesSerde } from '../serde/serde.ts';
import type { StoreSettings } from '../store/task-state.ts';

/** A store as the task opens it, with the topic that makes it survive. */
export interface PlannedStore {
  readonly spec: StoreSpec;
  readonly changelog: string | undefined;
}

/** How a task's state keeps each of its stores. */
export function storesOf(plan: TaskPlan): StoreSettings[] {
  return plan.stores.map(({ spec: { name, persistent, cacheEntriesMax }, changelog }) => ({
    name,
    persistent: persistent ?? true,
    changelog,
    cacheEntriesMax,
  }));
}

export interface TaskInput {
  readonly topic: string;
  readonly partition: number;
  /** Where it begins without a committed offset; absent: with the first record. */
  readonly offsetReset?: OffsetReset;
}

export interface TaskPlan {
  readonly taskId: string;
  readonly partition: number;
  readonly subtopology: Subtopology;
  readonly inputs: readonly TaskInput[];
  readonly stores: readonly PlannedStore[];
  /** The store that holds the task's timers and clocks. */
  readonly taskStore: string;
}

/** A global store and how many partitions each instance has to read for it. */
export interface PlannedGlobal {
  readonly spec: GlobalStoreSpec;
  readonly partitions: number;
}

export interface InternalTopic {
  readonly name: string;
  readonly partitions: number;
  readonly config: Readonly<Record<string, string>>;
  /** The topics whose partition count it has to have. */
  readonly follows?: readonly string[];
}

export interface ApplicationPlan {
  readonly applicationId: string;
  /** In the order of the token topic's partitions. */
  readonly tasks: readonly TaskPlan[];
  readonly globals: readonly PlannedGlobal[];
  readonly internalTopics: readonly InternalTopic[];
  readonly tokenTopic: string;
  /** Partition counts of every topic that tasks write to. */
  readonly partitionsOf: ReadonlyMap<string, number>;
}

export function tokenTopic(applicationId: string): string {
  return `${applicationId}-tasks`;
}

/**
 * The topology with its patterns bound. What a pattern never matches: the application's own topics, those of the
 * broker, and dead letters of what it matches.
 */
export function bindPatterns(
  topology: Topology,
  applicationId: string,
  existing: readonly string[],
): Topology {
  if (!topology.hasPatterns) return topology;
  const deadLetters = new Set(existing.map(deadLetterTopic));
  return topology.withTopics(
    existing.filter(
      (name) => !name.startsWith(`${applicationId}-`) && !name.startsWith('__') && !deadLetters.has(name),
    ),
  );
}

/** Every topic that is not the application's own and has to be there before it starts. */
export function externalTopics(topology: Topology): string[] {
  const names = new Set<string>();
  for (const node of topology.nodes()) {
    if (node.kind === 'source') for (const topic of node.topics) if (!topic.internal) names.add(topic.name);
    if (node.kind === 'sink' && typeof node.topic !== 'function' && !node.topic.internal)
      names.add(node.topic.name);
  }
  for (const { topic } of topology.globalStores()) names.add(topic);
  return [...names];
}

/** A day, as Kafka Streams adds to a window store's changelog. */
const changelogExtraRetentionMs = 86_400_000;

function changelogConfig(spec: StoreSpec): Record<string, string> {
  if (!['window', 'session'].includes(spec.kind) || spec.retentionMs === Number.POSITIVE_INFINITY)
    return { 'cleanup.policy': 'compact', ...spec.changelogConfig };
  return {
    'cleanup.policy': 'compact,delete',
    'retention.ms': String(
      must(spec.retentionMs, `window store ${spec.name} has no retention`) + changelogExtraRetentionMs,
    ),
    ...spec.changelogConfig,
  };
}

function taskStoreSpec(subtopology: Subtopology): StoreSpec {
  return {
    name: `task-${subtopology.id}`,
    kind: 'key-value',
    keySerde: bytesSerde,
    valueSerde: bytesSerde,
    changelog: true,
  };
}

/**
 * Partition counts of repartition topics: their own, else the largest count of what they must be
 * co-partitioned with, else of the sub-topology that writes them.
 */
function repartitionCounts(topology: Topology, applicationId: string, counts: Map<string, number>): void {
  const pending = topology.repartitions().filter((spec) => {
    if (spec.partitions !== undefined) counts.set(`${applicationId}-${spec.name}`, spec.partitions);
    return spec.partitions === undefined;
  });
  // A repartition topic may depend on another one above it: as many passes as there are topics suffice.
  for (let pass = 0; pass <= pending.length; pass++) {
    for (const spec of pending) {
      const name = `${applicationId}-${spec.name}`;
      const group = topology
        .copartitionGroups()
        .find((topics) => topics.some((topic) => topic.internal && topic.name === spec.name));
      const peers = (group ?? [])
        .filter((topic) => topic.name !== spec.name)
        .map((topic) => counts.get(resolveTopic(topic, applicationId)) ?? 0);
      const writers = topology
        .subtopologies()
        .filter((part) =>
          part.sinks.some(
            (sink) =>
              typeof sink.topic !== 'function' && sink.topic.internal && sink.topic.name === spec.name,
          ),
        )
        .flatMap((part) =>
          part.sources.flatMap((source) =>
            source.topics.map((topic) => counts.get(resolveTopic(topic, applicationId)) ?? 0),
          ),
        );
      const count = Math.max(0, ...(peers.some((peer) => peer > 0) ? peers : writers));
      if (count > 0) counts.set(name, count);
    }
  }
}

function checkCopartitioned(
  topology: Topology,
  applicationId: string,
  counts: ReadonlyMap<string, number>,
): void {
  for (const group of topology.copartitionGroups()) {
    const named = group.map((topic) => ({
      name: resolveTopic(topic, applicationId),
      count: counts.get(resolveTopic(topic, applicationId)),
    }));
    if (new Set(named.map(({ count }) => count)).size <= 1) continue;
    throw new StreamsError(
      'PARTITIONS_MISMATCH',
      `topics that are joined by key need the same number of partitions: ${named.map(({ name, count }) => `${name} has ${count}`).join(', ')}`,
      {
        hint: 'give them one count (those that grow need millrace repartition), or put repartition() before the join',
      },
    );
  }
}

/** An application without tasks would join no group and never be ready; its instances could not share anything out. */
function requireTasks(topology: Topology, tasks: readonly TaskPlan[]): void {
  if (tasks.length > 0) return;
  const patterns = topology
    .nodes()
    .flatMap((node) => (node.kind === 'source' && node.pattern !== undefined ? [node.pattern.source] : []));
  throw new StreamsError(
    'TOPOLOGY_INVALID',
    patterns.length > 0
      ? `no topic that is there matches ${patterns.join(' or ')}`
      : 'the topology has no stream or table, so there is nothing to run',
    { hint: patterns.length > 0 ? 'create one before the application starts' : 'add a source' },
  );
}

/**
 * Errors: TOPOLOGY_INVALID (nothing to run), TOPIC_UNKNOWN (an external topic that is not there), PARTITIONS_MISMATCH.
 * Shape: `external` holds the partition count of every topic of `externalTopics`, and of those that records may
 * choose for themselves.
 */
export function planApplication(
  topology: Topology,
  applicationId: string,
  external: ReadonlyMap<string, number>,
): ApplicationPlan {
  const counts = new Map<string, number>(external);
  for (const name of externalTopics(topology)) {
    const count = external.get(name);
    if (count === undefined) {
      throw new StreamsError('TOPIC_UNKNOWN', `topic ${name} does not exist`, {
        context: { topic: name },
        hint: 'create it before the application starts',
      });
    }
    counts.set(name, count);
  }
  repartitionCounts(topology, applicationId, counts);
  checkCopartitioned(topology, applicationId, counts);
  const internalTopics: InternalTopic[] = topology.repartitions().map((spec) => {
    const name = `${applicationId}-${spec.name}`;
    return {
      name,
      partitions: must(counts.get(name), `repartition topic ${name} has no partition count`),
      config: { 'cleanup.policy': 'delete', 'retention.ms': '-1' },
    };
  });
  const tasks: TaskPlan[] = [];
  for (const subtopology of topology.subtopologies()) {
    const topics = subtopology.sources.flatMap((source) =>
      source.topics.map((topic) => resolveTopic(topic, applicationId)),
    );
    const resets = new Map(
      subtopology.sources
        .filter(({ offsetReset }) => offsetReset !== 'earliest')
        .flatMap(({ offsetReset, topics }) =>
          topics.map((topic) => [resolveTopic(topic, applicationId), offsetReset] as const),
        ),
    );
    const partitions = Math.max(0, ...topics.map((topic) => counts.get(topic) ?? 0));
    const follows = topics.filter((topic) => counts.get(topic) === partitions);
    const taskStore = taskStoreSpec(subtopology);
    const stores = [...subtopology.stores, taskStore].map((spec) => ({
      spec,
      changelog: spec.changelog ? changelogTopic(applicationId, spec.name) : undefined,
    }));
    for (const { spec, changelog } of stores) {
      if (changelog !== undefined)
        internalTopics.push({ name: changelog, partitions, config: changelogConfig(spec), follows });
    }
    for (const topic of topics) {
      internalTopics.push({
        name: deadLetterTopic(topic),
        partitions: counts.get(topic) as number,
        config: { 'cleanup.policy': 'delete', 'retention.ms': '-1' },
        follows: [topic],
      });
    }
    for (let partition = 0; partition < partitions; partition++) {
      tasks.push({
        taskId: taskIdOf(subtopology.id, partition),
        partition,
        subtopology,
        inputs: topics
          .filter((topic) => partition < (counts.get(topic) as number))
          .map((topic): TaskInput => {
            const offsetReset = resets.get(topic);
            return { topic, partition, ...(offsetReset === undefined ? {} : { offsetReset }) };
          }),
        stores,
        taskStore: taskStore.name,
      });
    }
  }
  requireTasks(topology, tasks);
  const token = tokenTopic(applicationId);
  internalTopics.push({
    name: token,
    partitions: tasks.length,
    config: { 'cleanup.policy': 'delete', 'retention.ms': '-1' },
  });
  for (const topic of internalTopics) counts.set(topic.name, topic.partitions);
  const globals = topology
    .globalStores()
    .map((spec) => ({ spec, partitions: must(counts.get(spec.topic), `topic ${spec.topic} has no count`) }));
  return { applicationId, tasks, globals, internalTopics, tokenTopic: token, partitionsOf: counts };
}
