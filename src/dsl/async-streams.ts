/**
 * The nodes behind `mapValuesAsync` and `processAsync`. Called by kstream.ts; the calls themselves are the
 * task's (src/task/async-steps.ts).
 */
import type { AsyncStep } from '../graph/async-step.ts';
import { type ProcessorSupplier, withStores } from '../graph/supplier.ts';
import type { Serde } from '../serde/serde.ts';
import type {
  AsyncOptions,
  AsyncProcessOptions,
  AsyncProcessor,
  AsyncProcessorSupplier,
  AsyncRecordMapper,
  AsyncValueMapper,
} from './async-options.ts';
import type { DslGraph, StreamHandle } from './dsl-graph.ts';
import { AsyncMapValues, AsyncRecords } from './operators/async-records.ts';
import { invalidTopology, needSerde } from './options.ts';

export function mapValuesAsync<K, V, V2>(
  graph: DslGraph,
  handle: StreamHandle<K, V>,
  mapper: AsyncValueMapper<K, V, V2>,
  options: AsyncOptions<K>,
): StreamHandle<K, V2> {
  const step = asyncStep(handle, options);
  const node = graph.nodeName(options.named, 'KSTREAM-MAPVALUES-ASYNC-');
  graph.topology.addProcessor({
    name: node,
    supplier: asNode(() => new AsyncMapValues(mapper)),
    parents: [handle.node],
    keepsKey: true,
    handWritten: false,
    asyncStep: step,
  });
  return { ...handle, node, valueSerde: undefined };
}

export function processAsync<K, V, R, K2, V2>(
  graph: DslGraph,
  handle: StreamHandle<K, V>,
  work: AsyncRecordMapper<K, V, K2, V2> | AsyncProcessorSupplier<K, V, R, K2, V2>,
  options: AsyncProcessOptions<K>,
): StreamHandle<K2, V2> {
  const step = asyncStep(handle, options);
  const node = graph.nodeName(options.named, 'KSTREAM-PROCESSOR-ASYNC-');
  const keepsKey = options.keepsKey ?? false;
  const isFunction = typeof work === 'function';
  graph.topology.addProcessor({
    name: node,
    supplier: isFunction
      ? asNode(() => new AsyncRecords(work))
      : withStores(asNode(work.supplier), work.stores ?? []),
    parents: [handle.node],
    stores: options.stores ?? [],
    keepsKey,
    // A function has neither state nor timers, so that further steps may follow it.
    handWritten: !isFunction,
    asyncStep: step,
  });
  return {
    node,
    // A step that keeps its key says that K2 is K.
    keySerde: keepsKey ? (handle.keySerde as Serde<K2> | undefined) : undefined,
    valueSerde: undefined,
    sources: handle.sources,
    keyChanged: handle.keyChanged || !keepsKey,
  };
}

/** The task knows by the node's `asyncStep` what the supplier makes. */
function asNode<KIn, VIn, R, KOut, VOut>(
  supplier: () => AsyncProcessor<KIn, VIn, R, KOut, VOut>,
): ProcessorSupplier<KIn, VIn, KOut, VOut> {
  return supplier as unknown as ProcessorSupplier<KIn, VIn, KOut, VOut>;
}

/** Errors: TOPOLOGY_INVALID for a missing name or serde and for a bound that is none. */
function asyncStep<K, V>(handle: StreamHandle<K, V>, options: AsyncOptions<K>): AsyncStep {
  // Callers without types come here too.
  if ((options as Partial<AsyncOptions<K>> | undefined)?.named === undefined)
    throw invalidTopology(
      'an async step needs a name',
      'give it { named }: idempotency keys contain it, and a generated name changes with the topology',
    );
  const { named, order = 'key', onFailure } = options;
  const hint = `give ${named} its keySerde, or order: 'none'`;
  const keySerde =
    order === 'none' ? undefined : needSerde('key', named, hint, options.keySerde, handle.keySerde);
  const whole = (
    name: 'concurrencyMax' | 'timeoutMs' | 'retries' | 'backoffMs' | 'backoffMsMax',
    otherwise: number,
  ) => {
    const value = options[name] ?? otherwise;
    const least = name === 'concurrencyMax' || name === 'timeoutMs' ? 1 : 0;
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw invalidTopology(
      `${name} of ${named} must be a whole number from ${least} on, it is ${String(value)}`,
    );
  };
  return {
    concurrencyMax: whole('concurrencyMax', 16),
    timeoutMs: whole('timeoutMs', 30_000),
    retries: whole('retries', 3),
    backoffMs: whole('backoffMs', 100),
    backoffMsMax: whole('backoffMsMax', 10_000),
    keySerde: keySerde as Serde<unknown> | undefined,
    onFailure,
  };
}
