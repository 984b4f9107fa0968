/**
 * StreamsApp: a topology, a broker and a place for state, put together and run. The one class that an
 * application starts; Kafka Streams' `KafkaStreams`.
 *
 *   CREATED ─start─▶ REBALANCING ⇄ RUNNING ─stop─▶ PENDING_SHUTDOWN ─▶ NOT_RUNNING
 *                        └────────────┴──failure──────────────────────▶ ERROR
 */
import { must } from '../base/assert.ts';
import type { KeyValueBackend } from '../base/backend-port.ts';
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import { partitionForKey } from '../base/murmur2.ts';
import { silentTelemetry, type Telemetry } from '../base/telemetry-port.ts';
import { wallClock } from '../base/wall-clock.ts';
import type { Broker } from '../broker/broker-port.ts';
import { deadLetterPolicy, type FailurePolicy } from '../failure/failure-policy.ts';
import type { Topology } from '../graph/topology.ts';
import type { RestoreStatus } from '../restore/restore-watch.ts';
import {
  type ApplicationPlan,
  externalTopics,
  type InternalTopic,
  planApplication,
} from '../task/task-plan.ts';
import { StreamThread } from '../thread/stream-thread.ts';

export type StreamsState =
  | 'CREATED'
  | 'REBALANCING'
  | 'RUNNING'
  | 'PENDING_SHUTDOWN'
  | 'NOT_RUNNING'
  | 'ERROR';

export interface StreamsSettings {
  /** Names the consumer group, the internal topics and the state folders. */
  readonly applicationId: string;
  /** Static membership: unique per instance, stable over restarts (a pod's name). Default: dynamic. */
  readonly instanceId?: string;
  /** Default: applicationId plus instanceId. Unique per process. */
  readonly transactionalId?: string;
  /** Milliseconds between commits. Default 100. */
  readonly commitIntervalMs?: number;
  /** Default 10 s, as Kafka Streams; bounds what a dead instance's open transaction delays. */
  readonly transactionTimeoutMs?: number;
  readonly sessionTimeoutMs?: number;
  /** Committed entries kept decoded per store and task. Default 10,000. */
  readonly cacheEntriesMax?: number;
  /** Default 20,000. */
  readonly commitRecordsMax?: number;
  /** Default one hour. */
  readonly timestampAheadMsMax?: number;
  /** What a stop may take before it is given up and the instance counts as crashed. Default 10 s. */
  readonly shutdownMsMax?: number;
  /** Replication factor of internal topics comes from the broker's default. More topic settings for all of them: */
  readonly internalTopicConfig?: Readonly<Record<string, string>>;
}

const defaultShutdownMsMax = 10_000;

export interface StreamsAppOptions {
  readonly topology: Topology;
  readonly settings: StreamsSettings;
  readonly broker: Broker;
  /** Opens the local state of a task, e.g. `(taskId) => openRocksDbBackend(join(dir, taskId))`. */
  readonly openTaskBackend: (taskId: string) => Promise<KeyValueBackend>;
  /** Removes it; only called for a rebuild that the rules know. */
  readonly destroyTaskBackend: (taskId: string) => Promise<void>;
  readonly clock?: Clock;
  readonly telemetry?: Telemetry;
  readonly failurePolicy?: FailurePolicy;
}

export interface TaskStatus {
  readonly taskId: string;
  readonly inputs: readonly string[];
  readonly queued: number;
  readonly processed: number;
  readonly deadLettered: number;
  readonly timers: number;
  readonly streamTimeMs: number;
}

export interface StreamsStatus {
  readonly state: StreamsState;
  readonly ready: boolean;
  readonly commits: number;
  readonly aborts: number;
  readonly recordsProcessed: number;
  readonly deadLettered: number;
  readonly tasks: readonly TaskStatus[];
  readonly restoring: readonly RestoreStatus[];
}

