/**
 * Runs a topology in a test without a broker: the real tasks, one partition of each topic, stores in
 * memory, a clock that moves when told. Commits after every record, as Kafka Streams' driver does, or after
 * every few when told so.
 *
 * Records and stored values are frozen: a processor that changes one in place, which a running task would take for
 * an accident of another record, fails here with PROCESSING_FAILED of kind `user`.
 *
 * Order: open, pipe and read, close. Records to internal topics, and to topics that the topology itself
 * reads, go round until nothing is left to process.
 *
 * Async steps: `pipe` waits for the calls that its record makes; when they wait for their next try, it returns and
 * `advanceWallClock` goes on with them. For a call that hangs, advance the clock before awaiting `pipe`; to have
 * several calls under way, pipe several records before awaiting the first.
 */
import { must } from '../base/assert.ts';
import { ManualClock } from '../base/manual-clock.ts';
import { type Headers, partitionKey, type TopicPartition } from '../base/record.ts';
import { type Logger, silentTelemetry } from '../base/telemetry-port.ts';
import type { OutgoingRecord, RecordBatch } from '../broker/broker-port.ts';
import { deadLetterPolicy } from '../failure/failure-policy.ts';
import type { GlobalStoreSpec } from '../graph/node.ts';
import type { Record, StateStore } from '../graph/processor.ts';
import type { Topology } from '../graph/topology.ts';
import type { Serde } from '../serde/serde.ts';
import { GlobalState } from '../store/global-state.ts';
import { openMemoryBackend } from '../store/memory-backend.ts';
import { TaskState } from '../store/task-state.ts';
import { GlobalStores, globalRows } from '../task/global-stores.ts';
import { viewWhole } from '../task/store-view.ts';
import { StreamTask } from '../task/stream-task.ts';
import { bindPatterns, externalTopics, planApplication, storesOf } from '../task/task-plan.ts';

export interface TopologyTestDriverOptions {
  readonly applicationId?: string;
  /** Wall clock at the start, milliseconds since the epoch. */
  readonly startMs?: number;
  readonly log?: Logger;
  /** Topics that patterns may match. */
  readonly topics?: readonly string[];
  /** All tasks commit after so many processed records; outputs come with the commit. 1 unless given. */
  readonly commitEveryRecords?: number;
}

export interface TestInputTopic<K, V> {
  pipe(key: K | null, value: V | null, timestampMs?: number, headers?: Headers): Promise<void>;
  /** Bytes as they are, for records that are not what the topology expects. */
  pipeBytes(key: Buffer | null, value: Buffer | null, timestampMs?: number): Promise<void>;
}

export interface TestOutputTopic<K, V> {
  /** What was written since the last call, in order. */
  readAll(): Record<K | null, V | null>[];
}

/** One record as a batch. */
function single(record: OutgoingRecord, offset: number): RecordBatch {
  return {
    topic: record.topic,
    partition: record.partition,
    count: 1,
    offset: () => offset,
    timestamp: () => record.timestamp,
    key: () => record.key,
    value: () => record.value,
    headers: () => record.headers,
  };
}

/** A record may choose any topic: each has one partition here. */
class AnyTopic extends Map<string, number> {
  override get(topic: string): number {
    return super.get(topic) ?? 1;
  }
}

/**
 * A topology in a test, without a broker.
 *
 * @example
 * ```ts
 * import { StreamsBuilder, stringSerde } from 'millrace';
 * import { TopologyTestDriver } from 'millrace/testing';
 *
 * const builder = new StreamsBuilder();
 * builder
 *   .stream<string, string>('names', { keySerde: stringSerde, valueSerde: stringSerde })
 *   .mapValues((name) => `Hello ${name}`)
 *   .to('greetings', { valueSerde: stringSerde });
 *
 * const driver = new TopologyTestDriver(builder.build());
 * await driver.open();
 * const names = driver.createInputTopic('names', stringSerde, stringSerde);
 * const greetings = driver.createOutputTopic('greetings', stringSerde, stringSerde);
 * await names.pipe('c1', 'Ada', 1_000);
 * for (const { key, value, timestamp } of greetings.readAll()) console.log(key, value, timestamp);
 * await driver.close();
 * // prints: c1 Hello Ada 1000
 * ```
 */
export class TopologyTestDriver {
  readonly clock: ManualClock;
  readonly #topology: Topology;
  readonly #applicationId: string;
  readonly #log: Logger;
  readonly #tasks: StreamTask[] = [];
  readonly #taskOf = new Map<string, StreamTask>();
  readonly #ends = new Map<string, number>();
  readonly #outputs = new Map<string, OutgoingRecord[]>();
  readonly #pending: OutgoingRecord[] = [];
  /** The run that takes what is pending; there is one at a time. */
  #running: Promise<void> | undefined;
  /** Wakes a run that waits for calls. */
  #wake: () => void = () => {};
  #closed = false;
  readonly #globals = new Map<string, GlobalStoreSpec>();
  #globalState: GlobalState | undefined;
  readonly #commitEveryRecords: number;
  /** Tasks that have processed something since the last commit. */
  readonly #touched = new Set<StreamTask>();
  #sinceCommit = 0;

