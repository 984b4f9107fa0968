/**
 * Tasks, a commit cycle and the embedded broker without a thread: a test takes every step itself and looks
 * between them. The topology counts words: `words` (key) ▸ store `counts` ▸ `totals` (key = running count).
 */
import type { Clock } from '../../src/base/clock-port.ts';
import type { TopicPartition } from '../../src/base/record.ts';
import { silentTelemetry } from '../../src/base/telemetry-port.ts';
import type { Broker, Consumer, GroupMember, Producer } from '../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import { CommitCycle, type CommitStep, type ProcessingGuarantee } from '../../src/commit/commit-cycle.ts';
import { deadLetterPolicy } from '../../src/failure/failure-policy.ts';
import type { Topology } from '../../src/graph/topology.ts';
import { restoreTask } from '../../src/restore/changelog-restorer.ts';
import { longSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { TaskState } from '../../src/store/task-state.ts';
import { StreamTask } from '../../src/task/stream-task.ts';
import { type ApplicationPlan, planApplication } from '../../src/task/task-plan.ts';
import { countingTopology } from './counting-topology.ts';

/** A clock that moves by itself: a sleep takes no time and the clock says that it did. */
export class EagerClock implements Clock {
  #nowMs: number;

  constructor(nowMs = 1_000_000) {
    this.#nowMs = nowMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  advance(byMs: number): void {
    this.#nowMs += byMs;
  }

  async sleep(delayMs: number): Promise<void> {
    await this.yield();
    if (Number.isFinite(delayMs)) this.#nowMs += Math.max(0, delayMs);
  }

  yield(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

export interface CommitBenchOptions {
  /** Default: the counting one. Reads `words` and writes `totals`. */
  readonly topology?: Topology;
  readonly timestampAheadMsMax?: number;
  readonly partitions?: number;
  readonly processingGuarantee?: ProcessingGuarantee;
  /** Methods that go before the producer's own. */
  readonly change?: (producer: Producer, transactionalId: string | undefined) => Partial<Producer>;
  readonly clock?: Clock;
  /** Where the tasks' stores are, and the broker's when it is `durable`: one machine. */
  readonly disk?: MemoryDisk;
  readonly durable?: boolean;
  readonly transactionTimeoutMs?: number;
}

export const counts = 'counts';
export const changelog = 'app-counts-changelog';

export class CommitBench {
  readonly broker: Broker;
  readonly plan: ApplicationPlan;
  readonly clock: Clock;
  readonly disk: MemoryDisk;
  readonly cycle: CommitCycle;
  readonly member: GroupMember;
  readonly consumer: Consumer;
  readonly tasks: StreamTask[] = [];
  /** What the cycle did, in order: its steps and every call to its producers. */
  readonly trace: string[] = [];
  readonly #timestampAheadMsMax: number;
  #produced = 0;

  private constructor(parts: {
    readonly broker: Broker;
    readonly plan: ApplicationPlan;
    readonly member: GroupMember;
    readonly consumer: Consumer;
    readonly clock: Clock;
    readonly options: CommitBenchOptions;
  }) {
    this.broker = parts.broker;
    this.plan = parts.plan;
    this.clock = parts.clock;
    this.member = parts.member;
    this.consumer = parts.consumer;
    this.disk = parts.options.disk ?? new MemoryDisk();
    this.#timestampAheadMsMax = parts.options.timestampAheadMsMax ?? Number.POSITIVE_INFINITY;
    this.cycle = this.newCycle('tx', parts.options);
  }

  static async open(options: CommitBenchOptions = {}): Promise<CommitBench> {
    const clock = options.clock ?? new EagerClock();
    const partitions = options.partitions ?? 1;
    const disk = options.disk ?? new MemoryDisk();
    const backend = options.durable === true ? await disk.open('broker') : undefined;
    const broker = await openEmbeddedBroker({ backend, clock });
    const plan = planApplication(
      options.topology ?? countingTopology(),
      'app',
      new Map([
        ['words', partitions],
        ['totals', partitions],
      ]),
    );
    const wanted = [{ name: 'words', partitions }, { name: 'totals', partitions }, ...plan.internalTopics];
    // Those that an earlier life of the machine has made are there.
    const described = await broker.admin.describeTopics(wanted.map(({ name }) => name));
    await broker.admin.createTopics(wanted.filter((_, index) => described[index] === undefined));
    const member = await broker.joinGroup({
      groupId: 'app',
      topic: plan.tokenTopic,
      sessionTimeoutMs: 1_000_000,
    });
    for (const event of await member.poll(0)) await member.acknowledge(event);
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'in' });
    const bench = new CommitBench({ broker, plan, member, consumer, clock, options: { ...options, disk } });
    await bench.startTasks();
    return bench;
  }

  /** A second cycle over the same broker: another instance, or the same one again. */
  newCycle(transactionalId: string, options: CommitBenchOptions = {}): CommitCycle {
    return new CommitCycle({
      broker: this.#traced(options),
      clientId: 'cycle',
      transactionalId,
      transactionTimeoutMs: options.transactionTimeoutMs ?? 10_000,
      clock: this.clock,
      positionIntervalMs: 0,
      onCommitted: () => {},
      processingGuarantee: options.processingGuarantee,
      onStep: (step: CommitStep) => this.trace.push(`step ${step}`),
    });
  }

  /** Restores every task from what is committed, as after a failure; earlier ones are dropped. */
  async startTasks(): Promise<void> {
    for (const task of this.tasks.splice(0)) {
      await this.consumer.unassign(task.plan.inputs);
      task.discard();
      await task.close();
    }
    for (const plan of this.plan.tasks) {
      const state = new TaskState(
        await this.disk.open(plan.taskId),
        plan.stores.map(({ spec }) => spec.name),
        100,
      );
      const result = await restoreTask({
        broker: this.broker,
        groupId: 'app',
        plan,
        state,
        log: silentTelemetry.log,
        progress: { taskId: plan.taskId, restored: 0, remaining: 0 },
        abandoned: () => false,
        failurePolicy: deadLetterPolicy,
        nowMs: this.clock.nowMs(),
      });
      if (result.outcome !== 'restored') throw new Error(`the restore ended with ${result.outcome}`);
      const task = new StreamTask({
        plan,
        applicationId: 'app',
        partitionsOf: this.plan.partitionsOf,
        state,
        clock: this.clock,
        log: silentTelemetry.log,
        failurePolicy: deadLetterPolicy,
        timestampAheadMsMax: this.#timestampAheadMsMax,
      });
      await task.begin(result.committed);
      await this.consumer.assign(
        result.committed.map(({ topic, offset }) => ({ topic, partition: plan.partition, offset })),
      );
      this.tasks.push(task);
    }
  }

  get task(): StreamTask {
    return this.tasks[0] as StreamTask;
  }

  async produce(keys: readonly string[], partition = 0, value = 'x'): Promise<void> {
    const producer = await this.broker.openProducer({ clientId: 'test' });
    await producer.send(
      keys.map((key) => ({
        topic: 'words',
        partition,
        key: Buffer.from(key),
        value: Buffer.from(value),
        // Stream time moves with every record, so each commit has a clock to write.
        timestamp: 1_000 + this.#produced++,
        headers: [],
      })),
    );
    await producer.flush();
    await producer.close();
  }

  /** Reads what is there into the queues. */
  async poll(): Promise<void> {
    for (const batch of await this.consumer.poll({ recordsMax: 10_000, waitMs: 0 })) {
      const task = this.tasks.find(({ plan }) => plan.partition === batch.partition);
      task?.enqueue(batch);
    }
  }

  /** Writes to the input, reads and processes it. */
  async feed(keys: readonly string[], partition = 0): Promise<void> {
    await this.produce(keys, partition);
    await this.poll();
    for (const task of this.tasks) await task.processRound(10_000);
  }

  readonly position = (input: TopicPartition): number => this.consumer.position(input);

  commit(tasks: readonly StreamTask[] = this.tasks): Promise<void> {
    return this.cycle.commit(tasks, this.member, this.position);
  }

  /** What a consumer sees of the outputs: `key=count`. */
  outputs(isolation: 'read_committed' | 'read_uncommitted' = 'read_committed'): Promise<string[]> {
    return this.read('totals', isolation, (bytes) => String(longSerde.deserialize(bytes, '')));
  }

  async read(
    topic: string,
    isolation: 'read_committed' | 'read_uncommitted',
    show: (bytes: Buffer) => string,
  ): Promise<string[]> {
    const described = await this.broker.admin.describeTopics([topic]);
    const partitions = Array.from({ length: described[0]?.partitions ?? 0 }, (_, partition) => ({
      topic,
      partition,
    }));
    const ends = await this.broker.admin.endOffsets(partitions, isolation);
    const consumer = await this.broker.openConsumer({ isolation, clientId: 'judge' });
    await consumer.assign(partitions.map((each) => ({ ...each, offset: 0 })));
    const found: string[] = [];
    while (partitions.some((each, index) => consumer.position(each) < (ends[index] as number))) {
      for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 0 })) {
        for (let index = 0; index < batch.count; index++) {
          const value = batch.value(index);
          found.push(`${batch.key(index)}=${value === null ? 'null' : show(value)}`);
        }
      }
    }
    await consumer.close();
    return found;
  }

  /** The group's offset of an input partition. */
  async committed(partition = 0): Promise<number | undefined> {
    return (await this.broker.admin.committedOffsets('app', [{ topic: 'words', partition }]))[0];
  }

  /** What the store on the disk says. */
  async stored(key: string, task: StreamTask = this.task): Promise<number | undefined> {
    const bytes = await task.state.getCommitted(counts, Buffer.from(key));
    return bytes === undefined ? undefined : (longSerde.deserialize(bytes, '') as number);
  }

  async close(): Promise<void> {
    await this.cycle.close();
    for (const task of this.tasks.splice(0)) {
      task.discard();
      await task.close();
    }
    await this.broker.close();
  }

  #traced({ change }: CommitBenchOptions): Broker {
    const { broker, trace } = this;
    return {
      kind: broker.kind,
      admin: broker.admin,
      openConsumer: (options) => broker.openConsumer(options),
      joinGroup: (options) => broker.joinGroup(options),
      openProducer: async (options) => {
        const producer = await broker.openProducer(options);
        const changed = { ...methods(producer), ...change?.(producer, options.transactionalId) };
        const noting =
          <A extends unknown[], R>(name: string, call: (...args: A) => R) =>
          (...args: A): R => {
            trace.push(name);
            return call(...args);
          };
        return {
          init: noting('init', changed.init),
          begin: noting('begin', changed.begin),
          send: (records) => {
            trace.push(`send ${[...new Set(records.map(({ topic }) => topic))].join(' ')}`);
            return changed.send(records);
          },
          flush: noting('flush', changed.flush),
          sendOffsets: noting('sendOffsets', changed.sendOffsets),
          commit: noting('commit', changed.commit),
          abort: noting('abort', changed.abort),
          mayHaveRetried: () => changed.mayHaveRetried(),
          close: noting('close', changed.close),
        };
      },
      close: () => broker.close(),
    };
  }
}

function methods(producer: Producer): Producer {
  return {
    init: () => producer.init(),
    begin: () => producer.begin(),
    send: (records) => producer.send(records),
    flush: () => producer.flush(),
    sendOffsets: (offsets, member) => producer.sendOffsets(offsets, member),
    commit: () => producer.commit(),
    abort: () => producer.abort(),
    mayHaveRetried: () => producer.mayHaveRetried(),
    close: () => producer.close(),
  };
}
