/**
 * The ledger run inside the test's own process: an embedded broker, entries that go in, instances on whatever
 * disk and clock the test gives them, and the whole judgement of ledger-checkers.ts at the end. Used by the fault
 * tests that need no real Kafka. Everything opened here is closed by `close`, after a failed test too.
 */
import assert from 'node:assert/strict';
import { StreamsApp, type StreamsAppOptions, type StreamsSettings } from '../../src/app/streams-app.ts';
import type { KeyValueBackend } from '../../src/base/backend-port.ts';
import { partitionForKey } from '../../src/base/murmur2.ts';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import { changelogTopic } from '../../src/graph/subtopology.ts';
import type { Topology } from '../../src/graph/topology.ts';
import { jsonSerde, stringSerde } from '../../src/serde/serde.ts';
import { TaskState } from '../../src/store/task-state.ts';
import { type ApplicationPlan, externalTopics, planApplication } from '../../src/task/task-plan.ts';
import { eventually } from './eventually.ts';
import {
  type Committed,
  checkLedger,
  type Dump,
  foldLedger,
  type Ledger,
  type OffsetSample,
  type Violation,
  violationsText,
} from './ledger-checkers.ts';
import {
  type AccountState,
  accountsStore,
  type Balance,
  LedgerEntries,
  type LedgerEntry,
  type LedgerNames,
  ledgerNames,
  ledgerTopology,
  type Move,
  movesTopic,
  type OutgoingEntry,
  type Reminder,
  type Total,
  type Transfer,
  totalsStore,
} from './ledger-topology.ts';

export type OpenStore = (taskId: string) => Promise<KeyValueBackend>;

export interface LedgerBenchOptions {
  readonly seed: number;
  /** Default 2. */
  readonly partitions?: number;
  /** Default 24. */
  readonly accounts?: number;
  /** Default: an embedded broker in memory. */
  readonly broker?: Broker;
}

export interface InstanceOptions extends Partial<Omit<StreamsAppOptions, 'settings'>> {
  readonly open: OpenStore;
  /** Removes a task's folder; default: a rebuild fails the test. */
  readonly destroy?: (taskId: string) => Promise<void> | void;
  readonly settings?: Partial<StreamsSettings>;
}

export const ledgerApplication = 'ledger';
const settleMs = 30_000;

export class LedgerBench {
  readonly broker: Broker;
  readonly names: LedgerNames = ledgerNames('l');
  readonly partitions: number;
  readonly entries: LedgerEntries;
  readonly #apps: StreamsApp[] = [];
  readonly #offsets: OffsetSample[] = [];
  /** How many entries went in, the closing ones apart. */
  produced = 0;

  private constructor(broker: Broker, options: LedgerBenchOptions) {
    this.broker = broker;
    this.partitions = options.partitions ?? 2;
    this.entries = new LedgerEntries(seededRandom(options.seed), options.accounts ?? 24);
  }

  static async open(options: LedgerBenchOptions): Promise<LedgerBench> {
    const broker = options.broker ?? (await openEmbeddedBroker({ backend: undefined, clock: wallClock }));
    const bench = new LedgerBench(broker, options);
    const names = Object.values(bench.names);
    const found = await broker.admin.describeTopics(names);
    const missing = names.filter((_, index) => found[index] === undefined);
    await broker.admin.createTopics(missing.map((name) => ({ name, partitions: bench.partitions })));
    return bench;
  }

  get topology(): Topology {
    return ledgerTopology(this.names);
  }

  /** An instance that is not started yet. */
  instance({ open, destroy, settings, ...more }: InstanceOptions): StreamsApp {
    const app = new StreamsApp({
      topology: this.topology,
      broker: this.broker,
      clock: wallClock,
      ...more,
      settings: { applicationId: ledgerApplication, commitIntervalMs: 5, ...settings },
      openTaskBackend: open,
      destroyTaskBackend: async (taskId) => {
        assert.ok(destroy !== undefined, `the state of ${taskId} must not be wiped`);
        await destroy(taskId);
      },
    });
    this.#apps.push(app);
    return app;
  }

  async start(options: InstanceOptions): Promise<StreamsApp> {
    const app = this.instance(options);
    await app.start();
    return app;
  }

  async produce(count: number): Promise<void> {
    this.produced += count;
    await this.send(this.entries.take(count));
  }

  async send(entries: readonly OutgoingEntry[], partition?: number): Promise<void> {
    const producer = await this.broker.openProducer({ clientId: 'driver' });
    const serde = jsonSerde<LedgerEntry>();
    const records = entries.map(({ key, value, timestamp }) => ({
      topic: this.names.entries,
      partition: partition ?? partitionForKey(Buffer.from(key), this.partitions),
      key: Buffer.from(key),
      value: serde.serialize(value, this.names.entries),
      timestamp,
      headers: [],
    }));
    for (let from = 0; from < records.length; from += 1_000)
      await producer.send(records.slice(from, from + 1_000));
    await producer.flush();
    await producer.close();
  }

  /** Stream time goes past the last reminder in every partition. */
  async sendClosing(): Promise<void> {
    for (let partition = 0; partition < this.partitions; partition++)
      await this.send([this.entries.closing(partition)], partition);
  }

  inputs(): { topic: string; partition: number }[] {
    const topics = [this.names.entries, `${ledgerApplication}-${movesTopic}`];
    return topics.flatMap((topic) =>
      Array.from({ length: this.partitions }, (_, partition) => ({ topic, partition })),
    );
  }