export class StreamsApp {
  readonly #options: StreamsAppOptions;
  readonly #clock: Clock;
  readonly #telemetry: Telemetry;
  #state: StreamsState = 'CREATED';
  #plan: ApplicationPlan | undefined;
  #thread: StreamThread | undefined;
  #running: Promise<void> | undefined;
  #reportFailure: (error: StreamsError) => void = () => {};
  /** Resolves when the instance has died of an error; never when it is stopped. */
  readonly failure: Promise<StreamsError>;

  constructor(options: StreamsAppOptions) {
    this.#options = options;
    this.#clock = options.clock ?? wallClock;
    this.#telemetry = options.telemetry ?? silentTelemetry;
    this.failure = new Promise((resolve) => {
      this.#reportFailure = resolve;
    });
  }

  get state(): StreamsState {
    if (this.#state !== 'RUNNING' && this.#state !== 'REBALANCING') return this.#state;
    return this.#thread?.ready === true ? 'RUNNING' : 'REBALANCING';
  }

  /** Every task of this instance is restored: it may answer and be counted on. */
  get ready(): boolean {
    return this.state === 'RUNNING';
  }

  /**
   * Creates the internal topics, joins the group and starts the loop. Resolves when the loop runs; tasks
   * may still be restoring (`ready`).
   * Errors: TOPIC_UNKNOWN, PARTITIONS_MISMATCH, TOPIC_MISMATCH, BROKER_UNAVAILABLE.
   */
  async start(): Promise<void> {
    const { topology, settings, broker } = this.#options;
    const names = externalTopics(topology);
    const described = await broker.admin.describeTopics(names);
    const counts = new Map<string, number>();
    for (const topic of described) if (topic !== undefined) counts.set(topic.name, topic.partitions);
    this.#plan = planApplication(topology, settings.applicationId, counts);
    await this.#createInternalTopics(this.#plan);
    this.#thread = this.#newThread(this.#plan);
    this.#registerMetrics(this.#thread);
    this.#state = 'REBALANCING';
    this.#running = this.#thread.run().then(
      () => {
        this.#state = 'NOT_RUNNING';
      },
      (error: unknown) => {
        this.#state = 'ERROR';
        const failure = asStreamsError(error, 'INVARIANT_BROKEN');
        this.#telemetry.log.error('the instance ends with an error', { code: failure.code }, failure);
        this.#reportFailure(failure);
      },
    );
  }

