/**
 * The commit cycle of one process: every task's sealed generation, outputs, changelog and input offsets in
 * one transaction, then one store batch per task. The steps are numbered as in docs/spec/commit-cycle.md.
 *
 *   0 flush      cached tables go downstream (no table is cached beyond a record yet, so nothing to do)
 *   1 seal       one changelog record per changed key, its last value; the open generation starts anew
 *   2 offsets    into the transaction, for every task that writes: of the inputs that have moved, at least one
 *   3 commit     meanwhile the tasks process their next records into the open generation
 *   4 store      one batch per task: sealed changes, applied offsets, changelog position
 *   5 begin      the next transaction begins when the next generation is sealed; until then outputs wait
 *
 * What may follow what is the table of transaction-states.ts. An error that asks for it is answered with the
 * same call again, until the transaction's time-out is near. At least once has the same steps without a
 * transaction: at-least-once.ts.
 *
 * What it never does: touch the store before 3 has succeeded; guess an outcome. Every failure comes out as
 * one error whose kind tells the thread what to do, and the thread then discards and restores.
 */
import { assert } from '../base/assert.ts';
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, StreamsError } from '../base/errors.ts';
import type { TopicPartition } from '../base/record.ts';
import type { Broker, GroupMember, OutgoingRecord, Producer } from '../broker/broker-port.ts';
import type { SealedTask, StreamTask } from '../task/stream-task.ts';
import { writeOrder } from './at-least-once.ts';
import { TransactionMachine, type TransactionState } from './transaction-states.ts';

/** Kafka's `processing.guarantee`. What each of them promises: docs/spec/guarantees.md. */
export type ProcessingGuarantee = 'exactly_once_v2' | 'at_least_once';

/** The steps by name, in the order in which one cycle takes them: 0, 1, 5, 2, 3, 4. */
export const commitSteps = ['flush', 'seal', 'begin', 'offsets', 'commit', 'store'] as const;
export type CommitStep = (typeof commitSteps)[number];

/** Pause before the same call again. */
const retryPauseMs = 50;
/** Of the transaction's time-out: past this the same call is not made again, or the coordinator ends it first. */
const retryShare = 0.75;

interface Sealed {
  readonly task: StreamTask;
  readonly sealed: SealedTask;
}

export interface CommitCycleOptions {
  readonly broker: Broker;
  readonly clientId: string;
  readonly transactionalId: string;
  /** Bounds how long retriable errors are answered with the same call again, too. */
  readonly transactionTimeoutMs: number;
  readonly clock: Clock;
  /** How often the proven changelog position is moved on; a crash replays at most this much. */
  readonly positionIntervalMs: number;
  readonly onCommitted: (seconds: number) => void;
  /** Default: exactly_once_v2. */
  readonly processingGuarantee?: ProcessingGuarantee | undefined;
  /**
   * Told as each step begins, for tests that crash there: a step's end is the next one's beginning. It must
   * neither throw nor wait.
   */
  readonly onStep?: ((step: CommitStep) => void) | undefined;
}

export interface CommitCounters {
  commits: number;
  aborts: number;
  /** Calls made again after a retriable error. */
  repeats: number;
  producersCreated: number;
  outputRecords: number;
  changelogRecords: number;
}

export class CommitCycle {
  readonly counters: CommitCounters = {
    commits: 0,
    aborts: 0,
    repeats: 0,
    producersCreated: 0,
    outputRecords: 0,
    changelogRecords: 0,
  };
  readonly #options: CommitCycleOptions;
  readonly #transaction = new TransactionMachine();
  readonly #guarantee: ProcessingGuarantee;
  readonly #onStep: ((step: CommitStep) => void) | undefined;
  #producer: Producer | undefined;
  /** Whoever needs a producer meanwhile waits for the same one: a second would fence the first. */
  #opening: Promise<Producer> | undefined;
  #inFlight = false;
  #positionsReadMs = Number.NEGATIVE_INFINITY;

  constructor(options: CommitCycleOptions) {
    this.#options = options;
    this.#guarantee = options.processingGuarantee ?? 'exactly_once_v2';
    this.#onStep = options.onStep;
  }

  get state(): TransactionState {
    return this.#transaction.state;
  }

