/**
 * StreamsApp: a topology, a broker and a place for state, put together and run. The one class that an
 * application starts; Kafka Streams' `KafkaStreams`.
 *
 *   CREATED ─start─▶ REBALANCING ⇄ RUNNING ─stop─▶ PENDING_SHUTDOWN ─▶ NOT_RUNNING
 *                        └────────────┴──failure──────────────────────▶ ERROR
 */
import { instancesTopic } from '../assign/instance-entry.ts';
import { must } from '../base/assert.ts';
import type { KeyValueBackend } from '../base/backend-port.ts';
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import { partitionForKey } from '../base/murmur2.ts';
import { silentTelemetry, type Telemetry } from '../base/telemetry-port.ts';
import { wallClock } from '../base/wall-clock.ts';
import type { Broker } from '../broker/broker-port.ts';
import type { CommitStep, ProcessingGuarantee } from '../commit/commit-cycle.ts';
import { deadLetterPolicy, type FailurePolicy } from '../failure/failure-policy.ts';
import { requireExplicitNames } from '../graph/naming.ts';
import type { StoreSpec } from '../graph/node.ts';
import type { StateStore } from '../graph/processor.ts';
import type { Topology } from '../graph/topology.ts';
import type { RestoreStatus } from '../restore/restore-watch.ts';
import { readCommitted } from '../task/store-view.ts';
import type { StreamTask } from '../task/stream-task.ts';
import {
  type ApplicationPlan,
  bindPatterns,
  externalTopics,
  type InternalTopic,
  planApplication,
  type TaskPlan,
} from '../task/task-plan.ts';
import type { GlobalStatus } from '../thread/global-tables.ts';
import { type StandbyStatus, wantsStandby } from '../thread/standby-tasks.ts';
import { StreamThread } from '../thread/stream-thread.ts';
import type { StandbySettings } from '../thread/thread-options.ts';
import { ensureInternalTopics } from './internal-topics.ts';
import { registerMetrics } from './streams-metrics.ts';
import { partitionCounts } from './topics-on-broker.ts';

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
  /**
   * Kafka's `processing.guarantee`; docs/spec/guarantees.md says what each promises. Default: exactly_once_v2.
   * All instances of an application use the same.
   */
  readonly processingGuarantee?: ProcessingGuarantee;
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
  /**
   * Kafka's `max.task.idle.ms`: how a task with several inputs waits for one of which it has no record, so that
   * records meet in the order of their times. 0 (default): for what is on the broker already. More: also so long,
   * when it was read to its end, for what its producers may still send. -1: for nothing.
   */
  readonly maxTaskIdleMs?: number;
  /** What a stop may take before it is given up and the instance counts as crashed. Default 10 s. */
  readonly shutdownMsMax?: number;
  /**
   * Replicas of each task's stores that other instances keep up to date (Kafka's `num.standby.replicas`): when its
   * owner goes, one of them takes over with a catch-up of the gap. Default 0. The same for all instances.
   */
  readonly numStandbyReplicas?: number;
  /** The machine it runs on: two instances of one host are no standbys of each other. Default: one of its own. */
  readonly host?: string;
  /** Where this instance is, as Kafka's `client.tag.*`: for example `{ zone: 'a' }`. */
  readonly clientTags?: Readonly<Record<string, string>>;
  /** Tags that shall differ between a task's owner and its standbys (Kafka's `rack.aware.assignment.tags`). */
  readonly rackAwareAssignmentTags?: readonly string[];
  /** How often an instance with standbys says that it is there. Who is silent for three is gone. Default 10 s. */
  readonly instanceHeartbeatMs?: number;
  /** Replication factor of internal topics comes from the broker's default. More topic settings for all of them: */
  readonly internalTopicConfig?: Readonly<Record<string, string>>;
  /**
   * Refuse a topology whose stores or repartition topics have generated names (Kafka's
   * `ensure.explicit.internal.resource.naming`): they change when an operator is put in before them. Default false.
   */
  readonly ensureExplicitInternalResourceNaming?: boolean;
  /**
   * What to do about changelogs and repartition topics of this application that its topology does not have any
   * more, such as those of a store that was renamed. Default refuse: its start says which they are.
   */
  readonly onOrphanedState?: 'refuse' | 'warn';
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
  /** For tests that crash or disturb an instance at a step of the commit cycle; see `CommitMode.onStep`. */
  readonly onCommitStep?: (step: CommitStep) => void;
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
  /** Tasks that others own and this instance follows. */
  readonly standbys: readonly StandbyStatus[];
  /** Undefined where the topology has no global stores. */
  readonly globals: GlobalStatus | undefined;
}

