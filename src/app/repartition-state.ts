/**
 * The way out where an input of an application has got more partitions: moves all of its state to the partitions
 * that keys belong to now. Offline: no instance runs, every input is read to its end. Called by users and by
 * `millrace repartition`.
 *
 * A crash at any point is mended by calling it again; until it has ended, no instance starts (internal-topics.ts):
 *
 *   1 copy     the plan topic is made; each changelog is copied, moved, into `<changelog>.moving`
 *   2 `copied` is written into the plan topic: from here on the copies are what holds
 *   3 switch   each changelog is deleted, made with the new count and filled from its copy; repartition topics, whose
 *              records are all processed, are made anew; dead letter topics grow
 *   4 `switched` is written; the tokens' topic is made anew, copies and at last the plan topic are deleted
 *
 * Committed offsets of inputs are not touched. Local state notices by itself that its changelogs are others (R5).
 */
import { must } from '../base/assert.ts';
import { mapKey } from '../base/bytes.ts';
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import type { TopicPartition } from '../base/record.ts';
import { type Logger, silentTelemetry } from '../base/telemetry-port.ts';
import { wallClock } from '../base/wall-clock.ts';
import type { Broker, GroupMember, OutgoingRecord, Producer, RecordBatch } from '../broker/broker-port.ts';
import { deadLetterTopic } from '../failure/dead-letter.ts';
import { changelogTopic } from '../graph/subtopology.ts';
import type { Topology } from '../graph/topology.ts';
import type { ApplicationPlan, InternalTopic, TaskPlan } from '../task/task-plan.ts';
import { repartitionPlanTopic } from './internal-topics.ts';
import { type Placement, placementOf, taskStorePlacement } from './row-placement.ts';
import { planOnBroker, readCommitted } from './topics-on-broker.ts';
import { isMisplaced, unreadOf } from './unread-inputs.ts';

export interface RepartitionOptions {
  readonly topology: Topology;
  readonly settings: {
    readonly applicationId: string;
    /** Of those that ran: how long a group takes to forget an instance that is gone. Default 45 s. */
    readonly sessionTimeoutMs?: number;
    readonly internalTopicConfig?: Readonly<Record<string, string>>;
  };
  readonly broker: Broker;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** For tests that crash it. */
  readonly onStep?: (step: string) => void;
}

/** Shape: a changelog with its old and new partition counts, and the rows that were moved (0 when resumed). */
export interface MovedChangelog {
  readonly topic: string;
  readonly from: number;
  readonly to: number;
  readonly rows: number;
}

interface Changelog {
  readonly topic: InternalTopic;
  readonly from: number;
  readonly placement: () => Placement;
  readonly store: string;
}

const movingSuffix = '.moving';

/**
 * Moves the state; nothing is moved where the counts are right. Errors: TOPIC_MISMATCH (instances run; an input is not
 * read to its end, naming it), TOPOLOGY_INVALID (a store that cannot be moved, naming it), BROKER_UNAVAILABLE.
 *
 * Order: stop producers, let the instances read all there is, stop them, give the input its partitions, call this,
 * start again.
 */
export async function repartitionState(options: RepartitionOptions): Promise<readonly MovedChangelog[]> {
  const mover = new StateMover(options);
  return mover.run();
}

class StateMover {
  readonly #options: RepartitionOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #applicationId: string;
  readonly #filled = new Map<string, Set<number>>();

  constructor(options: RepartitionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? wallClock;
    this.#log = options.log ?? silentTelemetry.log;
    this.#applicationId = options.settings.applicationId;
  }