  /**
   * Commits, leaves the group, closes the stores. Idempotent. After `shutdownMsMax` it resolves in any case
   * and logs SHUTDOWN_TIMEOUT: nothing committed is lost, but stores may be open until the process ends.
   */
  async stop(): Promise<void> {
    if (this.#state === 'REBALANCING' || this.#state === 'RUNNING') this.#state = 'PENDING_SHUTDOWN';
    this.#thread?.requestStop();
    if (this.#running === undefined) return;
    const ended = new AbortController();
    const shutdownMsMax = this.#options.settings.shutdownMsMax ?? defaultShutdownMsMax;
    await Promise.race([
      this.#running.finally(() => ended.abort()),
      this.#clock.sleep(shutdownMsMax, ended.signal).then(() => {
        if (ended.signal.aborted) return;
        const { log } = this.#telemetry;
        log.error('the instance did not stop in time: it ends as by a crash', { code: 'SHUTDOWN_TIMEOUT' });
      }),
    ]);
    if (this.#state === 'PENDING_SHUTDOWN') this.#state = 'NOT_RUNNING';
  }

  /**
   * The committed value of a key of a key-value store, from the local task that owns it.
   * Errors: STORE_UNKNOWN; INSTANCE_UNREACHABLE when the key's task does not run here.
   */
  async query<K, V>(storeName: string, key: K): Promise<V | undefined> {
    const spec = this.#options.topology.store(storeName);
    if (spec === undefined)
      throw new StreamsError('STORE_UNKNOWN', `the topology has no store ${storeName}`, {
        context: { store: storeName },
      });
    const bytes = must(spec.keySerde.serialize(key, storeName), 'a store key cannot be null');
    const plan = must(this.#plan, 'the application is not started');
    const tasks = plan.tasks.filter(({ stores }) => stores.some((store) => store.spec.name === storeName));
    const partition = partitionForKey(bytes, tasks.length);
    const task = this.#thread?.tasks().find(({ id }) => id === tasks[partition]?.taskId);
    if (task === undefined) {
      throw new StreamsError('INSTANCE_UNREACHABLE', `the task that owns this key does not run here (yet)`, {
        context: { store: storeName, partition },
        hint: 'ask again when the instance is ready, or ask the instance that owns it',
      });
    }
    const value = await task.state.getCommitted(storeName, bytes);
    return value === undefined ? undefined : (spec.valueSerde.deserialize(value, storeName) as V);
  }

  status(): StreamsStatus {
    const tasks = this.#thread?.tasks() ?? [];
    const counters = this.#thread?.commitCycle.counters;
    // Totals of the instance: they do not fall when a task moves away.
    const closed = this.#thread?.closedCounters;
    return {
      state: this.state,
      ready: this.ready,
      commits: counters?.commits ?? 0,
      aborts: counters?.aborts ?? 0,
      recordsProcessed: tasks.reduce((sum, task) => sum + task.counters.processed, closed?.processed ?? 0),
      deadLettered: tasks.reduce((sum, task) => sum + task.counters.deadLettered, closed?.deadLettered ?? 0),
      tasks: tasks.map((task) => ({
        taskId: task.id,
        inputs: task.plan.inputs.map(({ topic, partition }) => `${topic}-${partition}`),
        queued: task.queued,
        processed: task.counters.processed,
        deadLettered: task.counters.deadLettered,
        timers: task.timerCount,
        streamTimeMs: task.streamTimeMs,
      })),
      restoring: this.#thread?.restoring() ?? [],
    };
  }

  async #createInternalTopics(plan: ApplicationPlan): Promise<void> {
    const { broker, settings } = this.#options;
    for (;;) {
      const missing = await this.#missingInternalTopics(plan);
      if (missing.length === 0) return;
      try {
        await broker.admin.createTopics(
          missing.map(({ name, partitions, config }) => ({
            name,
            partitions,
            config: { ...config, ...settings.internalTopicConfig },
          })),
        );
      } catch (error) {
        // Another instance that starts at the same moment was first with one of them: look again.
        if (asStreamsError(error, 'BROKER_REQUEST_FAILED').code !== 'TOPIC_EXISTS') throw error;
        await this.#clock.sleep(50);
      }
    }
  }

  async #missingInternalTopics(plan: ApplicationPlan): Promise<readonly InternalTopic[]> {
    const described = await this.#options.broker.admin.describeTopics(
      plan.internalTopics.map(({ name }) => name),
    );
    for (const [index, topic] of plan.internalTopics.entries()) {
      const found = described[index];
      if (found === undefined || found.partitions === topic.partitions) continue;
      throw new StreamsError(
        'TOPIC_MISMATCH',
        `topic ${topic.name} has ${found.partitions} partitions, this topology needs ${topic.partitions}`,
        {
          context: { topic: topic.name },
          hint: `the partition count of an input or the topology has changed; use another application id, or delete the internal topics of ${plan.applicationId} and start over`,
        },
      );
    }
    return plan.internalTopics.filter((_, index) => described[index] === undefined);
  }

  #newThread(plan: ApplicationPlan): StreamThread {
    const { settings, broker, openTaskBackend, destroyTaskBackend, failurePolicy } = this.#options;
    const commitSeconds = this.#telemetry.metrics.histogram(
      'millrace_commit_seconds',
      'Duration of a commit cycle.',
      [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    );
    return new StreamThread({
      plan,
      broker,
      openTaskBackend,
      destroyTaskBackend,
      clock: this.#clock,
      log: this.#telemetry.log.child({ application: settings.applicationId }),
      failurePolicy: failurePolicy ?? deadLetterPolicy,
      onCommitted: (seconds) => commitSeconds.observe(seconds),
      settings: {
        clientId: settings.applicationId,
        instanceId: settings.instanceId,
        transactionalId:
          settings.transactionalId ?? `${settings.applicationId}-${settings.instanceId ?? '0'}`,
        transactionTimeoutMs: settings.transactionTimeoutMs ?? 10_000,
        sessionTimeoutMs: settings.sessionTimeoutMs ?? 45_000,
        commitIntervalMs: settings.commitIntervalMs ?? 100,
        commitRecordsMax: settings.commitRecordsMax ?? 20_000,
        pollMs: 100,
        pollRecordsMax: 4_000,
        bufferedRecordsMax: 20_000,
        bufferedBytesMax: 64 * 1024 * 1024,
        cacheEntriesMax: settings.cacheEntriesMax ?? 10_000,
        timestampAheadMsMax: settings.timestampAheadMsMax ?? 3_600_000,
        recommitMs: 3_600_000,
        shutdownMsMax: settings.shutdownMsMax ?? defaultShutdownMsMax,
      },
    });
  }

  #registerMetrics(thread: StreamThread): void {
    const { metrics } = this.#telemetry;
    const application = this.#options.settings.applicationId;
    const perTask = (read: (task: ReturnType<StreamThread['tasks']>[number]) => number) => () =>
      thread.tasks().map((task) => ({ labels: { application, task: task.id }, value: read(task) }));
    const single = (read: () => number) => () => [{ labels: { application }, value: read() }];
    metrics.counter(
      'millrace_records_processed_total',
      'Records taken from the inputs.',
      perTask((task) => task.counters.processed),
    );
    metrics.counter(
      'millrace_records_dead_lettered_total',
      'Records parked in a dead-letter topic.',
      perTask((task) => task.counters.deadLettered),
    );
    metrics.counter(
      'millrace_timers_fired_total',
      'Durable timers that fired.',
      perTask((task) => task.counters.timersFired),
    );
    metrics.counter(
      'millrace_slow_state_reads_total',
      'Reads of state that had not been loaded with the batch.',
      perTask((task) => task.state.slowReads),
    );
    metrics.gauge(
      'millrace_records_queued',
      'Records polled and not yet processed.',
      perTask((task) => task.queued),
    );
    metrics.gauge(
      'millrace_timers',
      'Durable timers scheduled.',
      perTask((task) => task.timerCount),
    );
    metrics.counter(
      'millrace_commits_total',
      'Transactions committed.',
      single(() => thread.commitCycle.counters.commits),
    );
    metrics.counter(
      'millrace_aborts_total',
      'Transactions given up; their work was done again.',
      single(() => thread.commitCycle.counters.aborts),
    );
    metrics.counter(
      'millrace_producers_created_total',
      'Transactional producers initialised.',
      single(() => thread.commitCycle.counters.producersCreated),
    );
    metrics.counter(
      'millrace_output_records_total',
      'Records committed to topics, changelogs apart.',
      single(() => thread.commitCycle.counters.outputRecords),
    );
    metrics.counter(
      'millrace_changelog_records_total',
      'Records committed to changelogs.',
      single(() => thread.commitCycle.counters.changelogRecords),
    );
    const perRestore = (read: (restore: RestoreStatus) => number) => () =>
      thread
        .restoring()
        .map((restore) => ({ labels: { application, task: restore.taskId }, value: read(restore) }));
    metrics.gauge(
      'millrace_restore_remaining_records',
      'Changelog offsets still to be replayed.',
      perRestore(({ remaining }) => remaining),
    );
    metrics.gauge(
      'millrace_restore_records_per_second',
      'Changelog records written to the store, over the last ten seconds.',
      perRestore(({ recordsPerSecond }) => recordsPerSecond),
    );
    metrics.counter(
      'millrace_restored_records_total',
      'Changelog records that restores have written to stores.',
      single(() => thread.restoredTotal),
    );
    metrics.gauge(
      'millrace_ready',
      '1 when every task of this instance is restored.',
      single(() => (this.ready ? 1 : 0)),
    );
  }
}
