/**
 * The global stores of an instance at work: fills them before any task runs, then follows their topics in a loop
 * of its own beside the thread's, with one consumer. Nothing that it waits for holds up records or the membership.
 *
 *   open: folder ▸ positions ▸ read to the ends that stood at the opening      loop: poll ▸ apply ▸ prove
 *
 * What a task reads is what was applied last: records of the global topic and of the task's inputs are not
 * brought into an order of time, as in Kafka Streams.
 */
import { must } from '../base/assert.ts';
import { asStreamsError, type StreamsError } from '../base/errors.ts';
import { partitionKey } from '../base/record.ts';
import type { Consumer, RecordBatch } from '../broker/broker-port.ts';
import { GlobalReplica, globalFolder } from '../restore/global-replica.ts';
import { TaskState } from '../store/task-state.ts';
import type { GlobalStores } from '../task/global-stores.ts';
import { retryMs, type ThreadOptions } from './thread-options.ts';

/** The global stores of this instance, as status and metrics show them. */
export interface GlobalStatus {
  /** Records taken since the start. */
  readonly applied: number;
  /** Records left out because they could not be read. */
  readonly unreadable: number;
  /** Offsets to the last stable offset, when it was last asked for; undefined before that. */
  readonly lag: number | undefined;
}

/** Small enough that a batch holds up the event loop for a few milliseconds at most. */
const batchRecordsMax = 2_000;
const pollMs = 100;
const endsEveryMs = 5_000;

export class GlobalTables {
  readonly #options: ThreadOptions;
  readonly #stop = new AbortController();
  #replica: GlobalReplica | undefined;
  #consumer: Consumer | undefined;
  /** Polled and not yet applied: what fails for the registry's sake is tried again. */
  #pending: readonly RecordBatch[] = [];
  #loop: Promise<void> | undefined;
  #failure: StreamsError | undefined;
  #endsAskedMs = Number.NEGATIVE_INFINITY;
  #ends: { readonly ends: ReadonlyMap<string, number>; readonly atMs: number } | undefined;
  #lag: number | undefined;

  constructor(options: ThreadOptions) {
    this.#options = options;
  }

  /** What tasks read. Order: after `open`. */
  get stores(): GlobalStores {
    return this.#open().stores;
  }

  status(): GlobalStatus {
    const { applied = 0, unreadable = 0 } = this.#replica?.counters ?? {};
    return { applied, unreadable, lag: this.#lag };
  }

  /** What has to end the instance, once. */
  takeFailure(): StreamsError | undefined {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /** Resolves when the stores hold what was there, or when `stop` is asked for. After an error it goes on from there. */
  async open(stop: AbortSignal): Promise<void> {
    if (this.#loop !== undefined) return;
    const { broker, clock, log, plan, settings } = this.#options;
    const { openTaskBackend, destroyTaskBackend, failurePolicy } = this.#options;
    const stores = plan.globals.map(({ spec }) => spec.store.name);
    this.#replica ??= await GlobalReplica.open({
      applicationId: plan.applicationId,
      broker,
      globals: plan.globals,
      clock,
      log,
      failurePolicy,
      openState: async () =>
        new TaskState(await openTaskBackend(globalFolder), stores, settings.cacheEntriesMax),
      destroyState: () => destroyTaskBackend(globalFolder),
    });
    const replica = this.#replica;
    if (this.#consumer === undefined) {
      const consumer = await broker.openConsumer({
        isolation: 'read_committed',
        clientId: `${settings.clientId}-global`,
      });
      this.#consumer = consumer;
      await consumer.assign(replica.inputs);
    }
    const consumer = this.#consumer;
    while (!replica.isFilled((partition) => consumer.position(partition)) || this.#pending.length > 0) {
      if (stop.aborted) return;
      await this.#pollAndApply(consumer);
    }
    replica.filled();
    log.info('global stores are filled', { stores: stores.join(' '), records: replica.counters.applied });
    this.#loop = this.#run();
  }

  /** Ends the loop and closes the stores. Order: when no task reads any more. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await this.#consumer?.close();
    await this.#replica?.close();
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        await this.#pollAndApply(must(this.#consumer, 'the global tables are open'));
        await this.#prove(must(this.#consumer, 'the global tables are open'));
        await clock.yield();
      } catch (error) {
        const failure = asStreamsError(error, 'STORE_IO_FAILED');
        if (failure.kind !== 'retriable') {
          this.#failure = failure;
          return;
        }
        log.warn('the global topics cannot be followed now', { code: failure.code }, failure);
        await clock.sleep(retryMs, this.#stop.signal);
      }
    }
  }

  async #pollAndApply(consumer: Consumer): Promise<void> {
    if (this.#pending.length === 0)
      this.#pending = await consumer.poll({ recordsMax: batchRecordsMax, waitMs: pollMs });
    for (let batch = this.#pending[0]; batch !== undefined; batch = this.#pending[0]) {
      await this.#open().apply(batch);
      this.#pending = this.#pending.slice(1);
    }
  }

  /** Lag, and the proof of the positions. The ends are asked for beside the loop: a broker may take its time. */
  async #prove(consumer: Consumer): Promise<void> {
    const { clock, broker } = this.#options;
    const replica = this.#open();
    const known = this.#ends;
    this.#ends = undefined;
    if (known !== undefined) {
      await replica.prove(known.ends, known.atMs, (partition) => consumer.position(partition));
      this.#lag = replica.inputs.reduce((sum, input) => {
        const end = known.ends.get(partitionKey(input.topic, input.partition)) ?? 0;
        return sum + Math.max(0, end - consumer.position(input));
      }, 0);
    }
    if (clock.monotonicMs() - this.#endsAskedMs < endsEveryMs) return;
    this.#endsAskedMs = clock.monotonicMs();
    const { inputs } = replica;
    const atMs = clock.nowMs();
    broker.admin.endOffsets(inputs, 'read_committed').then(
      (ends) => {
        const keys = inputs.map(({ topic, partition }) => partitionKey(topic, partition));
        this.#ends = { atMs, ends: new Map(keys.map((key, index) => [key, ends[index] as number])) };
      },
      () => {},
    );
  }

  #open(): GlobalReplica {
    return must(this.#replica, 'the global tables are open');
  }
}