  /**
   * Fences a predecessor of the same transactional id before anything is read. While a commit is in flight
   * there is nothing to do: it has its producer, and it must not be taken from it.
   */
  async open(): Promise<void> {
    const has = this.state !== 'NONE' && this.state !== 'INITIALISING';
    if (has && this.#inFlight) return;
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
    // 0 flush
    this.#onStep?.('flush');
    // 1 seal
    this.#onStep?.('seal');
    const sealed = tasks.map((task) => ({ task, sealed: task.seal(position) }));
    return this.#run(sealed, member).then(() => {
      this.#options.onCommitted((this.#options.clock.monotonicMs() - began) / 1000);
    });
  }

  async #run(tasks: readonly Sealed[], member: GroupMember): Promise<void> {
    this.#inFlight = true;
    try {
      await this.#commitAndStore(tasks, member);
    } finally {
      this.#inFlight = false;
    }
  }

  async #commitAndStore(tasks: readonly Sealed[], member: GroupMember): Promise<void> {
    const producer = await this.#again(this.#deadline(), () => this.#ensureProducer());
    const positions = await this.#provenPositions(tasks.map(({ task }) => task));
    try {
      if (this.#guarantee === 'exactly_once_v2') await this.#commitExactlyOnce(producer, tasks, member);
      else await this.#commitAtLeastOnce(producer, tasks, member);
    } catch (error) {
      throw await this.#failed(producer, asStreamsError(error, 'BROKER_REQUEST_FAILED'));
    }
    this.counters.commits++;
    try {
      // 4 store
      this.#onStep?.('store');
      for (const { task, sealed } of tasks) await storeTask(task, sealed, positions.get(task.id));
    } finally {
      if (this.#producer === producer) this.#transaction.apply('settled');
    }
  }

  async #commitExactlyOnce(producer: Producer, tasks: readonly Sealed[], member: GroupMember): Promise<void> {
    const deadlineMs = this.#deadline();
    // 5 begin
    this.#onStep?.('begin');
    await this.#again(deadlineMs, () => producer.begin());
    this.#advance(producer, 'begun');
    for (const each of tasks) {
      this.#count(each);
      const { outputs, changelog } = each.sealed;
      if (outputs.length > 0) await this.#again(deadlineMs, () => producer.send(outputs));
      if (changelog.length > 0) await this.#again(deadlineMs, () => producer.send(changelog));
    }
    // 2 offsets
    this.#onStep?.('offsets');
    const offsets = tasks.flatMap(({ sealed }) => sealed.offsets);
    await this.#again(deadlineMs, () => producer.sendOffsets(offsets, member));
    // 3 commit
    this.#onStep?.('commit');
    this.#advance(producer, 'committing');
    await this.#again(deadlineMs, () => producer.commit());
    this.#advance(producer, 'committed');
  }

  /** Each part is acknowledged before the next is sent, so a crash leaves nothing that stands for what is missing. */
  async #commitAtLeastOnce(producer: Producer, tasks: readonly Sealed[], member: GroupMember): Promise<void> {
    const deadlineMs = this.#deadline();
    // 5 begin
    this.#onStep?.('begin');
    this.#advance(producer, 'begun');
    for (const each of tasks) this.#count(each);
    const { beforeOffsets, afterOffsets } = writeOrder(tasks);
    const write = async (records: readonly OutgoingRecord[]): Promise<void> => {
      if (records.length === 0) return;
      await this.#again(deadlineMs, () => producer.send(records));
      await this.#again(deadlineMs, () => producer.flush());
    };
    for (const records of beforeOffsets) await write(records);
    // 2 offsets: there is nothing to add them to; they are the commit
    this.#onStep?.('offsets');
    const offsets = tasks.flatMap(({ sealed }) => sealed.offsets);
    // 3 commit
    this.#onStep?.('commit');
    this.#advance(producer, 'committing');
    await this.#again(deadlineMs, () => member.commitOffsets(offsets));
    await write(afterOffsets);
    this.#advance(producer, 'committed');
  }

  #count({ task, sealed }: Sealed): void {
    // A transaction without offsets of a task that it writes for would not be fenced by the group.
    assert(sealed.offsets.length > 0, 'a task writes without committing an offset', { taskId: task.id });
    this.counters.outputRecords += sealed.outputs.length;
    this.counters.changelogRecords += sealed.changelog.length;
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

  /**
   * Ends the transaction where that is possible, and gives the producer up in any case: the next one is
   * initialised before it begins, and its `init` settles what is open or unknown.
   */
  async #failed(producer: Producer, error: StreamsError): Promise<StreamsError> {
    this.counters.aborts++;
    // Closed under the commit: the successor's `init` settles it.
    if (this.#producer !== producer) return error;
    if (this.#guarantee === 'exactly_once_v2' && mayAbort(this.state, error)) {
      this.#transaction.apply('abortRequired');
      const aborted = await producer.abort().then(
        () => true,
        () => false,
      );
      if (this.#producer !== producer) return error;
      this.#transaction.apply(aborted ? 'aborted' : 'gaveUp');
    } else this.#transaction.apply('gaveUp');
    await this.#drop();
    return error;
  }

  /** When the same call is no longer made again; measured from now. */
  #deadline(): number {
    const { clock, transactionTimeoutMs } = this.#options;
    return clock.monotonicMs() + transactionTimeoutMs * retryShare;
  }

  /** The call, and the same call again while its error says that this may help. */
  async #again<T>(deadlineMs: number, call: () => Promise<T>): Promise<T> {
    const { clock } = this.#options;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        const retriable = error instanceof StreamsError && error.kind === 'retriable';
        if (!retriable || clock.monotonicMs() >= deadlineMs) throw error;
        this.counters.repeats++;
        await clock.sleep(retryPauseMs);
      }
    }
  }

  /** Errors: INVARIANT_BROKEN; BROKER_REQUEST_FAILED when the cycle was closed under the commit. */
  #advance(producer: Producer, event: 'begun' | 'committing' | 'committed'): void {
    if (this.#producer !== producer)
      throw new StreamsError('BROKER_REQUEST_FAILED', 'the commit cycle was closed during a commit');
    this.#transaction.apply(event);
  }

  #ensureProducer(): Promise<Producer> {
    // A request of the last transaction that may have been retried can still arrive and end half of the
    // next one; a new epoch makes the broker refuse it.
    if (this.state === 'IDLE' && this.#producer?.mayHaveRetried() === true) {
      const distrusted = this.#producer;
      this.#producer = undefined;
      this.#transaction.apply('distrusted');
      this.#opening = this.#openProducer(distrusted);
    }
    if (this.#opening !== undefined) return this.#opening;
    if (this.#producer !== undefined) return Promise.resolve(this.#producer);
    this.#opening = this.#openProducer(undefined);
    return this.#opening;
  }

  /** Arguments: `old` is closed first. */
  async #openProducer(old: Producer | undefined): Promise<Producer> {
    const { broker, clientId, transactionalId, transactionTimeoutMs } = this.#options;
    this.#transaction.apply('opening');
    let producer: Producer | undefined;
    try {
      await old?.close();
      if (this.#guarantee === 'exactly_once_v2') {
        producer = await broker.openProducer({ clientId, transactionalId, transactionTimeoutMs });
        await producer.init();
      } else producer = await broker.openProducer({ clientId });
      if (this.state !== 'INITIALISING')
        throw new StreamsError('BROKER_REQUEST_FAILED', 'the commit cycle was closed while it opened');
    } catch (error) {
      await producer?.close();
      if (this.state === 'INITIALISING') this.#transaction.apply('openFailed');
      throw asStreamsError(error, 'BROKER_REQUEST_FAILED');
    } finally {
      this.#opening = undefined;
    }
    this.counters.producersCreated++;
    this.#producer = producer;
    this.#transaction.apply('initialised');
    return producer;
  }

  async #drop(): Promise<void> {
    const producer = this.#producer;
    this.#producer = undefined;
    this.#transaction.apply('dropped');
    await producer?.close();
  }
}

async function storeTask(
  task: StreamTask,
  sealed: SealedTask,
  positions: ReadonlyMap<string, number> | undefined,
): Promise<void> {
  try {
    await task.storeSealed(sealed, positions ?? new Map());
  } catch (error) {
    const { code, kind, message } = asStreamsError(error, 'STORE_IO_FAILED');
    throw new StreamsError(code, message, { context: { taskId: task.id }, cause: error, kind });
  }
}

/**
 * Whether ending the transaction is possible and worth a request. A member that was fenced can: its open
 * transaction would hold the new owner up until the time-out. A broker that is away, a fenced producer and a
 * dead client cannot.
 */
function mayAbort(state: TransactionState, { kind, code }: StreamsError): boolean {
  if (state === 'COMMITTING') return kind === 'abort';
  return (
    state === 'OPEN' && (kind === 'abort' || kind === 'poison' || kind === 'user' || code === 'MEMBER_FENCED')
  );
}
