/**
 * A windowed aggregate as nodes, stores and the table below them: what windowed groups and windowed cogroups
 * share. Called by windowed-kstream.ts and cogrouped-kstream.ts.
 */
import type { TopicRef } from '../graph/node.ts';
import type { ProcessorContext, SessionStore, SingleWindowStore } from '../graph/processor.ts';
import type { ProcessorSupplier } from '../graph/supplier.ts';
import type { Serde } from '../serde/serde.ts';
import type { KTable } from './api.ts';
import type { DslGraph } from './dsl-graph.ts';
import { StreamSessionAggregate } from './operators/stream-session-aggregate.ts';
import { StreamSlidingAggregate } from './operators/stream-sliding-aggregate.ts';
import { StreamWindowAggregate } from './operators/stream-window-aggregate.ts';
import { windowMarkSerde, windowPlacement, windowRowSerde } from './operators/window-clock.ts';
import {
  type Aggregator,
  type Initializer,
  invalidTopology,
  needSerde,
  type StoreOptions,
  storeSettings,
} from './options.ts';
import type { Demand, TableView } from './table-view.ts';
import { timestampedSerde, type ValueAndTimestamp } from './timestamped.ts';
import type { EmitStrategy, Merger } from './windowed-options.ts';
import {
  type AnyWindows,
  retentionOf,
  sessionWindowedSerde,
  timeWindowedSerde,
  unlimitedEndMs,
  type Windowed,
  type WindowedSerde,
} from './windows.ts';

export interface WindowedTableOptions<K, A> {
  readonly graph: DslGraph;
  readonly windows: AnyWindows;
  readonly emit: EmitStrategy;
  readonly store: string;
  readonly initializer: Initializer<A> | undefined;
  /** Needed for sessions. */
  readonly merger: Merger<K, A> | undefined;
  readonly retentionMs: number | undefined;
  readonly settings: StoreOptions;
  readonly keySerde: Serde<K> | undefined;
  readonly valueSerde: Serde<A> | undefined;
}

export class WindowedTable<K, A> {
  readonly #options: WindowedTableOptions<K, A>;
  readonly #demand: Demand = { oldValues: false };
  readonly #retentionMs: number;

  /** Errors: TOPOLOGY_INVALID for a retention that is shorter than the windows are open. */
  constructor(options: WindowedTableOptions<K, A>) {
    this.#options = options;
    this.#retentionMs = checkRetention(options);
    if (options.emit === 'onWindowClose' && options.windows.type === 'unlimited')
      throw invalidTopology(
        `store ${options.store}: unlimited windows never close, so nothing would come out on close`,
        "leave the strategy at 'onWindowUpdate'",
      );
  }

  /** The operator of one input. */
  supplier<V>(input: number, aggregator: Aggregator<K, V, A>): ProcessorSupplier<K, V, Windowed<K>, unknown> {
    const { windows, emit, store, initializer, merger } = this.#options;
    const common = {
      store,
      clockStore: clockStoreOf(store),
      input,
      retentionMs: this.#retentionMs,
      emit,
      initializer,
      aggregator,
      demand: this.#demand,
    };
    if (windows.type === 'sliding') return () => new StreamSlidingAggregate(windows, common);
    if (windows.type !== 'session') return () => new StreamWindowAggregate(windows, common);
    if (merger === undefined)
      throw invalidTopology(`store ${store}: sessions that meet need a merger for their aggregates`);
    return () => new StreamSessionAggregate(windows, { ...common, merger });
  }

