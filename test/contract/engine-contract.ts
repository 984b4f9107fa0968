/**
 * The engine's contract on any broker (as a function, run by a runner per adapter and guarantee).
 * Goal: whatever happens to commits and whoever joins or leaves, each input record has its effect once, or at
 * least once where that is the guarantee.
 * Method: a counting topology of two sub-topologies on a broker. Every output carries
 * the running count of its key, so a lost or doubled effect shows as a gap or a repeat.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp, type StreamsSettings } from '../../src/app/streams-app.ts';
import { StreamsError } from '../../src/base/errors.ts';
import { partitionForKey } from '../../src/base/murmur2.ts';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import type { ProcessingGuarantee } from '../../src/commit/commit-cycle.ts';
import type { KeyValueStore, Processor, ProcessorContext, Record } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { longSerde, stringSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { eventually } from '../support/eventually.ts';
import {
  type CommitFault,
  faultyBroker,
  faultyWithoutTransactions,
  type PlainPoint,
  plainPoints,
} from '../support/faulty-broker.ts';

class Count implements Processor<string, string, string, number> {
  #context!: ProcessorContext<string, number>;
  #counts!: KeyValueStore<string, number>;

  init(context: ProcessorContext<string, number>): void {
    this.#context = context;
    this.#counts = context.getStateStore('counts');
  }

  process(record: Record<string, string>): void {
    const count = (this.#counts.get(record.key) ?? 0) + 1;
    this.#counts.put(record.key, count);
    this.#context.forward({ ...record, value: count });
  }
}

class Rekey implements Processor<string, string, string, string> {
  #context!: ProcessorContext<string, string>;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
  }

  process(record: Record<string, string>): void {
    this.#context.forward({ ...record, key: `k${record.value}`, value: record.key });
  }
}

/** words (any key, value n) ▸ re-keyed by `k<n>` ▸ counted per key ▸ totals */
function topology(names: Names): Topology {
  const strings = { keySerde: stringSerde, valueSerde: stringSerde };
  return new Topology()
    .addSource({ name: 'in', topics: [names.words], ...strings })
    .addProcessor({ name: 'rekey', supplier: () => new Rekey(), parents: ['in'] })
    .addRepartition({ name: 'by-value-repartition', partitions: undefined })
    .addSink({ name: 'again', topic: 'by-value-repartition', internal: true, ...strings, parents: ['rekey'] })
    .addSource({ name: 'values', topics: ['by-value-repartition'], internal: true, ...strings })
    .addStateStore({
      name: 'counts',
      kind: 'key-value',
      keySerde: stringSerde,
      valueSerde: longSerde,
      changelog: true,
    })
    .addProcessor({ name: 'count', supplier: () => new Count(), parents: ['values'], stores: ['counts'] })
    .addSink({
      name: 'out',
      topic: names.totals,
      keySerde: stringSerde,
      valueSerde: longSerde,
      parents: ['count'],
    });
}

const partitions = 3;
const keyCount = 40;

export interface EngineContractOptions {
  readonly name: string;
  open(): Promise<Broker>;
  uniqueName(prefix: string): string;
  /** Units: milliseconds that a test may wait for any one thing. */
  readonly deadlineMs: number;
  readonly commitIntervalMs: number;
  readonly processingGuarantee: ProcessingGuarantee;
}

/** One test's names, so that runs on a shared broker do not meet. */
interface Names {
  readonly app: string;
  readonly words: string;
  readonly totals: string;
}

/** A broker with the test's topics, and what tests do with them. */
class Bench {
  readonly broker: Broker;
  readonly names: Names;
  readonly #options: EngineContractOptions;
  readonly #apps: StreamsApp[] = [];

  constructor(broker: Broker, names: Names, options: EngineContractOptions) {
    this.broker = broker;
    this.names = names;
    this.#options = options;
  }