  async run(): Promise<readonly MovedChangelog[]> {
    const { topology, broker } = this.#options;
    const plan = await planOnBroker(topology, this.#applicationId, broker);
    const stage = await this.#stage();
    if (stage === undefined && (await this.#wrongTopics(plan)).length === 0) return [];
    const member = stage === 'switched' ? undefined : await this.#requireStopped(plan);
    let moved: readonly MovedChangelog[] = [];
    try {
      if (stage !== 'switched') {
        moved = await this.#copy(plan, stage === 'copied');
        await this.#switch(plan, moved);
      }
    } finally {
      await member?.close();
    }
    await this.#finish(plan);
    return moved;
  }

  #step(step: string): void {
    this.#options.onStep?.(step);
  }

  /** Internal topics that are there with another count. */
  async #wrongTopics(plan: ApplicationPlan): Promise<readonly { topic: InternalTopic; from: number }[]> {
    const { internalTopics } = plan;
    const described = await this.#options.broker.admin.describeTopics(internalTopics.map(({ name }) => name));
    return internalTopics.flatMap((topic, index) => {
      const from = described[index]?.partitions;
      return from === undefined || from === topic.partitions ? [] : [{ topic, from }];
    });
  }

  /** Undefined: none has begun. */
  async #stage(): Promise<'copying' | 'copied' | 'switched' | undefined> {
    const topic = repartitionPlanTopic(this.#applicationId);
    const [found] = await this.#options.broker.admin.describeTopics([topic]);
    if (found === undefined) return undefined;
    let stage: 'copying' | 'copied' | 'switched' = 'copying';
    await this.#read({ topic, partition: 0 }, (batch) => {
      stage = String(batch.value(batch.count - 1)) === 'switched' ? 'switched' : 'copied';
    });
    return stage;
  }

  /** Holds all tokens, so that no instance can take one meanwhile. Errors: TOPIC_MISMATCH. */
  async #requireStopped(plan: ApplicationPlan): Promise<GroupMember> {
    const { broker, settings } = this.#options;
    const [tokens] = await broker.admin.describeTopics([plan.tokenTopic]);
    if (tokens === undefined)
      throw mismatch(
        `application ${this.#applicationId} has never run: topic ${plan.tokenTopic} is not there`,
      );
    const sessionTimeoutMs = settings.sessionTimeoutMs ?? 45_000;
    const member = await broker.joinGroup({
      groupId: this.#applicationId,
      topic: plan.tokenTopic,
      sessionTimeoutMs,
    });
    const deadlineMs = this.#clock.monotonicMs() + 2 * sessionTimeoutMs;
    const owned = new Set<number>();
    try {
      while (owned.size < tokens.partitions) {
        if (this.#clock.monotonicMs() > deadlineMs)
          throw mismatch(
            `instances of ${this.#applicationId} are running: ${tokens.partitions - owned.size} of ${tokens.partitions} tasks are theirs`,
            'stop all of them first',
          );
        for (const event of await member.poll(100)) {
          for (const partition of event.partitions) {
            if (event.type === 'assigned') owned.add(partition);
            else owned.delete(partition);
          }
          await member.acknowledge(event);
        }
      }
    } catch (error) {
      await member.close();
      throw error;
    }
    return member;
  }

  async #copy(plan: ApplicationPlan, isDone: boolean): Promise<readonly MovedChangelog[]> {
    const { admin } = this.#options.broker;
    const changelogs = await this.#changelogs(plan, isDone);
    const results: MovedChangelog[] = [];
    if (!isDone) {
      // Before anything is made: what cannot be moved is refused, and so is what is not read.
      const placements = new Map(changelogs.map((changelog) => [changelog, changelog.placement()]));
      await this.#requireRead(plan, changelogs);
      await this.#ensure({
        name: repartitionPlanTopic(this.#applicationId),
        partitions: 1,
        config: copyConfig,
      });
      this.#step('planned');
      for (const changelog of changelogs) {
        const { topic, from } = changelog;
        const copy = `${topic.name}${movingSuffix}`;
        await admin.deleteTopics([copy]);
        await this.#create({ name: copy, partitions: topic.partitions, config: copyConfig });
        const placement = must(placements.get(changelog), 'a changelog has a placement');
        const rows = await this.#moveRows(changelog, placement, copy);
        this.#log.info('a changelog is copied', { topic: topic.name, rows });
        results.push({ topic: topic.name, from, to: topic.partitions, rows });
        this.#step(`copied ${changelog.store}`);
      }
      await this.#note('copied');
      this.#step('copied');
      return results;
    }
    return changelogs.map(({ topic, from }) => ({ topic: topic.name, from, to: topic.partitions, rows: 0 }));
  }

  /** Those to be moved, a task's own behind the others of its sub-topology. When resumed: those that have a copy. */
  async #changelogs(plan: ApplicationPlan, isCopied: boolean): Promise<readonly Changelog[]> {
    const { admin } = this.#options.broker;
    const wrong = new Map((await this.#wrongTopics(plan)).map(({ topic, from }) => [topic.name, from]));
    const existing = new Set(await admin.listTopics());
    const topicOf = new Map(plan.internalTopics.map((topic) => [topic.name, topic]));
    const kept = new Set(plan.tasks.flatMap(({ inputs }) => inputs.map(({ topic }) => topic)));
    for (const name of wrong.keys()) kept.delete(name);
    const found: Changelog[] = [];
    for (const task of firstTasks(plan)) {
      for (const { spec, changelog } of task.stores) {
        const topic = changelog === undefined ? undefined : topicOf.get(changelog);
        if (topic === undefined) {
          // Nothing to move, but it must be said that it cannot be.
          if (
            spec.restoredFrom !== undefined &&
            wrong.has(changelogTopic(this.#applicationId, task.taskStore))
          )
            found.push(this.#unmovable(task, spec));
          continue;
        }
        const from = wrong.get(topic.name);
        if (isCopied ? !existing.has(`${topic.name}${movingSuffix}`) : from === undefined) continue;
        const placement =
          spec.name === task.taskStore
            ? () =>
                taskStorePlacement(
                  task.subtopology,
                  this.#applicationId,
                  kept,
                  from ?? topic.partitions,
                  this.#filled,
                )
            : () => placementOf(spec, task.subtopology);
        found.push({ topic, from: from ?? topic.partitions, placement, store: spec.name });
      }
    }
    return found;
  }

  #unmovable(task: TaskPlan, spec: TaskPlan['stores'][number]['spec']): Changelog {
    const topic: InternalTopic = { name: spec.name, partitions: 1, config: {} };
    return { topic, from: 1, placement: () => placementOf(spec, task.subtopology), store: spec.name };
  }

  /**
   * Errors: TOPIC_MISMATCH for an input of a task that moves, with records that are not processed and lie where their
   * keys belong no more. Those of topics in between all count: such a topic is made anew.
   */
  async #requireRead(plan: ApplicationPlan, changelogs: readonly Changelog[]): Promise<void> {
    const { broker } = this.#options;
    const fromOf = new Map(changelogs.map(({ store, from }) => [store, from]));
    const internal = new Set(plan.internalTopics.map(({ name }) => name));
    // What an input has beyond the old count was written by the new one.
    const inputs = plan.tasks.flatMap((task) =>
      task.inputs.filter(({ partition }) => partition < (fromOf.get(task.taskStore) ?? 0)),
    );
    const at = { broker, applicationId: this.#applicationId };
    const [unread] = await unreadOf(
      inputs,
      at,
      (input, key) => internal.has(input.topic) || isMisplaced(input, key),
    );
    if (unread === undefined) return;
    throw mismatch(
      `${unread.records} records of ${unread.topic}-${unread.partition} are not processed yet, and lie where their keys belonged before`,
      'topics may get more partitions only when all of them are read: stop what writes to them, wait until millrace repartition --check (unreadInputs) finds nothing, then stop the instances; these records have to be written again under the new count, and the offset of the group moved behind them',
    );
  }

  async #moveRows(changelog: Changelog, placement: Placement, copy: string): Promise<number> {
    const { topic, from, store } = changelog;
    const producer = await this.#producer();
    const filled = new Set<number>();
    this.#filled.set(store, filled);
    const own = new Map<string, { key: Buffer; values: Map<number, Buffer> }>();
    let rows = 0;
    try {
      for (let partition = 0; partition < from; partition++) {
        await this.#read({ topic: topic.name, partition }, async (batch) => {
          const records: OutgoingRecord[] = [];
          for (const record of recordsOf(batch)) {
            const key = must(record.key, 'a changelog record has a key');
            const to = placement.partitionOf(key, topic.partitions);
            if (to !== undefined) {
              filled.add(to);
              records.push({ ...record, topic: copy, partition: to });
              continue;
            }
            const row = own.get(mapKey(key)) ?? { key, values: new Map<number, Buffer>() };
            own.set(mapKey(key), row);
            if (record.value === null) row.values.delete(partition);
            else row.values.set(partition, record.value);
          }
          rows += records.length;
          await producer.send(records);
          await producer.flush();
        });
      }
      const records: OutgoingRecord[] = [];
      const timestamp = this.#clock.nowMs();
      for (const { key, values } of own.values()) {
        if (values.size === 0) continue;
        for (let partition = 0; partition < topic.partitions; partition++) {
          const value = placement.merge(key, values, partition);
          if (value === undefined) continue;
          filled.add(partition);
          records.push({ topic: copy, partition, key, value, timestamp, headers: [] });
        }
      }
      await producer.send(records);
      await producer.flush();
    } finally {
      await producer.close();
    }
    return rows;
  }

  async #switch(plan: ApplicationPlan, moved: readonly MovedChangelog[]): Promise<void> {
    const { admin } = this.#options.broker;
    const topicOf = new Map(plan.internalTopics.map((topic) => [topic.name, topic]));
    for (const { topic: name } of moved) {
      const topic = must(topicOf.get(name), `${name} is not planned`);
      await admin.deleteTopics([name]);
      this.#step(`deleted ${name}`);
      await this.#create(topic);
      await this.#refill(`${name}${movingSuffix}`, topic);
      this.#step(`switched ${name}`);
    }
    const deadLetters = new Set(
      plan.tasks.flatMap(({ inputs }) => inputs.map(({ topic }) => deadLetterTopic(topic))),
    );
    for (const { topic } of await this.#wrongTopics(plan)) {
      if (topic.name === plan.tokenTopic) continue;
      // Dead letters are not the application's to lose.
      if (deadLetters.has(topic.name)) {
        await admin.growTopic(topic.name, topic.partitions);
        continue;
      }
      await admin.deleteTopics([topic.name]);
      await this.#create(topic);
      this.#step(`remade ${topic.name}`);
    }
    await this.#note('switched');
    this.#step('switched');
  }

  async #finish(plan: ApplicationPlan): Promise<void> {
    const { admin } = this.#options.broker;
    const tokens = must(
      plan.internalTopics.find(({ name }) => name === plan.tokenTopic),
      'an application has tokens',
    );
    await admin.deleteTopics([tokens.name]);
    await this.#create(tokens);
    this.#step('tokens');
    const copies = (await admin.listTopics()).filter(
      (name) => name.startsWith(`${this.#applicationId}-`) && name.endsWith(`-changelog${movingSuffix}`),
    );
    await admin.deleteTopics(copies);
    this.#step('cleaned');
    await admin.deleteTopics([repartitionPlanTopic(this.#applicationId)]);
  }

  async #refill(copy: string, topic: InternalTopic): Promise<void> {
    const producer = await this.#producer();
    try {
      for (let partition = 0; partition < topic.partitions; partition++)
        await this.#read({ topic: copy, partition }, async (batch) => {
          await producer.send(
            [...recordsOf(batch)].map((record) => ({ ...record, topic: topic.name, partition })),
          );
          await producer.flush();
        });
    } finally {
      await producer.close();
    }
  }

  async #note(stage: string): Promise<void> {
    const producer = await this.#producer();
    try {
      const topic = repartitionPlanTopic(this.#applicationId);
      const timestamp = this.#clock.nowMs();
      const value = Buffer.from(stage);
      await producer.send([{ topic, partition: 0, key: null, value, timestamp, headers: [] }]);
      await producer.flush();
    } finally {
      await producer.close();
    }
  }

  #producer(): Promise<Producer> {
    return this.#options.broker.openProducer({ clientId: `${this.#applicationId}-repartition` });
  }

  /** All committed records. */
  async #read(at: TopicPartition, take: (batch: RecordBatch) => Promise<void> | void): Promise<void> {
    const { broker } = this.#options;
    const [start = 0] = await broker.admin.startOffsets([at]);
    await readCommitted({ broker, clientId: `${this.#applicationId}-repartition` }, at, start, take);
  }

  async #ensure(topic: InternalTopic): Promise<void> {
    const [found] = await this.#options.broker.admin.describeTopics([topic.name]);
    if (found === undefined) await this.#create(topic);
  }

  /** A name stays taken for a moment after its topic was deleted. */
  async #create({ name, partitions, config }: InternalTopic): Promise<void> {
    const { broker, settings } = this.#options;
    const deadlineMs = this.#clock.monotonicMs() + 30_000;
    for (;;) {
      try {
        await broker.admin.createTopics([
          // A copy and the notes keep what they hold, whatever the user's settings for internal topics are.
          {
            name,
            partitions,
            config: { ...config, ...settings.internalTopicConfig, ...(config === copyConfig ? config : {}) },
          },
        ]);
        return;
      } catch (error) {
        const { code } = asStreamsError(error, 'BROKER_REQUEST_FAILED');
        if (code !== 'TOPIC_EXISTS' || this.#clock.monotonicMs() > deadlineMs) throw error;
        await this.#clock.sleep(100);
      }
    }
  }
}

const copyConfig = { 'cleanup.policy': 'delete', 'retention.ms': '-1' };

/** One task of each sub-topology: they have the same stores. */
function firstTasks(plan: ApplicationPlan): readonly TaskPlan[] {
  return plan.tasks.filter(({ partition }) => partition === 0);
}

function* recordsOf(batch: RecordBatch): Iterable<Omit<OutgoingRecord, 'topic' | 'partition'>> {
  for (let index = 0; index < batch.count; index++)
    yield {
      key: batch.key(index),
      value: batch.value(index),
      timestamp: batch.timestamp(index),
      headers: batch.headers(index),
    };
}

function mismatch(sentence: string, hint?: string): StreamsError {
  return new StreamsError('TOPIC_MISMATCH', sentence, hint === undefined ? {} : { hint });
}