  /** Errors: TOPOLOGY_INVALID when a serde is missing or the store's name is taken. */
  addStores(nodes: readonly string[]): void {
    const { graph, windows, store, keySerde, valueSerde } = this.#options;
    const hint = `give ${store} materialized: { keySerde, valueSerde }`;
    const keys = needSerde('key', store, hint, keySerde);
    const values = needSerde('value', store, hint, valueSerde);
    const isSession = windows.type === 'session';
    const settings = storeSettings(this.#options.settings);
    graph.addStore(
      {
        name: store,
        kind: isSession ? 'session' : 'window',
        keySerde: keys as Serde<unknown>,
        valueSerde: (isSession ? values : timestampedSerde(values)) as Serde<unknown>,
        ...settings,
        retentionMs: this.#retentionMs,
        placement: 'record-key',
        expiry: 'operator',
      },
      nodes,
    );
    graph.addStore(
      {
        name: clockStoreOf(store),
        kind: 'key-value',
        keySerde: windowRowSerde(keys) as Serde<unknown>,
        valueSerde: windowMarkSerde as Serde<unknown>,
        ...settings,
        companion: true,
        placement: windowPlacement(keys as Serde<unknown>),
      },
      nodes,
    );
  }

  table(node: string, sources: readonly TopicRef[]): KTable<Windowed<K>, A> {
    const { graph, windows, store, valueSerde } = this.#options;
    return graph.table<Windowed<K>, A>({
      node,
      keySerde: this.#windowedSerde(),
      valueSerde,
      sources,
      view: windowedView(store, this.#demand, windows.type === 'session'),
      ...(windows.type === 'unlimited' ? {} : { windowClose: windowCloseOf(windows) }),
    });
  }

  #windowedSerde(): WindowedSerde<K> | undefined {
    const { windows, keySerde } = this.#options;
    if (keySerde === undefined) return undefined;
    if (windows.type === 'session') return sessionWindowedSerde(keySerde);
    if (windows.type === 'unlimited') return timeWindowedSerde(keySerde, unlimitedEndMs);
    return timeWindowedSerde(keySerde, windows.type === 'time' ? windows.sizeMs : windows.timeDifferenceMs);
  }
}

function clockStoreOf(store: string): string {
  return `${store}-clock`;
}

function checkRetention<K, A>({ windows, store, retentionMs }: WindowedTableOptions<K, A>): number {
  const least = retentionOf(windows);
  if (retentionMs === undefined) return least;
  if (windows.type === 'unlimited')
    throw invalidTopology(`store ${store}: unlimited windows are kept for ever, without a retention`);
  // Callers without types, or with settings from a file, come here too.
  if (Number.isSafeInteger(retentionMs) && retentionMs >= least) return retentionMs;
  throw invalidTopology(
    `store ${store} cannot keep its windows for ${String(retentionMs)} ms only`,
    `retentionMs is at least what a window is open for, ${least} ms here`,
  );
}

function windowCloseOf(windows: Exclude<AnyWindows, { readonly type: 'unlimited' }>): {
  graceMs: number;
  endInclusive: boolean;
} {
  if (windows.type === 'session') return { graceMs: windows.gapMs + windows.graceMs, endInclusive: true };
  return { graceMs: windows.graceMs, endInclusive: windows.type === 'sliding' };
}

function windowedView<K, A>(store: string, demand: Demand, isSession: boolean): TableView<Windowed<K>, A> {
  return {
    versioned: false,
    reader: () => ({
      stores: [store],
      open: (context) =>
        isSession ? sessionGetter<K, A>(context, store) : windowGetter<K, A>(context, store),
    }),
    sendOldValues: () => {
      demand.oldValues = true;
      return true;
    },
  };
}

type WindowedGetter<K, A> = (windowed: Windowed<K>) => ValueAndTimestamp<A> | undefined;

function windowGetter<K, A>(context: ProcessorContext<never, never>, name: string): WindowedGetter<K, A> {
  const store = context.getStateStore<SingleWindowStore<K, ValueAndTimestamp<A> | null>>(name);
  return ({ key, window }) => store.fetchOne(key, window.startMs) ?? undefined;
}

function sessionGetter<K, A>(context: ProcessorContext<never, never>, name: string): WindowedGetter<K, A> {
  const store = context.getStateStore<SessionStore<K, A | null>>(name);
  return ({ key, window }) => {
    const value = store.fetchSession({ key, ...window }) ?? undefined;
    return value === undefined ? undefined : { value, timestamp: window.endMs };
  };
}
