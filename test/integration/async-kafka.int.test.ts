/**
 * Async steps on a real Kafka. Goal: what a service outside answers is applied once and in order, whoever is killed
 * while its calls are open, and a call that takes longer than the session moves no task.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { partitionForKey } from '../../src/base/murmur2.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { longSerde } from '../../src/serde/serde.ts';
import { type AskingTopics, slowMs } from '../support/asking-topology.ts';
import { eventually } from '../support/eventually.ts';
import { openTestKafka, testKafka, uniqueName } from '../support/kafka.ts';
import { readTopic } from '../support/topic-records.ts';
import { WorkerProcess } from '../support/worker-process.ts';

const partitions = 3;
const deadlineMs = 90_000;

class Bench {
  readonly broker: Broker;
  readonly topics: AskingTopics;
  readonly #applicationId = uniqueName('asking');
  readonly #folder = mkdtempSync(join(tmpdir(), 'millrace-asking-'));
  readonly #workers = new Map<string, WorkerProcess>();
  readonly #written = new Map<string, string[]>();

  private constructor(broker: Broker, topics: AskingTopics) {
    this.broker = broker;
    this.topics = topics;
  }

  static async open(): Promise<Bench> {
    const broker = await openTestKafka();
    const topics = {
      words: uniqueName('words'),
      answers: uniqueName('answers'),
      counts: uniqueName('counts'),
    };
    await broker.admin.createTopics(Object.values(topics).map((name) => ({ name, partitions })));
    return new Bench(broker, topics);
  }

  /** By the same name once more it has the same volume. */
  start(name: string): WorkerProcess {
    mkdirSync(join(this.#folder, 'logs'), { recursive: true });
    const worker = new WorkerProcess({
      brokers: testKafka(),
      applicationId: this.#applicationId,
      runs: { asking: this.topics },
      instanceId: undefined,
      transactionalId: `${this.#applicationId}-${name}`,
      stateDir: join(this.#folder, name),
      logFile: this.#logFile(name),
      commitIntervalMs: 50,
      sessionTimeoutMs: 6_000,
      transactionTimeoutMs: 15_000,
      groupProtocol: 'auto',
      properties: {},
    });
    this.#workers.set(name, worker);
    return worker;
  }

  worker(name: string): WorkerProcess {
    const worker = this.#workers.get(name);
    assert.ok(worker, `there is no worker ${name}`);
    return worker;
  }

  /** Lines of the worker's log that say that the group has taken tasks from it. */
  taken(name: string): string[] {
    return readFileSync(this.#logFile(name), 'utf8')
      .split('\n')
      .filter((line) => /"tasks (revoked|lost)"/.test(line));
  }

  async write(words: readonly (readonly [key: string, word: string])[]): Promise<void> {
    const producer = await this.broker.openProducer({ clientId: uniqueName('words') });
    await producer.send(
      words.map(([text, word]) => {
        const key = Buffer.from(text);
        this.#written.set(text, [...(this.#written.get(text) ?? []), word]);
        const place = { topic: this.topics.words, partition: partitionForKey(key, partitions) };
        return { ...place, key, value: Buffer.from(word), timestamp: 1_000, headers: [] };
      }),
    );
    await producer.flush();
    await producer.close();
  }

  async answered(): Promise<number> {
    return (await readTopic(this.broker, this.topics.answers, partitions)).length;
  }

  untilAnswered(count: number): Promise<unknown> {
    return eventually(async () => (await this.answered()) >= count, {
      timeoutMs: deadlineMs,
      what: `${count} committed answers`,
    });
  }

  untilReady(tasks: number): Promise<unknown> {
    return eventually(
      async () => {
        const statuses = await Promise.all([...this.#workers.values()].map((worker) => worker.status()));
        const owned = statuses.flatMap((status) => status?.tasks ?? []);
        return statuses.every((status) => status?.ready === true) && owned.length === tasks;
      },
      { timeoutMs: deadlineMs, what: 'the workers to be ready' },
    );
  }

  /** Each key's committed answers are those to its words, in their order, and were counted one by one. */
  async judge(): Promise<void> {
    const answers = new Map<string, string[]>();
    for (const { key, value } of await readTopic(this.broker, this.topics.answers, partitions)) {
      answers.set(String(key), [...(answers.get(String(key)) ?? []), String(value)]);
    }
    const counts = new Map<string, number[]>();
    for (const { key, value } of await readTopic(this.broker, this.topics.counts, partitions)) {
      const count = longSerde.deserialize(value, this.topics.counts);
      counts.set(String(key), [...(counts.get(String(key)) ?? []), count as number]);
    }
    for (const [key, words] of this.#written) {
      assert.deepEqual(
        answers.get(key),
        words.map((word) => word.toUpperCase()),
        `answers of ${key}`,
      );
      assert.deepEqual(
        counts.get(key),
        words.map((_, n) => n + 1),
        `counts of ${key}`,
      );
    }
  }

  async close(): Promise<void> {
    for (const worker of this.#workers.values()) await worker.kill();
    await this.broker.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #logFile(name: string): string {
    return join(this.#folder, 'logs', `${name}.log`);
  }
}

describe('async steps on a real Kafka', function () {
  this.timeout(240_000);
  let bench: Bench;
  beforeEach(async () => {
    bench = await Bench.open();
  });
  afterEach(() => bench.close());

  it('apply each answer once and in order though instances are killed while their calls are open', async () => {
    const total = 3_000;
    const words = Array.from({ length: total }, (_, n) => [`k${n % 97}`, `word ${n}`] as const);
    for (const name of ['one', 'two']) bench.start(name);
    await bench.untilReady(partitions);
    for (const [round, name] of ['one', 'two'].entries()) {
      const before = (round * total) / 2;
      await bench.write(words.slice(before, before + total / 2));
      await bench.untilAnswered(before + 200);
      await bench.worker(name).kill();
      assert.ok((await bench.answered()) < before + total / 2, 'it died in the middle');
      bench.start(name);
      await bench.untilAnswered(before + total / 2);
    }
    await bench.judge();
  });

  it('may take longer than the session of the group, and no task moves', async () => {
    for (const name of ['one', 'two']) bench.start(name);
    await bench.untilReady(partitions);
    const taken = () => ['one', 'two'].flatMap((name) => bench.taken(name));
    const before = taken();
    const beganMs = wallClock.monotonicMs();
    await bench.write(Array.from({ length: 9 }, (_, n) => [`k${n}`, `slow ${n}`] as const));
    await bench.write(Array.from({ length: 90 }, (_, n) => [`k${n % 9}`, `word ${n}`] as const));
    await bench.untilAnswered(99);
    assert.ok(wallClock.monotonicMs() - beganMs >= slowMs, 'the calls were slow');
    await bench.judge();
    assert.deepEqual(taken(), before);
  });
});
