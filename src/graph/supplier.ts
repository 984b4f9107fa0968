/** Where processors come from, and the stores that come with them. Read by the topology when a processor is added. */
import type { StoreSpec } from './node.ts';
import type { Processor } from './processor.ts';

/** Called once per task. A function is enough; one that brings stores is made by `withStores`. */
export interface ProcessorSupplier<KIn, VIn, KOut = unknown, VOut = unknown> {
  (): Processor<KIn, VIn, KOut, VOut>;
  /** Stores that it brings: they are added with the processor and connected to it (ConnectedStoreProvider). */
  readonly stores?: readonly StoreSpec[];
}

/**
 * A supplier of processors or transformers together with the stores they need, so that whoever uses it neither defines
 * nor connects them. Two suppliers share a store by giving the very same definition.
 *
 * @example
 * ```ts
 * // visits: ada=home@1, ada=home@2, bob=home@3
 * const firstVisits = visits.process(
 *   withStores((): Processor<string, string, string, string> => {
 *     let seen: KeyValueStore<string, string>;
 *     let forward: (record: Record<string, string>) => void;
 *     return {
 *       init: (context) => {
 *         seen = context.getStateStore('seen');
 *         forward = (record) => context.forward(record);
 *       },
 *       process: (record) => {
 *         if (seen.putIfAbsent(record.key, record.value) === undefined) forward(record);
 *       },
 *     };
 *   }, [
 *     { name: 'seen', kind: 'key-value', keySerde: stringSerde, valueSerde: stringSerde, changelog: true },
 *   ]),
 *   { keepsKey: true },
 * );
 * // firstVisits: ada=home@1, bob=home@3
 * ```
 */
export function withStores<T extends () => object>(
  supplier: T,
  stores: readonly StoreSpec[],
): T & { readonly stores: readonly StoreSpec[] } {
  const copy = (() => supplier()) as T;
  return Object.assign(copy, { stores });
}
