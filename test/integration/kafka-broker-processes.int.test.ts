/** Processes that are killed or stopped in the middle of a transaction: every input record counts once. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import type { Broker, Isolation } from '../../src/broker/broker-port.ts';
import { eventually } from '../support/eventually.ts';
import { openTestKafka, uniqueName } from '../support/kafka.ts';
import type { WorkerNews, WorkerPlan } from './kafka-broker-worker.ts';

const partitions = 4;
const workerFile = fileURLToPath(new URL('./kafka-broker-worker.js', import.meta.url));

describe('exactly once through processes that die', function () {
  this.timeout(180_000);
  let broker: Broker;
  let input: string;
  let output: string;
  let base: Omit<WorkerPlan, 'holdAt' | 'holdsOffsets' | 'transactionalId' | 'instanceId'>;
  let workers: Worker[];

  before(async () => {
    broker = await openTestKafka();
  });
  after(() => broker?.close());
  beforeEach(async () => {
    workers = [];
    input = uniqueName('input');
    output = uniqueName('output');
    const tokens = uniqueName('tokens');
    await broker.admin.createTopics([input, output, tokens].map((name) => ({ name, partitions })));
    base = { input, output, tokens, groupId: uniqueName('group'), groupProtocol: 'classic' };
  });
  afterEach(async () => {
    for (const worker of workers) await worker.kill();
  });

  const start = (plan: Omit<WorkerPlan, keyof typeof base>): Worker => {
    const worker = new Worker({ ...base, ...plan });
    workers.push(worker);
    return worker;
  };

  const write = async (count: number): Promise<void> => {
    const producer = await broker.openProducer({ clientId: uniqueName('client') });
    for (let from = 0; from < count; from += 5_000) {
      const records = Array.from({ length: Math.min(5_000, count - from) }, (_, i) => ({
        topic: input,
        partition: (from + i) % partitions,
        key: null,
        value: Buffer.from(`${from + i}`),
        timestamp: 1_700_000_000_000,
        headers: [],
      }));
      await producer.send(records);
    }
    await producer.flush();
    await producer.close();
  };

  /** The values of each partition of the output, when `count` or more are there. */
  const read = async (isolation: Isolation, count: number): Promise<number[][]> => {
    const consumer = await broker.openConsumer({ isolation, clientId: uniqueName('client') });
    const all = Array.from({ length: partitions }, (_, partition) => ({ topic: output, partition }));
    await consumer.assign(all.map((at) => ({ ...at, offset: 0 })));
    const found: number[][] = all.map(() => []);
    await eventually(
      async () => {
        for (const batch of await consumer.poll({ recordsMax: 5_000, waitMs: 50 })) {
          for (let i = 0; i < batch.count; i++) {
            found[batch.partition]?.push(Number.parseInt(`${batch.value(i)}`, 10));
          }
        }
        const ends = await broker.admin.endOffsets(all, isolation);
        const isAtEnd = all.every((at, i) => consumer.position(at) >= (ends[i] as number));
        return isAtEnd && found.flat().length >= count;
      },
      { what: `${count} output records`, timeoutMs: 90_000 },
    );
    await consumer.close();
    return found;
  };

  const assertEachOnce = async (count: number): Promise<void> => {
    const found = await read('read_committed', count);
    for (let partition = 0; partition < partitions; partition++) {
      const expected = Array.from({ length: count / partitions }, (_, i) => partition + i * partitions);
      assert.deepEqual(found[partition], expected, `partition ${partition}`);
    }
  };

  it('holds for 50,000 records and a process that is killed three times inside a transaction', async () => {
    const count = 50_000;
    await write(count);
    const identity = { transactionalId: uniqueName('tx'), instanceId: 'one' };
    for (const [holdAt, holdsOffsets] of [
      [9_000, false],
      [12_000, true],
      [15_000, false],
    ] as const) {
      const worker = start({ ...identity, holdAt, holdsOffsets });
      await worker.news('holding');
      await worker.kill();
    }
    start({ ...identity, holdAt: Number.POSITIVE_INFINITY, holdsOffsets: false });
    await assertEachOnce(count);
    const written = (await read('read_uncommitted', count)).flat().length;
    assert.ok(written > count, 'the kills left aborted records behind');
  });

  it('holds when a stopped process wakes after another one took over', async () => {
    const count = 4_000;
    await write(count);
    const stopped = start({
      transactionalId: uniqueName('tx'),
      instanceId: undefined,
      holdAt: 1_000,
      holdsOffsets: false,
    });
    await stopped.news('holding');
    stopped.stop();
    start({
      transactionalId: uniqueName('tx'),
      instanceId: undefined,
      holdAt: Number.POSITIVE_INFINITY,
      holdsOffsets: false,
    });
    await assertEachOnce(count);
    stopped.goOn();
    const news = await stopped.news('failed');
    assert.ok(['MEMBER_FENCED', 'PRODUCER_FENCED', 'TRANSACTION_ABORT_REQUIRED'].includes(news), news);
    await assertEachOnce(count);
  });
});

/** A child process with what it has told. */
class Worker {
  readonly #child: ChildProcess;
  readonly #told: WorkerNews[] = [];
  readonly #exit: Promise<unknown>;

  constructor(plan: WorkerPlan) {
    // JSON has no infinity: a number beyond every count stands for it.
    const holdAt = Math.min(plan.holdAt, Number.MAX_SAFE_INTEGER);
    this.#child = fork(workerFile, [JSON.stringify({ ...plan, holdAt })]);
    this.#child.on('message', (news: WorkerNews) => this.#told.push(news));
    this.#exit = once(this.#child, 'exit');
  }

  /** Resolves with the text of the first such news. */
  news(kind: 'holding' | 'failed'): Promise<string> {
    return eventually(
      () => {
        for (const news of this.#told) {
          if ('failed' in news && kind !== 'failed') throw new Error(`the worker failed: ${news.failed}`);
          const value = (news as Record<string, unknown>)[kind];
          if (value !== undefined) return String(value);
        }
        return undefined;
      },
      { what: `a worker that tells: ${kind}`, timeoutMs: 60_000 },
    );
  }

  stop(): void {
    this.#child.kill('SIGSTOP');
  }

  goOn(): void {
    this.#child.kill('SIGCONT');
    this.#child.send('go');
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#exit;
  }
}