  constructor(topology: Topology, options: TopologyTestDriverOptions = {}) {
    this.#applicationId = options.applicationId ?? 'test';
    this.#topology = bindPatterns(topology, this.#applicationId, options.topics ?? []);
    this.#log = options.log ?? silentTelemetry.log;
    this.#commitEveryRecords = options.commitEveryRecords ?? 1;
    this.clock = new ManualClock(options.startMs ?? 0);
  }

  async open(): Promise<void> {
    const plan = planApplication(
      this.#topology,
      this.#applicationId,
      new Map(externalTopics(this.#topology).map((name) => [name, 1])),
    );
    const specs = this.#topology.globalStores();
    for (const spec of specs) this.#globals.set(spec.topic, spec);
    this.#globalState = new GlobalState(
      new TaskState(
        await openMemoryBackend(),
        specs.map(({ store }) => store.name),
        10_000,
      ),
    );
    const globals = new GlobalStores(specs, this.#globalState);
    for (const taskPlan of plan.tasks) {
      const state = new TaskState(await openMemoryBackend(), storesOf(taskPlan), 10_000);
      const task = new StreamTask({
        plan: taskPlan,
        applicationId: this.#applicationId,
        partitionsOf: new AnyTopic(plan.partitionsOf),
        state,
        globals,
        frozen: true,
        clock: this.clock,
        log: this.#log,
        failurePolicy: deadLetterPolicy,
        timestampAheadMsMax: Number.POSITIVE_INFINITY,
      });
      await task.begin([]);
      this.#tasks.push(task);
      for (const { topic } of taskPlan.inputs) this.#taskOf.set(topic, task);
    }
  }

  createInputTopic<K, V>(topic: string, keySerde: Serde<K>, valueSerde: Serde<V>): TestInputTopic<K, V> {
    const pipeBytes = async (
      key: Buffer | null,
      value: Buffer | null,
      timestamp = this.clock.nowMs(),
      headers: Headers = [],
    ) => {
      must(this.#taskOf.get(topic) ?? this.#globals.get(topic), `the topology does not read topic ${topic}`);
      this.#pending.push({ topic, partition: 0, key, value, timestamp, headers });
      await this.#run();
    };
    return {
      pipe: (key, value, timestamp, headers) =>
        pipeBytes(keySerde.serialize(key, topic), valueSerde.serialize(value, topic), timestamp, headers),
      pipeBytes: (key, value, timestamp) => pipeBytes(key, value, timestamp),
    };
  }

  createOutputTopic<K, V>(topic: string, keySerde: Serde<K>, valueSerde: Serde<V>): TestOutputTopic<K, V> {
    return {
      readAll: () => {
        const records = this.#outputs.get(topic) ?? [];
        this.#outputs.delete(topic);
        return records.map((record) => ({
          key: keySerde.deserialize(record.key, topic),
          value: valueSerde.deserialize(record.value, topic),
          timestamp: record.timestamp,
          headers: record.headers,
        }));
      },
    };
  }

  /**
   * Moves the wall clock and fires what is due: each wall-clock timer at its own time, then punctuators, once. The
   * inputs count as read to their ends all the while.
   */
  async advanceWallClock(byMs: number): Promise<void> {
    const endMs = this.clock.nowMs() + byMs;
    for (;;) {
      const due = this.#tasks.map((task) => task.nextWallTimerMs() ?? Number.POSITIVE_INFINITY);
      const nextMs = Math.min(...due);
      if (nextMs > endMs) break;
      this.clock.advance(Math.max(0, nextMs - this.clock.nowMs()));
      await this.#fireWallTimers();
    }
    this.clock.advance(endMs - this.clock.nowMs());
    // Calls whose next try is due.
    await this.#run();
    for (const task of this.#tasks) await task.punctuateWallClock(this.clock.nowMs());
    await this.#fireWallTimers();
  }

  async #fireWallTimers(): Promise<void> {
    for (const task of this.#tasks) {
      await task.fireWallTimers(this.clock.nowMs());
      await this.#commit(task);
    }
    await this.#run();
  }

  /** Commits now, and goes on until what that brought is processed and committed too. */
  async commit(): Promise<void> {
    do {
      await this.#commitAll();
      await this.#run();
    } while (this.#sinceCommit > 0);
  }

  /**
   * A store as it is now, whole and of any kind, to be read with its own methods (`ReadOnlyKeyValueStore`,
   * `VersionedKeyValueStore`, `ReadOnlyWindowStore`, `ReadOnlySessionStore`); with a key, the committed value of the
   * key in a key-value store. What is not committed yet is not there. A table's store holds
   * `{ value, timestamp }`, and so do windowed aggregates other than sessions.
   */
  async store<S extends StateStore>(name: string): Promise<S>;
  async store<K, V>(name: string, key: K): Promise<V | undefined>;
  async store(name: string, ...key: unknown[]): Promise<unknown> {
    return key.length === 0 ? await this.#wholeStore(name) : await this.#committedValue(name, key[0]);
  }

  async #wholeStore(name: string): Promise<StateStore> {
    const global = this.#topology.globalStore(name)?.store;
    if (global !== undefined)
      return viewWhole({ state: must(this.#globalState, 'open'), taskStore: undefined }, global);
    const { state, plan } = this.#taskWith(name);
    const spec = must(this.#topology.store(name), `the topology has no store ${name}`);
    return viewWhole({ state, taskStore: plan.taskStore }, spec);
  }

  #taskWith(store: string): StreamTask {
    return must(
      this.#tasks.find(({ plan }) => plan.stores.some(({ spec }) => spec.name === store)),
      `no task has store ${store}`,
    );
  }

  async #committedValue<K, V>(name: string, key: K): Promise<V | undefined> {
    const global = this.#topology.globalStore(name)?.store;
    const spec = must(global ?? this.#topology.store(name), `the topology has no store ${name}`);
    const keyBytes = spec.keySerde.serialize(key, name) as Buffer;
    if (global !== undefined) {
      const row = await this.#globalState?.getCommitted(name, keyBytes);
      return row === undefined ? undefined : (spec.valueSerde.deserialize(row, name) as V);
    }
    const bytes = await this.#taskWith(name).state.getCommitted(name, keyBytes);
    return bytes === undefined ? undefined : (spec.valueSerde.deserialize(bytes, name) as V);
  }

  tasks(): readonly StreamTask[] {
    return this.#tasks;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#wake();
    await this.#running?.catch(() => {});
    for (const task of this.#tasks) task.discard();
    for (const task of this.#tasks) await task.close();
    await this.#globalState?.close();
  }

  async #run(): Promise<void> {
    do {
      this.#wake();
      this.#running ??= this.#runAll().finally(() => {
        this.#running = undefined;
      });
      await this.#running;
      // More may have been piped in the moment in which it ended.
    } while (this.#pending.length > 0 && !this.#closed);
  }

  /** Until nothing is left to process, or what is left waits for the clock. */
  async #runAll(): Promise<void> {
    while (!this.#closed) {
      for (let record = this.#pending.shift(); record !== undefined; record = this.#pending.shift())
        await this.#feed(record);
      let processed = 0;
      for (const task of this.#tasks) if (task.queued > 0) processed += await this.#process(task);
      if (processed > 0 || this.#pending.length > 0) continue;
      // A call may have ended just now.
      if (this.#tasks.some((task) => task.queued > 0 && !task.waitsForCalls)) continue;
      const changes = this.#tasks.map((task) => task.nextCallChange()).filter((each) => each !== undefined);
      if (changes.length === 0) return;
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      await Promise.race([...changes, woken]);
    }
  }

  async #feed(record: OutgoingRecord): Promise<void> {
    const task = this.#taskOf.get(record.topic);
    const id = partitionKey(record.topic, record.partition);
    const offset = this.#ends.get(id) ?? 0;
    this.#ends.set(id, offset + 1);
    const batch = single(record, offset);
    const global = this.#globals.get(record.topic);
    if (global !== undefined) await this.#applyGlobally(global, batch);
    if (task === undefined) return;
    await task.prepare([batch]);
    task.enqueue(batch);
    await this.#process(task);
  }

  /** One record, if its calls have ended, and its commit. */
  async #process(task: StreamTask): Promise<number> {
    const processed = await task.processRound(1);
    if (processed === 0) return 0;
    await task.fireEventTimers();
    this.#touched.add(task);
    if (++this.#sinceCommit >= this.#commitEveryRecords) await this.#commitAll();
    return processed;
  }

  /** As every instance does with its own copy. */
  async #applyGlobally(spec: GlobalStoreSpec, batch: RecordBatch): Promise<void> {
    const { writes, unreadable } = await globalRows(spec, batch);
    for (const { error } of unreadable)
      this.#log.warn('a record is left out of its global store', { topic: spec.topic }, error);
    await must(this.#globalState, 'the driver is open').write(spec.store.name, writes, new Map());
  }

  async #commitAll(): Promise<void> {
    this.#sinceCommit = 0;
    const touched = [...this.#touched];
    this.#touched.clear();
    for (const task of touched) await this.#commit(task);
  }

  async #commit(task: StreamTask): Promise<void> {
    const sealed = task.seal(
      ({ topic, partition }: TopicPartition) => this.#ends.get(partitionKey(topic, partition)) ?? 0,
    );
    await task.storeSealed(sealed, new Map());
    for (const record of sealed.outputs) {
      if (this.#taskOf.has(record.topic) || this.#globals.has(record.topic))
        this.#pending.push({ ...record, partition: 0 });
      const kept = this.#outputs.get(record.topic);
      if (kept === undefined) this.#outputs.set(record.topic, [record]);
      else kept.push(record);
    }
  }
}