  /** After a failed test too, or its clients would keep the process alive. */
  async close(): Promise<void> {
    for (const app of this.#apps) await app.stop();
    await this.broker.close();
  }

  static async open(options: EngineContractOptions): Promise<Bench> {
    const broker = await options.open();
    const names = {
      app: options.uniqueName('counting'),
      words: options.uniqueName('words'),
      totals: options.uniqueName('totals'),
    };
    await broker.admin.createTopics([
      { name: names.words, partitions },
      { name: names.totals, partitions },
    ]);
    return new Bench(broker, names, options);
  }

  startApp(
    machine: Machine,
    instance: string,
    broker: Broker = this.broker,
    settings: Partial<StreamsSettings> = {},
  ): StreamsApp {
    const app = new StreamsApp({
      topology: topology(this.names),
      settings: {
        applicationId: this.names.app,
        transactionalId: `${this.names.app}-${instance}`,
        commitIntervalMs: this.#options.commitIntervalMs,
        processingGuarantee: this.#options.processingGuarantee,
        sessionTimeoutMs: 6_000,
        ...settings,
      },
      broker,
      openTaskBackend: machine.disk.open,
      destroyTaskBackend: async (taskId) => machine.destroy(taskId),
      clock: wallClock,
    });
    this.#apps.push(app);
    return app;
  }

  async produce(from: number, to: number): Promise<void> {
    const producer = await this.broker.openProducer({ clientId: 'test' });
    const records = [];
    for (let n = from; n < to; n++) {
      const key = Buffer.from(`w${n}`);
      const value = Buffer.from(String(n % keyCount));
      records.push({
        topic: this.names.words,
        partition: partitionForKey(key, partitions),
        key,
        value,
        timestamp: 1_000 + n,
        headers: [],
      });
    }
    await producer.send(records);
    await producer.flush();
    await producer.close();
  }

  /** All committed counts by key, in the order of the topic. */
  async readTotals(): Promise<Map<string, number[]>> {
    const inputs = Array.from({ length: partitions }, (_, partition) => ({
      topic: this.names.totals,
      partition,
    }));
    // The uncommitted end: the markers of what is committed already may still be on their way.
    const ends = await this.broker.admin.endOffsets(inputs, 'read_uncommitted');
    const consumer = await this.broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    await consumer.assign(inputs.map((input) => ({ ...input, offset: 0 })));
    const totals = new Map<string, number[]>();
    while (inputs.some((input, index) => consumer.position(input) < (ends[index] as number))) {
      for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 10 })) {
        for (let index = 0; index < batch.count; index++) {
          const key = String(batch.key(index));
          const counts = totals.get(key) ?? [];
          counts.push(longSerde.deserialize(batch.value(index), '') as number);
          totals.set(key, counts);
        }
      }
    }
    await consumer.close();
    return totals;
  }

  /** Waits until all is committed, then judges it. Arguments: `mayRepeat` after faults of at least once. */
  async expectAll(total: number, mayRepeat = false): Promise<void> {
    const inputs = [this.names.words, `${this.names.app}-by-value-repartition`].flatMap((topic) =>
      Array.from({ length: partitions }, (_, partition) => ({ topic, partition })),
    );
    await eventually(
      async () => {
        // Committed offsets first, then the uncommitted ends: equal means that nothing was on its way in
        // between. The last stable offset would not do: offsets can be committed before the markers land.
        // Pending offsets of a transaction that is being ended are no answer yet.
        const committed = await this.broker.admin
          .committedOffsets(this.names.app, inputs)
          .catch(() => undefined);
        if (committed === undefined) return false;
        const ends = await this.broker.admin.endOffsets(inputs, 'read_uncommitted');
        return ends.every((end, index) => (committed[index] ?? 0) === end);
      },
      { timeoutMs: this.#options.deadlineMs, what: 'committed offsets to reach the ends, past the markers' },
    );
    const totals = await this.readTotals();
    assert.equal(totals.size, keyCount);
    const expected = Array.from({ length: total / keyCount }, (_, index) => index + 1);
    for (const [key, counts] of totals) {
      if (!mayRepeat) assert.deepEqual(counts, expected, `counts of ${key}`);
      // What was repeated counts on from there: no number is missing, and there may be more of them.
      else {
        const seen = [...new Set(counts)].sort((a, b) => a - b);
        assert.deepEqual(
          seen,
          Array.from({ length: Math.max(...seen) }, (_, index) => index + 1),
          key,
        );
        assert.ok(seen.length >= expected.length, `${key} was counted to ${seen.length}`);
      }
    }
  }
}

/** The disk of one machine: it survives the instances that use it. */
class Machine {
  readonly disk = new MemoryDisk();
  destroyed = 0;

  destroy(taskId: string): void {
    this.destroyed++;
    this.disk.remove(taskId);
  }
}

