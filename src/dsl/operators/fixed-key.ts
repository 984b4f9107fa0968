/**
 * `processValues`: a hand-written processor that is held to the key it was given. Everything else of it, its
 * prefetch and its timers too, is as the user wrote it.
 */
import { StreamsError } from '../../base/errors.ts';
import type { Processor, ProcessorContext } from '../../graph/processor.ts';
import type { ProcessorSupplier } from '../../graph/supplier.ts';

/** Errors: TOPOLOGY_INVALID at a `forward` under another key than that of the record or timer at hand. */
export function fixedKey<K, V, V2>(
  supplier: ProcessorSupplier<K, V, K, V2>,
  node: string,
): ProcessorSupplier<K, V, K, V2> {
  return () => {
    const inner = supplier();
    // Only while a call lasts: a punctuator has no key to be held to.
    let current: { readonly key: K } | undefined;
    const held = (key: K, work: () => void): void => {
      current = { key };
      try {
        work();
      } finally {
        current = undefined;
      }
    };
    const guarded = (context: ProcessorContext<K, V2>): ProcessorContext<K, V2> => ({
      ...context,
      forward: (record, childName) => {
        if (current !== undefined && !Object.is(record.key, current.key))
          throw new StreamsError('TOPOLOGY_INVALID', `${node} forwards under another key than it was given`, {
            context: { node },
            hint: 'use process instead of processValues',
          });
        context.forward(record, childName);
      },
    });
    const outer: Processor<K, V, K, V2> = {
      init: (context) => inner.init?.(guarded(context)),
      process: (record) => held(record.key, () => inner.process(record)),
      close: () => inner.close?.(),
    };
    if (inner.prefetch !== undefined) outer.prefetch = (record) => inner.prefetch?.(record) ?? [];
    if (inner.onTimer !== undefined)
      outer.onTimer = (timer, context) => held(timer.key, () => inner.onTimer?.(timer, guarded(context)));
    if (inner.prefetchTimer !== undefined)
      outer.prefetchTimer = (timer) => inner.prefetchTimer?.(timer) ?? [];
    return outer;
  };
}
