/**
 * The application's own topics at its start: those that are missing are made, those that are there are checked,
 * and those that a changed topology has no use for stop it. Called by StreamsApp; it never deletes or changes one.
 */
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Admin, TopicDescription } from '../broker/broker-port.ts';
import { isGeneratedName } from '../graph/naming.ts';
import { type InternalTopic, tokenTopic } from '../task/task-plan.ts';

/** There while state is being moved to other partition counts (repartition-state.ts). */
export function repartitionPlanTopic(applicationId: string): string {
  return `${applicationId}-repartition-plan`;
}

export interface InternalTopicsOptions {
  readonly admin: Admin;
  readonly applicationId: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Laid over each topic's own settings. */
  readonly config: Readonly<Record<string, string>>;
  readonly onOrphanedState: 'refuse' | 'warn';
}

/**
 * Makes what is missing. Errors: TOPIC_MISMATCH for a topic that is there with another number of partitions or
 * another cleanup policy; TOPOLOGY_CHANGED for state that no operator owns any more.
 */
export async function ensureInternalTopics(
  topics: readonly InternalTopic[],
  existing: readonly string[],
  options: InternalTopicsOptions,
): Promise<void> {
  const moving = repartitionPlanTopic(options.applicationId);
  if (existing.includes(moving))
    throw new StreamsError(
      'TOPIC_MISMATCH',
      `the state of ${options.applicationId} is being moved to other partitions`,
      {
        context: { topic: moving },
        hint: 'let the command end, or, where it was broken off, call it again: millrace repartition (repartitionState)',
      },
    );
  checkOrphans(topics, existing, options);
  const { admin, clock, config, log } = options;
  for (;;) {
    const described = await admin.describeTopics(topics.map(({ name }) => name));
    checkExisting(topics, described, options);
    const missing = topics.filter((_, index) => described[index] === undefined);
    if (missing.length === 0) return;
    try {
      await admin.createTopics(
        missing.map((topic) => ({
          name: topic.name,
          partitions: topic.partitions,
          config: { ...topic.config, ...config },
        })),
      );
      log.info('internal topics are made', { topics: missing.map(({ name }) => name).join(' ') });
    } catch (error) {
      // Another instance that starts at the same moment was first with one of them: look again.
      if (asStreamsError(error, 'BROKER_REQUEST_FAILED').code !== 'TOPIC_EXISTS') throw error;
      await clock.sleep(50);
    }
  }
}

function checkExisting(
  topics: readonly InternalTopic[],
  described: readonly (TopicDescription | undefined)[],
  { applicationId, config }: InternalTopicsOptions,
): void {
  for (const [index, topic] of topics.entries()) {
    const found = described[index];
    if (found === undefined) continue;
    if (found.partitions !== topic.partitions) throw wrongCount(topic, found, applicationId);
    const policy = { ...topic.config, ...config }['cleanup.policy'];
    const actual = found.config === undefined ? policy : (found.config['cleanup.policy'] ?? 'delete');
    if (samePolicy(policy, actual)) continue;
    throw new StreamsError(
      'TOPIC_MISMATCH',
      `topic ${topic.name} has the cleanup policy ${actual}, this topology needs ${policy}`,
      {
        context: { topic: topic.name },
        hint: `kafka-configs.sh --alter --topic ${topic.name} --add-config cleanup.policy=[${policy}]`,
      },
    );
  }
}

function samePolicy(wanted: string | undefined, actual: string | undefined): boolean {
  const parts = (policy = 'delete') => policy.split(',').sort().join();
  return parts(wanted) === parts(actual);
}

function wrongCount(topic: InternalTopic, found: TopicDescription, applicationId: string): StreamsError {
  const { name, partitions, follows = [] } = topic;
  const why =
    follows.length === 0 ? '' : `, as ${follows.join(' and ')} ${follows.length > 1 ? 'have' : 'has'}`;
  const sentence = `topic ${name} has ${found.partitions} partitions, this topology needs ${partitions}${why}`;
  const isDeadLetters = !name.startsWith(`${applicationId}-`);
  // More partitions of dead letters harm nothing; keys of state would be looked for where they are not.
  const hint =
    isDeadLetters && found.partitions < partitions
      ? `kafka-topics.sh --alter --topic ${name} --partitions ${partitions}`
      : `the partition count of an input or the topology has changed, and keys now belong to other tasks: stop all instances and move the state by millrace repartition (repartitionState), or go back to ${found.partitions} partitions, or use another application id, or start over: stop all instances, then kafka-topics.sh --delete --topic '${applicationId}-.*', kafka-consumer-groups.sh --delete --group ${applicationId}, and remove the state directories`;
  return new StreamsError('TOPIC_MISMATCH', sentence, { context: { topic: name }, hint });
}

/** Changelogs and repartition topics of this application that the plan does not have. */
function orphansOf(topics: readonly InternalTopic[], existing: readonly string[], own: string): string[] {
  const planned = new Set(topics.map(({ name }) => name));
  // An application `shop-x` has its topics under the prefix of an application `shop`; its tokens tell it.
  const others = existing
    .filter((name) => name.endsWith('-tasks') && name !== `${own}tasks` && name.startsWith(own))
    .map((name) => name.slice(0, -'tasks'.length));
  return existing.filter(
    (name) =>
      name.startsWith(own) &&
      /-(changelog|repartition)$/.test(name) &&
      !planned.has(name) &&
      !others.some((other) => name.startsWith(other)),
  );
}

function checkOrphans(
  topics: readonly InternalTopic[],
  existing: readonly string[],
  { applicationId, log, onOrphanedState }: InternalTopicsOptions,
): void {
  const token = tokenTopic(applicationId);
  // Without tokens it has never run: whatever bears its name is not its own.
  if (!existing.includes(token)) return;
  const orphans = orphansOf(topics, existing, `${applicationId}-`);
  if (orphans.length === 0) return;
  const there = new Set(existing);
  const fresh = topics.flatMap(({ name }) =>
    /-(changelog|repartition)$/.test(name) && !there.has(name) ? [name] : [],
  );
  const lines = [...orphans.map((name) => `- ${name}`), ...fresh.map((name) => `+ ${name}`)];
  if (onOrphanedState === 'warn') {
    log.warn('state is left behind: this topology has no use for it', { topics: lines.join(' ') });
    return;
  }
  const generated = [...orphans, ...fresh].some(isGeneratedName)
    ? 'name the operators (materialized.name, grouped.name, storeName) as they were named before; '
    : '';
  throw new StreamsError(
    'TOPOLOGY_CHANGED',
    `this topology would leave state of ${applicationId} behind (- is there and not in it, + is new):\n${lines.join('\n')}\n`,
    {
      hint: `${generated}or delete those topics if their state is not needed; or set onOrphanedState to warn`,
    },
  );
}
