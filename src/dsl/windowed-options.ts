/** What windowed aggregates and suppression take: option objects and functions, under Kafka Streams' names. */
import type { Serde } from '../serde/serde.ts';
import type { Materialized, Named, SerdeFor } from './options.ts';

/**
 * When a windowed aggregate's results come out: with every change, or once, when the window and its grace are
 * over (which takes a later record: windows do not close by themselves).
 */
export type EmitStrategy = 'onWindowUpdate' | 'onWindowClose';

/** One aggregate of two sessions that became one. Must be pure. */
export type Merger<K, A> = (key: K, one: A, other: A) => A;

/** Units: `retentionMs`, how long a window is kept; at least its size (sessions: gap) and grace. */
export interface WindowedMaterialized<K, V> extends Materialized<K, V> {
  readonly retentionMs?: number;
}

export interface WindowedTableOptions<K, V> extends Named {
  readonly materialized?: WindowedMaterialized<K, V>;
}

/** Of a windowed `reduce`, which keeps the type of its values. */
export interface WindowedSameTypeOptions<K, V> extends Named {
  readonly materialized?: Omit<WindowedMaterialized<K, V>, 'valueSerde'> & {
    readonly valueSerde?: SerdeFor<V>;
  };
}

/** An aggregate's type is new, so its serde cannot be inherited. */
export interface WindowedAggregateOptions<K, A> extends Named {
  readonly materialized: WindowedMaterialized<K, A> & { readonly valueSerde: Serde<A> };
}
