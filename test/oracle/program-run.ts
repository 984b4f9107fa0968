/**
 * One program of kafka-programs.ts on real Kafka, in Kafka Streams and in two processes of ours that read the same
 * topics, up to everything that both have committed. One per test; called by kafka-programs.int.test.ts.
 *
 * Order: open ▸ startBoth ▸ write and rest, wave by wave ▸ outputs ▸ close.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { partitionForKey } from '../../src/base/murmur2.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { eventually } from '../support/eventually.ts';
import { openTestKafka, testKafka, uniqueName } from '../support/kafka.ts';
import { partitionsOf, type RawRecord, readTopic } from '../support/topic-records.ts';
import { WorkerProcess } from '../support/worker-process.ts';
import type { JavaProgram } from './java-program.ts';
import type { KafkaProgram, ProgramInput, ProgramName } from './kafka-programs.ts';

export const partitions = 4;
const restMs = 60_000;

interface Runtime {
  /** Also its consumer group. */
  readonly applicationId: string;
  readonly program: KafkaProgram;
}

export class ProgramRun {
  readonly ours: Runtime;
  readonly theirs: Runtime;
  readonly #broker: Broker;
  readonly #java: JavaProgram;
  readonly #folder = mkdtempSync(join(tmpdir(), 'millrace-program-'));
  readonly #workers = new Map<string, WorkerProcess>();
  #javaRuns = false;
  #written = 0;

  private constructor(broker: Broker, java: JavaProgram, name: ProgramName) {
    this.#broker = broker;
    this.#java = java;
    const topics = uniqueName(name);
    const runtime = (whose: string): Runtime => ({
      applicationId: `${topics}-${whose}`,
      program: { name, left: `${topics}-left`, right: `${topics}-right`, output: `${topics}-out-${whose}` },
    });
    this.ours = runtime('ours');
    this.theirs = runtime('theirs');
  }

  /** `java`: OnBroker; it is left open. */
  static async open(java: JavaProgram, name: ProgramName): Promise<ProgramRun> {
    const broker = await openTestKafka();
    const run = new ProgramRun(broker, java, name);
    try {
      const { left, right, output } = run.ours.program;
      const names = [left, right, output, run.theirs.program.output];
      await broker.admin.createTopics(names.map((topic) => ({ name: topic, partitions })));
      return run;
    } catch (error) {
      await broker.close();
      throw error;
    }
  }