function hasStore(plan: TaskPlan, store: string): boolean {
  return plan.stores.some(({ spec }) => spec.name === store);
}

/** Unique per process and stable over restarts: it names the instance among the others too. */
function transactionalIdOf(settings: StreamsSettings): string {
  return settings.transactionalId ?? `${settings.applicationId}-${settings.instanceId ?? '0'}`;
}

/**
 * A topology at work: joins the group, runs its tasks, answers queries. One per process.
 *
 * @example
 * ```ts
 * import {
 *   openEmbeddedBroker,
 *   openMemoryBackend,
 *   StreamsApp,
 *   StreamsBuilder,
 *   stringSerde,
 *   wallClock,
 * } from 'millrace';
 *
 * const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
 * await broker.admin.createTopics([{ name: 'names', partitions: 2 }]);
 * const builder = new StreamsBuilder();
 * builder.table('names', {
 *   keySerde: stringSerde,
 *   valueSerde: stringSerde,
 *   materialized: { name: 'names-store' },
 * });
 *
 * const app = new StreamsApp({
 *   topology: builder.build(),
 *   settings: { applicationId: 'greeter' },
 *   broker,
 *   openTaskBackend: () => openMemoryBackend(), // On disk: (task) => openRocksDbBackend(join(folder, task)).
 *   destroyTaskBackend: async () => {},
 * });
 * await app.start();
 * while (!app.ready) await wallClock.sleep(10);
 * console.log(app.state, await app.query('names-store', 'c1'));
 * await app.stop();
 * await broker.close();
 * // prints: RUNNING undefined
 * ```
 */
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
   * Errors: TOPIC_UNKNOWN, PARTITIONS_MISMATCH, TOPIC_MISMATCH, TOPOLOGY_CHANGED, BROKER_UNAVAILABLE.
   */
  async start(): Promise<void> {
    const { settings, broker } = this.#options;
    if (settings.ensureExplicitInternalResourceNaming === true) requireExplicitNames(this.#options.topology);
    const existing = await broker.admin.listTopics();
    const topology = bindPatterns(this.#options.topology, settings.applicationId, existing);
    const chosen = topology.choosesTopics ? existing.filter((name) => !name.startsWith('__')) : [];
    const names = [...new Set([...externalTopics(topology), ...chosen])];
    const counts = await partitionCounts(broker.admin, names);
    this.#plan = planApplication(topology, settings.applicationId, counts);
    await ensureInternalTopics(this.#internalTopics(this.#plan), existing, {
      admin: broker.admin,
      applicationId: settings.applicationId,
      clock: this.#clock,
      log: this.#telemetry.log,
      config: settings.internalTopicConfig ?? {},
      onOrphanedState: settings.onOrphanedState ?? 'refuse',
    });
    this.#thread = this.#newThread(this.#plan);
    registerMetrics({
      metrics: this.#telemetry.metrics,
      application: settings.applicationId,
      thread: this.#thread,
      ready: () => this.ready,
    });
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
   * The committed value of a key of a key-value store, from the local task that owns it; `{ value, timestamp }` of
   * a table's store.
   * Errors: STORE_UNKNOWN; INSTANCE_UNREACHABLE when the key's task does not run here.
   */
  async query<K, V>(storeName: string, key: K): Promise<V | undefined> {
    const global = this.#options.topology.globalStore(storeName)?.store;
    if (global !== undefined) return this.#queryGlobal<K, V>(global, key);
    const spec = this.#localStore(storeName);
    const bytes = must(spec.keySerde.serialize(key, storeName), 'a store key cannot be null');
    const value = await this.#taskOf(storeName, bytes).state.getCommitted(storeName, bytes);
    return value === undefined ? undefined : (spec.valueSerde.deserialize(value, storeName) as V);
  }

  /**
   * What `read` makes of a committed store of any kind, in the local task that owns the key; it gets a
   * `ReadOnlyKeyValueStore`, `VersionedKeyValueStore`, `ReadOnlyWindowStore` or `ReadOnlySessionStore`. It is called
   * again when rows had to be loaded for it: let it do nothing but read.
   * Errors: as `query`; STORE_READ_ONLY.
   */
  async queryStore<S extends StateStore, R>(
    storeName: string,
    key: unknown,
    read: (store: S) => R,
  ): Promise<R> {
    const spec = this.#localStore(storeName);
    const bytes = must(spec.keySerde.serialize(key, storeName), 'a store key cannot be null');
    const { state, plan } = this.#taskOf(storeName, bytes);
    return readCommitted({ state, taskStore: plan.taskStore }, spec, read);
  }

  /** As `queryStore`, of all keys that this instance has: one result for each of its tasks with the store. */
  async queryLocalStores<S extends StateStore, R>(storeName: string, read: (store: S) => R): Promise<R[]> {
    const spec = this.#localStore(storeName);
    const tasks = (this.#thread?.tasks() ?? []).filter(({ plan }) => hasStore(plan, storeName));
    return Promise.all(
      tasks.map(({ state, plan }) => readCommitted({ state, taskStore: plan.taskStore }, spec, read)),
    );
  }

  #localStore(name: string): StoreSpec {
    const spec = this.#options.topology.store(name);
    if (spec !== undefined) return spec;
    throw new StreamsError('STORE_UNKNOWN', `the topology has no store ${name}`, {
      context: { store: name },
    });
  }

  #taskOf(store: string, key: Buffer): StreamTask {
    const plan = must(this.#plan, 'the application is not started');
    const tasks = plan.tasks.filter((task) => hasStore(task, store));
    const partition = partitionForKey(key, tasks.length);
    const task = this.#thread?.tasks().find(({ id }) => id === tasks[partition]?.taskId);
    if (task !== undefined) return task;
    throw new StreamsError('INSTANCE_UNREACHABLE', `the task that owns this key does not run here (yet)`, {
      context: { store, partition },
      hint: 'ask again when the instance is ready, or ask the instance that owns it',
    });
  }

  async #queryGlobal<K, V>(spec: StoreSpec, key: K): Promise<V | undefined> {
    const bytes = must(spec.keySerde.serialize(key, spec.name), 'a store key cannot be null');
    if (this.#thread === undefined || !this.ready)
      throw new StreamsError('INSTANCE_UNREACHABLE', 'the global stores are being filled', {
        context: { store: spec.name },
        hint: 'ask again when the instance is ready',
      });
    const value = await this.#thread.globalRow(spec.name, bytes);
    return value === undefined ? undefined : (spec.valueSerde.deserialize(value, spec.name) as V);
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
      standbys: this.#thread?.standbys() ?? [],
      globals: this.#thread?.globals(),
    };
  }

  #internalTopics(plan: ApplicationPlan): readonly InternalTopic[] {
    if (this.#standbySettings(plan) === undefined) return plan.internalTopics;
    const name = instancesTopic(plan.applicationId);
    return [...plan.internalTopics, { name, partitions: 1, config: { 'cleanup.policy': 'compact' } }];
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
      onCommitStep: this.#options.onCommitStep,
      settings: {
        clientId: settings.applicationId,
        instanceId: settings.instanceId,
        transactionalId: transactionalIdOf(settings),
        transactionTimeoutMs: settings.transactionTimeoutMs ?? 10_000,
        processingGuarantee: settings.processingGuarantee,
        sessionTimeoutMs: settings.sessionTimeoutMs ?? 45_000,
        commitIntervalMs: settings.commitIntervalMs ?? 100,
        commitRecordsMax: settings.commitRecordsMax ?? 20_000,
        pollMs: 100,
        pollRecordsMax: 4_000,
        // Enough to merge inputs by time; what waits longer is copied by every garbage collection.
        bufferedRecordsMax: 8_000,
        bufferedBytesMax: 64 * 1024 * 1024,
        cacheEntriesMax: settings.cacheEntriesMax ?? 10_000,
        timestampAheadMsMax: settings.timestampAheadMsMax ?? 3_600_000,
        maxTaskIdleMs: settings.maxTaskIdleMs ?? 0,
        recommitMs: 3_600_000,
        shutdownMsMax: settings.shutdownMsMax ?? defaultShutdownMsMax,
        standby: this.#standbySettings(plan),
      },
    });
  }

  /** Undefined where none are asked for, and where no task has anything to follow. */
  #standbySettings(plan: ApplicationPlan): StandbySettings | undefined {
    const { settings } = this.#options;
    const { numStandbyReplicas = 0 } = settings;
    if (numStandbyReplicas === 0 || !plan.tasks.some(wantsStandby)) return undefined;
    return {
      numStandbys: numStandbyReplicas,
      name: transactionalIdOf(settings),
      host: settings.host,
      tags: settings.clientTags ?? {},
      spreadTags: settings.rackAwareAssignmentTags ?? [],
      heartbeatMs: settings.instanceHeartbeatMs ?? 10_000,
    };
  }
}
