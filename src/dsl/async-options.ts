/**
 * What users give to `mapValuesAsync` and `processAsync`: functions, processors and options. Kafka Streams has no
 * such steps; docs/semantics.md states the rules.
 */
import type { AsyncCall, CallReaction } from '../graph/async-step.ts';
import type { StoreSpec } from '../graph/node.ts';
import type { Processor, ProcessorContext, Record } from '../graph/processor.ts';
import type { Serde } from '../serde/serde.ts';
import type { ProcessOptions } from './options.ts';

/** The value under the same key, once its promise resolves. May run more than once: see `AsyncCall`. */
export type AsyncValueMapper<K, V, V2> = (value: V, key: K, call: AsyncCall) => Promise<V2>;

/** The records that go on: none, one or many. */
export type AsyncRecordMapper<K, V, K2, V2> = (
  record: Record<K, V>,
  call: AsyncCall,
  // biome-ignore lint/suspicious/noConfusingVoidType: a function that gives nothing is what is meant
) => Promise<Iterable<Record<K2, V2>> | Record<K2, V2> | undefined | void>;

/** A step in two halves: `call` works outside and sees no state, `process` applies what it gave, at once and exactly once. */
export interface AsyncProcessor<KIn, VIn, R, KOut = unknown, VOut = unknown>
  extends Omit<Processor<KIn, VIn, KOut, VOut>, 'process'> {
  init?(context: ProcessorContext<KOut, VOut>): void;
  call(record: Record<KIn, VIn>, call: AsyncCall): Promise<R>;
  process(record: Record<KIn, VIn>, result: R): void;
}

export interface AsyncProcessorSupplier<KIn, VIn, R, KOut = unknown, VOut = unknown> {
  readonly supplier: () => AsyncProcessor<KIn, VIn, R, KOut, VOut>;
  /** Stores that it brings, as `withStores` does for a processor. */
  readonly stores?: readonly StoreSpec[];
}

/** Units: milliseconds. All but the name may be left out. */
export interface AsyncOptions<K> {
  /** Part of every idempotency key, so it has to outlive changes of the topology. */
  readonly named: string;
  /** Calls under way at a time, in each task. Default 16. */
  readonly concurrencyMax?: number;
  /** Of each try. Default 30 s. */
  readonly timeoutMs?: number;
  /** Tries after the first one. Default 3. */
  readonly retries?: number;
  /** Before the first of them, doubled for each further one. Default 100 ms. */
  readonly backoffMs?: number;
  /** Default 10 s. */
  readonly backoffMsMax?: number;
  /** `key`: one call at a time for each key of a task, in input order; `none`: keys do not matter. Default `key`. */
  readonly order?: 'key' | 'none';
  /** Tells which keys are equal. Needed after the key has changed. */
  readonly keySerde?: Serde<K>;
  /** When the retries are used up. Default: as the application's failure policy says. */
  readonly onFailure?: CallReaction;
}

export type AsyncProcessOptions<K> = AsyncOptions<K> & Omit<ProcessOptions, 'named'>;