  /** Resolves when Kafka Streams runs and two workers of ours, each with some of the tasks. */
  async startBoth(): Promise<void> {
    const { applicationId, program } = this.theirs;
    const stateDir = join(this.#folder, 'theirs');
    mkdirSync(stateDir);
    this.#java.write({ start: { brokers: testKafka(), applicationId, program, stateDir } });
    for (const name of ['one', 'two']) this.start(name);
    const { error } = await this.#java.read<{ readonly error?: string }>();
    assert.equal(error, undefined);
    this.#javaRuns = true;
    await this.#ready();
  }

  /** A worker of ours; by the same name once more it has the same volume and place in the group. */
  start(name: string, options: { readonly wipe?: boolean } = {}): void {
    const stateDir = join(this.#folder, 'ours', name);
    if (options.wipe === true) rmSync(stateDir, { recursive: true });
    mkdirSync(join(this.#folder, 'logs'), { recursive: true });
    const { applicationId, program } = this.ours;
    const worker = new WorkerProcess({
      brokers: testKafka(),
      applicationId,
      runs: { program },
      instanceId: `${applicationId}-${name}`,
      transactionalId: `${applicationId}-${name}`,
      stateDir,
      logFile: join(this.#folder, 'logs', `${name}.log`),
      commitIntervalMs: 50,
      sessionTimeoutMs: 6_000,
      transactionTimeoutMs: 4_000,
      groupProtocol: 'auto',
      properties: {},
    });
    this.#workers.set(name, worker);
  }

  worker(name: string): WorkerProcess {
    const worker = this.#workers.get(name);
    assert.ok(worker, `there is no worker ${name}`);
    return worker;
  }

  async write(inputs: readonly ProgramInput[]): Promise<void> {
    const producer = await this.#broker.openProducer({ clientId: uniqueName('inputs') });
    const { left, right } = this.ours.program;
    try {
      const records = inputs.map(({ side, key, value, timestamp }) => {
        const bytes = Buffer.from(key);
        const topic = side === 'left' ? left : right;
        const partition = partitionForKey(bytes, partitions);
        const valueBytes = value === null ? null : Buffer.from(value);
        return { topic, partition, key: bytes, value: valueBytes, timestamp, headers: [] };
      });
      await producer.send(records);
      await producer.flush();
      this.#written += inputs.length;
    } finally {
      await producer.close();
    }
  }

  /** How many of the inputs ours have committed, and how many there are. */
  async progress(): Promise<{ readonly committed: number; readonly written: number }> {
    const inputs = this.#inputs();
    const offsets = await eventually(
      () => this.#broker.admin.committedOffsets(this.ours.applicationId, inputs).catch(() => undefined),
      { timeoutMs: restMs, what: 'the committed offsets' },
    );
    return {
      committed: offsets.reduce<number>((sum, offset) => sum + (offset ?? 0), 0),
      written: this.#written,
    };
  }

  /** Resolves when both have read and committed everything, and no transaction is open. */
  async rest(): Promise<void> {
    for (const runtime of [this.theirs, this.ours]) {
      let last = '';
      await eventually(
        async () => {
          last = await this.#unrest(runtime);
          return last === '';
        },
        { timeoutMs: restMs, what: `${runtime.applicationId} to come to rest` },
      ).catch((error: Error) => {
        throw new Error(`${error.message} (${last}; logs in ${this.#folder})`);
      });
    }
  }

  /** All committed records of the output, by partition and offset. */
  async output({ program }: Runtime): Promise<RawRecord[]> {
    return readTopic(this.#broker, program.output, partitions);
  }

  /** How many records ours wrote, to the output and to topics in between, that were aborted. */
  async aborted(): Promise<number> {
    const { applicationId, program } = this.ours;
    let count = 0;
    for (const topic of [program.output, ...(await this.#between(applicationId))]) {
      const all = await readTopic(this.#broker, topic, partitions, 'read_uncommitted');
      count += all.length - (await readTopic(this.#broker, topic, partitions)).length;
    }
    return count;
  }

  async close(): Promise<void> {
    for (const worker of this.#workers.values()) await worker.kill();
    if (this.#javaRuns) {
      this.#java.write({ stop: this.theirs.applicationId });
      await this.#java.read();
    }
    await this.#broker.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ready(): Promise<void> {
    const isReady = async () => {
      const statuses = await Promise.all([...this.#workers.values()].map((worker) => worker.status()));
      const each = statuses.map((status) => status?.tasks.length ?? 0);
      return (
        statuses.every((status) => status?.ready === true) && each.every((count) => count >= partitions / 2)
      );
    };
    await eventually(isReady, {
      timeoutMs: restMs,
      what: 'each of two workers to have its half of the tasks',
    });
  }

  /** The topics by which the program's parts hand on records; both runtimes name them alike. */
  async #between(applicationId: string): Promise<string[]> {
    const topics = await this.#broker.admin.listTopics();
    return topics.filter(
      (topic) => topic.startsWith(`${applicationId}-`) && /-(repartition|topic)$/.test(topic),
    );
  }

  #inputs(): { topic: string; partition: number }[] {
    const { left, right } = this.ours.program;
    return [left, right].flatMap((topic) => partitionsOf(topic, partitions));
  }

  /**
   * What is still to do; empty when nothing is. Order: offsets first, then the ends. What is committed of the inputs
   * was written to the topics in between before, so an end that is asked later has it.
   */
  async #unrest({ applicationId, program }: Runtime): Promise<string> {
    const { admin } = this.#broker;
    const between = await this.#between(applicationId);
    const { name, left, right, output } = program;
    const sources = name === 'windowed-count' ? [left] : [left, right];
    const inputs = [...sources, ...between].flatMap((topic) => partitionsOf(topic, partitions));
    const offsets = await admin.committedOffsets(applicationId, inputs).catch(() => undefined);
    if (offsets === undefined) return 'a transaction commits offsets';
    const ends = await admin.endOffsets(inputs, 'read_uncommitted');
    const lag = ends.reduce((sum, end, index) => sum + end - (offsets[index] ?? 0), 0);
    if (lag > 0) return `lag ${lag}`;
    const results = partitionsOf(output, partitions);
    const stable = await admin.endOffsets(results, 'read_committed');
    const all = await admin.endOffsets(results, 'read_uncommitted');
    return all.some((end, index) => end !== stable[index]) ? 'a transaction is open' : '';
  }
}