export function engineContract(options: EngineContractOptions): void {
  const exactlyOnce = options.processingGuarantee === 'exactly_once_v2';
  describe(`an instance on ${options.name}, ${options.processingGuarantee}`, () => {
    let bench: Bench;
    beforeEach(async () => {
      bench = await Bench.open(options);
    });
    afterEach(() => bench.close());

    it('counts every record once and reaches no lag', async () => {
      const app = bench.startApp(new Machine(), '1');
      await app.start();
      await bench.produce(0, 2_000);
      await bench.expectAll(2_000);
      await app.stop();
      assert.equal(app.state, 'NOT_RUNNING');
      assert.ok(
        app.status().recordsProcessed >= 4_000,
        'each word passes two tasks, and totals outlive them',
      );
    });

    it('goes on where it was when started again, on its own state', async () => {
      const machine = new Machine();
      for (let run = 0; run < 3; run++) {
        const app = bench.startApp(machine, '1');
        await app.start();
        await bench.produce(run * 400, (run + 1) * 400);
        await bench.expectAll((run + 1) * 400);
        await app.stop();
      }
      assert.equal(machine.destroyed, 0);
    });

    it('restores from the changelogs when its state is gone', async () => {
      for (let run = 0; run < 3; run++) {
        const app = bench.startApp(new Machine(), '1');
        await app.start();
        await bench.produce(run * 400, (run + 1) * 400);
        await bench.expectAll((run + 1) * 400);
        await app.stop();
      }
    });

    it('shares the tasks with a second instance and takes them back, losing and doubling nothing', async () => {
      const first = bench.startApp(new Machine(), '1');
      const second = bench.startApp(new Machine(), '2');
      await first.start();
      await bench.produce(0, 1_000);
      await second.start();
      await eventually(() => second.status().tasks.length === 3 && second.ready, {
        timeoutMs: options.deadlineMs,
        what: 'the second instance to own half of the tasks',
      });
      await bench.produce(1_000, 2_000);
      await second.stop();
      await bench.produce(2_000, 3_000);
      await eventually(() => first.status().tasks.length === 6, {
        timeoutMs: options.deadlineMs,
        what: 'the first instance to own all tasks',
      });
      await bench.expectAll(3_000);
      await first.stop();
    });

    it('follows the tasks of the other as standbys, and goes on with their stores', async () => {
      const settings = { numStandbyReplicas: 1, instanceHeartbeatMs: 500 };
      const machines = [new Machine(), new Machine()] as const;
      const first = bench.startApp(machines[0], '1', bench.broker, settings);
      const second = bench.startApp(machines[1], '2', bench.broker, settings);
      await first.start();
      await second.start();
      await bench.produce(0, 1_000);
      const follows = (app: StreamsApp): number =>
        app.status().standbys.filter(({ lag }) => lag === 0).length;
      // Of the six tasks the three that count have a store.
      await eventually(() => first.ready && second.ready && follows(first) + follows(second) === 3, {
        timeoutMs: options.deadlineMs,
        what: 'every task with a store to be followed',
      });
      await bench.produce(1_000, 2_000);
      await first.stop();
      await bench.produce(2_000, 3_000);
      await bench.expectAll(3_000);
      assert.equal(second.status().standbys.length, 0, 'there is nobody left to follow');
      await second.stop();
      assert.deepEqual(
        machines.map(({ destroyed }) => destroyed),
        [0, 0],
      );
    });

    async function withoutTransaction(point: PlainPoint): Promise<void> {
      const random = seededRandom(11);
      let injected = 0;
      const machine = new Machine();
      const faulty = faultyWithoutTransactions(bench.broker, (asked) => {
        if (asked !== point || injected >= 6 || random.next() > 0.2) return undefined;
        injected++;
        return new StreamsError('BROKER_REQUEST_FAILED', `failed at ${point} (injected)`);
      });
      const app = bench.startApp(machine, '1', faulty);
      await app.start();
      for (let from = 0; from < 2_000; from += 400) {
        await bench.produce(from, from + 400);
        await bench.expectAll(from + 400, true);
      }
      assert.ok(injected > 0, 'the fault really happened');
      assert.equal(machine.destroyed, 0, 'a failed commit never wipes state');
      await app.stop();
    }

    if (!exactlyOnce) {
      for (const point of plainPoints) {
        it(`loses nothing by commits that fail without a transaction (${point})`, () =>
          withoutTransaction(point));
      }
      return;
    }

    it('is ready without a task where there are more instances than tasks, and takes over', async () => {
      const apps = Array.from({ length: 7 }, (_, n) => bench.startApp(new Machine(), String(n)));
      for (const app of apps) await app.start();
      const owned = (): number[] => apps.map((app) => app.status().tasks.length);
      await eventually(
        () => apps.every((app) => app.state === 'RUNNING') && owned().sort().join(' ') === '0 1 1 1 1 1 1',
        { timeoutMs: options.deadlineMs, what: 'seven instances to be ready, six of them with a task' },
      );
      await bench.produce(0, 1_000);
      await apps[owned().indexOf(1)]?.stop();
      await bench.produce(1_000, 2_000);
      await bench.expectAll(2_000);
    });

    const faults: CommitFault[] = ['abort before', 'answer lost', 'request lost', 'offsets refused'];
    for (const fault of faults) {
      it(`recovers from commits that fail (${fault})`, async () => {
        const random = seededRandom(7);
        let injected = 0;
        const machine = new Machine();
        const faulty = faultyBroker(bench.broker, () => {
          if (injected >= 6 || random.next() > 0.3) return 'none';
          injected++;
          return fault;
        });
        const app = bench.startApp(machine, '1', faulty);
        await app.start();
        for (let from = 0; from < 2_000; from += 400) {
          await bench.produce(from, from + 400);
          await bench.expectAll(from + 400);
        }
        assert.ok(injected > 0, 'the fault really happened');
        assert.equal(machine.destroyed, 0, 'a failed commit never wipes state');
        await app.stop();
      });
    }
  });
}
