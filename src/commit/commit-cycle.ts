/**
 * The commit cycle of one process: every task's sealed generation, outputs, changelog and input offsets in
 * one transaction, then one store batch per task. The steps are numbered as in docs/spec/commit-cycle.md.
 *
 *   0 flush      cached tables go downstream (no table is cached beyond a record yet, so nothing to do)
 *   1 seal       one changelog record per changed key, its last value; the open generation starts anew
 *   2 offsets    into the transaction, for every input of every task that writes
 *   3 commit     meanwhile the tasks process their next records into the open generation
 *   4 store      one batch per task: sealed changes, applied offsets, changelog position
 *   5 begin      the next transaction begins when the next generation is sealed; until then outputs wait
 *
 * What it never does: touch the store before 3 has succeeded; guess an outcome. Every failure comes out as
 * one error whose kind tells the thread what to do, and the thread then discards and restores.
 */
import { assert } from '../base/assert.ts';
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import type { TopicPartition } from '../base/record.ts';
import type { Broker, GroupMember, Producer } from '../broker/broker-port.ts';
import type { SealedTask, StreamTask } from '../task/stream-task.ts';

export interface CommitCycleOptions {
  readonly broker: Broker;
  readonly clientId: string;
  readonly transactionalId: string;
  readonly transactionTimeoutMs: number;
  readonly clock: Clock;
  /** How often the proven changelog position is moved on; a crash replays at most this much. */
  readonly positionIntervalMs: number;
  readonly onCommitted: (seconds: number) => void;
}

export interface CommitCounters {
  commits: number;
  aborts: number;
  producersCreated: number;
  outputRecords: number;
  changelogRecords: number;
}

export class CommitCycle {
  readonly counters: CommitCounters = {
    commits: 0,
    aborts: 0,
    producersCreated: 0,
    outputRecords: 0,
    changelogRecords: 0,
  };
  readonly #options: CommitCycleOptions;
  #producer: Producer | undefined;
  #positionsReadMs = Number.NEGATIVE_INFINITY;

  constructor(options: CommitCycleOptions) {
    this.#options = options;
  }

  /** Fences a predecessor of the same transactional id before anything is read. */
  async open(): Promise<void> {
    await this.#ensureProducer();
  }

  /**
   * Seals the tasks now (synchronously, before the first await) and commits them. The caller goes on
   * processing while the promise is pending, and must not start another commit before it settles.
   * Errors: of any kind but poison; nothing was stored, all tasks must be discarded and restored.
   */
  commit(
    tasks: readonly StreamTask[],
    member: GroupMember,
    position: (input: TopicPartition) => number,
  ): Promise<void> {
    const began = this.#options.clock.monotonicMs();
    // 1 seal
    const sealed = tasks.map((task) => ({ task, sealed: task.seal(position) }));
    return this.#run(sealed, member).then(() => {
      this.#options.onCommitted((this.#options.clock.monotonicMs() - began) / 1000);
    });
  }

  async #run(tasks: readonly { task: StreamTask; sealed: SealedTask }[], member: GroupMember): Promise<void> {
    const producer = await this.#ensureProducer();
    const positions = await this.#provenPositions(tasks.map(({ task }) => task));
    try {
      await producer.begin();
      for (const { task, sealed } of tasks) {
        // A transaction without offsets of a task that it writes for would not be fenced by the group.
        assert(sealed.offsets.length > 0, 'a task writes without committing an offset', { taskId: task.id });
        this.counters.outputRecords += sealed.outputs.length;
        this.counters.changelogRecords += sealed.changelog.length;
        if (sealed.outputs.length > 0) await producer.send(sealed.outputs);
        if (sealed.changelog.length > 0) await producer.send(sealed.changelog);
      }
      // 2 offsets
      await producer.sendOffsets(
        tasks.flatMap(({ sealed }) => sealed.offsets),
        member,
      );
      // 3 commit
      await producer.commit();
    } catch (error) {
      throw await this.#failed(asStreamsError(error, 'BROKER_REQUEST_FAILED'));
    }
    this.counters.commits++;
    // 4 store
    for (const { task, sealed } of tasks) {
      try {
        await task.storeSealed(sealed, positions.get(task.id) ?? new Map());
      } catch (error) {
        const { code, kind, message } = asStreamsError(error, 'STORE_IO_FAILED');
        throw new StreamsError(code, message, { context: { taskId: task.id }, cause: error, kind });
      }
    }
  }

  /**
   * A proven lower bound for the batch of step 4. Between the last store and this begin nothing of ours is open,
   * so every record of ours below the last stable offset is in the store already. That no other instance has
   * written there is proven afterwards, by the offsets that the group takes from us: read after the commit,
   * the bound would include what a new owner wrote while we stood still before reading it, and a store with
   * that position would lack those records for ever. The high watermark would be no bound: a zombie's writes.
   */
  async #provenPositions(tasks: readonly StreamTask[]): Promise<Map<string, Map<string, number>>> {
    const result = new Map<string, Map<string, number>>();
    const { clock, positionIntervalMs, broker } = this.#options;
    if (clock.monotonicMs() - this.#positionsReadMs < positionIntervalMs) return result;
    this.#positionsReadMs = clock.monotonicMs();
    const changelogs = tasks.flatMap(({ id, plan }) =>
      plan.stores.flatMap(({ changelog }) =>
        changelog === undefined ? [] : [{ id, topic: changelog, partition: plan.partition }],
      ),
    );
    const ends = await broker.admin.endOffsets(changelogs, 'read_committed').catch(() => undefined);
    // Without an answer the old bound stands: it lags a little more, which is safe.
    if (ends === undefined) return result;
    for (const [index, { id, topic }] of changelogs.entries()) {
      const positions = result.get(id) ?? new Map<string, number>();
      positions.set(topic, ends[index] as number);
      result.set(id, positions);
    }
    return result;
  }

  /** The next commit reads the positions anew: one more, empty, before a clean close, so that a restart replays nothing. */
  refreshPositions(): void {
    this.#positionsReadMs = Number.NEGATIVE_INFINITY;
  }

  async close(): Promise<void> {
    await this.#drop();
  }

  /** Aborts what can be aborted and gives the producer up: the next one is initialised before it begins. */
  async #failed(error: StreamsError): Promise<StreamsError> {
    this.counters.aborts++;
    if (error.kind === 'abort') await this.#producer?.abort().catch(() => undefined);
    await this.#drop();
    return error;
  }

  async #ensureProducer(): Promise<Producer> {
    // A request of the last transaction that may have been retried can still arrive and end half of the
    // next one; a new epoch makes the broker refuse it.
    if (this.#producer?.mayHaveRetried() === true) await this.#drop();
    if (this.#producer !== undefined) return this.#producer;
    const { broker, clientId, transactionalId, transactionTimeoutMs } = this.#options;
    const producer = await broker.openProducer({ clientId, transactionalId, transactionTimeoutMs });
    try {
      await producer.init();
    } catch (error) {
      await producer.close();
      throw asStreamsError(error, 'BROKER_REQUEST_FAILED');
    }
    this.counters.producersCreated++;
    this.#producer = producer;
    return producer;
  }

  async #drop(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    await producer?.close();
  }
}
