/** The async steps that are made of one function: it is called outside, what it gives goes on. */
import type { AsyncCall } from '../../graph/async-step.ts';
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import type { AsyncProcessor, AsyncRecordMapper, AsyncValueMapper } from '../async-options.ts';

type Given<K, V> = Awaited<ReturnType<AsyncRecordMapper<never, never, K, V>>>;

/** `mapValuesAsync`: a new value under the same key. */
export class AsyncMapValues<K, V, V2> implements AsyncProcessor<K, V, V2, K, V2> {
  readonly #mapper: AsyncValueMapper<K, V, V2>;
  #context!: ProcessorContext<K, V2>;

  constructor(mapper: AsyncValueMapper<K, V, V2>) {
    this.#mapper = mapper;
  }

  init(context: ProcessorContext<K, V2>): void {
    this.#context = context;
  }

  call(record: Record<K, V>, call: AsyncCall): Promise<V2> {
    return this.#mapper(record.value, record.key, call);
  }

  process(record: Record<K, V>, value: V2): void {
    this.#context.forward({ ...record, value });
  }
}

/** `processAsync` with a function: whatever records it gives. */
export class AsyncRecords<K, V, K2, V2> implements AsyncProcessor<K, V, Given<K2, V2>, K2, V2> {
  readonly #mapper: AsyncRecordMapper<K, V, K2, V2>;
  #context!: ProcessorContext<K2, V2>;

  constructor(mapper: AsyncRecordMapper<K, V, K2, V2>) {
    this.#mapper = mapper;
  }

  init(context: ProcessorContext<K2, V2>): void {
    this.#context = context;
  }

  call(record: Record<K, V>, call: AsyncCall): Promise<Given<K2, V2>> {
    return this.#mapper(record, call);
  }

  process(_record: Record<K, V>, given: Given<K2, V2>): void {
    if (given === undefined) return;
    if (!(Symbol.iterator in given)) this.#context.forward(given);
    else for (const record of given) this.#context.forward(record);
  }
}