  /** True when everything that is there has been processed and committed. */
  async isSettled(): Promise<boolean> {
    const inputs = this.inputs();
    const committed = await this.broker.admin
      .committedOffsets(ledgerApplication, inputs)
      .catch(() => undefined);
    if (committed === undefined) return false;
    inputs.forEach((input, index) => {
      this.#offsets.push({ ...input, offset: committed[index] });
    });
    const ends = await this.broker.admin.endOffsets(inputs, 'read_uncommitted');
    return ends.every((end, index) => (committed[index] ?? 0) === end);
  }

  /** Waits until nothing is left to do; an instance that has died fails the test at once. */
  async settle(timeoutMs = settleMs): Promise<void> {
    await eventually(
      async () => {
        for (const app of this.#apps) if (app.state === 'ERROR') throw await app.failure;
        return this.isSettled();
      },
      { timeoutMs, what: 'the ledger to be processed to its end' },
    );
  }

  /** Committed records of a topic, per partition in the order of their offsets. */
  async read<V>(topic: string): Promise<Committed<V>[]> {
    const [found] = await this.broker.admin.describeTopics([topic]);
    const inputs = Array.from({ length: found?.partitions ?? 0 }, (_, partition) => ({ topic, partition }));
    const starts = await this.broker.admin.startOffsets(inputs);
    const ends = await this.broker.admin.endOffsets(inputs, 'read_uncommitted');
    const consumer = await this.broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    const serde = jsonSerde<V>();
    const records: Committed<V>[] = [];
    await consumer.assign(inputs.map((input, index) => ({ ...input, offset: starts[index] ?? 0 })));
    while (inputs.some((input, index) => consumer.position(input) < (ends[index] as number))) {
      for (const batch of await consumer.poll({ recordsMax: 5_000, waitMs: 10 })) {
        for (let index = 0; index < batch.count; index++) {
          records.push({
            topic,
            partition: batch.partition,
            offset: batch.offset(index),
            key: String(batch.key(index)),
            value: serde.deserialize(batch.value(index), topic) as V,
          });
        }
      }
    }
    await consumer.close();
    return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
  }

  async readLedger(): Promise<Ledger> {
    return {
      entries: await this.read<LedgerEntry>(this.names.entries),
      balances: await this.read<Balance>(this.names.balances),
      transfers: await this.read<Transfer>(this.names.transfers),
      reminders: await this.read<Reminder>(this.names.reminders),
    };
  }

  async plan(topology: Topology = this.topology): Promise<ApplicationPlan> {
    const names = externalTopics(topology);
    const counts = new Map<string, number>();
    for (const topic of await this.broker.admin.describeTopics(names))
      if (topic !== undefined) counts.set(topic.name, topic.partitions);
    return planApplication(topology, ledgerApplication, counts);
  }

  /** What is on the disk of every task, read from outside. Order: the instance that had them must be stopped. */
  async dump<V>(store: string, open: OpenStore, topology?: Topology): Promise<Dump<V>> {
    const serde = jsonSerde<V>();
    const found = new Map<string, V>();
    for (const task of (await this.plan(topology)).tasks) {
      if (!task.stores.some(({ spec }) => spec.name === store)) continue;
      const state = new TaskState(
        await open(task.taskId),
        task.stores.map(({ spec }) => spec.name),
        1,
      );
      try {
        for await (const page of state.scanCommitted(store, 1_000))
          for (const { key, value } of page) found.set(key.toString(), serde.deserialize(value, '') as V);
      } finally {
        await state.close();
      }
    }
    return found;
  }

  async dumpChangelog<V>(store: string): Promise<Dump<V>> {
    const found = new Map<string, V>();
    const topic = changelogTopic(ledgerApplication, store);
    for (const { key, value } of await this.read<V | null>(topic)) {
      if (value === null) found.delete(key);
      else found.set(key, value);
    }
    return found;
  }

  /** Everything that ledger-checkers.ts knows; `open`: the stores too. Order: all reminders must be due. */
  async violations(open?: OpenStore): Promise<Violation[]> {
    const ledger = await this.readLedger();
    const dumps = async <V>(name: string) => ({
      changelog: await this.dumpChangelog<V>(name),
      ...(open === undefined ? {} : { store: await this.dump<V>(name, open) }),
    });
    return checkLedger(ledger, {
      moves: await this.read<Move>(`${ledgerApplication}-${movesTopic}`),
      offsets: this.#offsets,
      state: {
        accounts: await dumps<AccountState>(accountsStore),
        totals: await dumps<Total>(totalsStore),
      },
    });
  }

  /** Closes the ledger's time, waits, and holds the running instance's answers against the fold. */
  async finish(timeoutMs?: number): Promise<void> {
    await this.sendClosing();
    await this.settle(timeoutMs);
  }

  async assertSound(open?: OpenStore, about = ''): Promise<void> {
    const violations = await this.violations(open);
    assert.equal(violations.length, 0, `${about}${violationsText(violations)}`);
  }

  /** What queries answer now must be the fold of what is committed. Order: after `settle`. */
  async assertQueries(app: StreamsApp, about = ''): Promise<void> {
    const fold = foldLedger({ entries: await this.read<LedgerEntry>(this.names.entries) });
    for (const [store, expected] of [
      [accountsStore, fold.accounts],
      [totalsStore, fold.totals],
    ] as const) {
      for (const [key, value] of expected)
        assert.deepEqual(await app.query<string, unknown>(store, key), value, `${about}${store} ${key}`);
    }
  }

  async close(): Promise<void> {
    for (const app of this.#apps) await app.stop();
    await this.broker.close();
  }
}

/** A key as the stores hold it. */
export function storeKey(key: string): Buffer {
  return stringSerde.serialize(key, '') as Buffer;
}
