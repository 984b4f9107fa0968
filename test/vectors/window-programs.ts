/** Aggregates, windowed and not, and suppression, as programs of the DSL. Called by run-vectors.ts. */
import {
  type FixedWindows,
  type KGroupedStream,
  type KTable,
  longSerde,
  type Serde,
  type SessionWindows,
  StreamsBuilder,
  type Suppressed,
  sessionWindows,
  slidingWindows,
  stringSerde,
  timeWindows,
  unlimitedWindows,
  type Windowed,
} from '#streams';
import type { ProgramBuilder, VectorCase, VectorProgram } from './vector-case.ts';
import { field } from './vector-case.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };

export const windowPrograms: Readonly<Record<string, ProgramBuilder>> = {
  'stream-aggregate': streamAggregate,
  'table-aggregate': tableAggregate,
  'window-aggregate': windowAggregate,
  'table-groupby-count-suppress': tableGroupByCountSuppress,
};

function program(builder: StreamsBuilder, valueSerde: Serde<string> | Serde<number>): VectorProgram {
  return {
    topology: builder.build(),
    keySerde: () => stringSerde as Serde<unknown>,
    outputKeySerde: stringSerde as Serde<unknown>,
    outputValueSerde: valueSerde as Serde<unknown>,
  };
}

function initializer(): string {
  return '0';
}

function add(_key: string, value: string, aggregate: string): string {
  return `${aggregate}+${value}`;
}

function subtract(_key: string, value: string, aggregate: string): string {
  return `${aggregate}-${value}`;
}

function reduce(aggregate: string, value: string): string {
  return `${aggregate}+${value}`;
}

function streamAggregate(vector: VectorCase): VectorProgram {
  const builder = new StreamsBuilder();
  const grouped = builder.stream<string, string>('input', strings).groupByKey();
  if (vector.aggregate === 'count') {
    grouped.count().toStream().to('output');
    return program(builder, longSerde);
  }
  const table =
    vector.aggregate === 'reduce'
      ? grouped.reduce(reduce)
      : grouped.aggregate(initializer, add, { materialized: { valueSerde: stringSerde } });
  table.toStream().to('output', { valueSerde: stringSerde });
  return program(builder, stringSerde);
}

function tableAggregate(vector: VectorCase): VectorProgram {
  const builder = new StreamsBuilder();
  const historyRetentionMs = vector.store?.historyRetentionMs;
  const materialized =
    historyRetentionMs === undefined ? {} : { name: 'versions', versioned: { historyRetentionMs } };
  const grouped = builder
    .table<string, string>('input', { ...strings, materialized })
    .groupBy(groupings[field<keyof typeof groupings>(vector, 'groupBy')], strings);
  if (vector.aggregate === 'count') {
    grouped.count().toStream().to('output');
    return program(builder, longSerde);
  }
  const table =
    vector.aggregate === 'reduce'
      ? grouped.reduce(reduce, (aggregate, value) => `${aggregate}-${value}`)
      : grouped.aggregate(initializer, add, subtract, { materialized: { valueSerde: stringSerde } });
  table.toStream().to('output');
  return program(builder, stringSerde);
}

const groupings = {
  key: (key: string, value: string) => [key, value] as const,
  value: (_key: string, value: string) => [value, value] as const,
  /** A null group and no pair at all both belong nowhere; a mapper's type promises a group. */
  nullKeyMap: (key: string, value: string) => {
    if (key === 'null' || key === 'NULL') return [null as unknown as string, value] as const;
    return [value, value] as const;
  },
};

/** Windowed keys travel as text, so that one serde does for all kinds of windows. */
interface WindowedResult {
  readonly key: string;
  readonly windowStart: number;
  readonly windowEnd: number;
}

/** The windowed table of a case, suppressed if it says so, of any group. */
export function windowedTable(
  vector: VectorCase,
  grouped: KGroupedStream<string, string>,
): { readonly table: KTable<Windowed<string>, unknown>; readonly valueSerde: Serde<unknown> } {
  const counts = vector.aggregate === 'count';
  const table = (counts ? countWindowed(vector, grouped) : foldWindowed(vector, grouped)) as KTable<
    Windowed<string>,
    unknown
  >;
  return {
    table: vector.suppress === undefined ? table : table.suppress(suppressedOf(vector.suppress)),
    valueSerde: (counts ? longSerde : stringSerde) as Serde<unknown>,
  };
}

function windowAggregate(vector: VectorCase): VectorProgram {
  const builder = new StreamsBuilder();
  const grouped = builder.stream<string, string>('input', strings).groupByKey();
  const { table, valueSerde } = windowedTable(vector, grouped);
  table
    .toStream()
    .map<string, unknown>(({ key, window }, value) => {
      const result: WindowedResult = { key, windowStart: window.startMs, windowEnd: window.endMs };
      return [JSON.stringify(result), value];
    })
    .to('output', { keySerde: stringSerde, valueSerde });
  return {
    ...program(builder, stringSerde),
    outputValueSerde: valueSerde,
    outputKey: (key) => JSON.parse(key as string) as WindowedResult,
  };
}

function countWindowed(
  vector: VectorCase,
  grouped: KGroupedStream<string, string>,
): KTable<Windowed<string>, number> {
  const windows = windowsOf(vector);
  const emit = vector.emit === 'on-window-close' ? 'onWindowClose' : 'onWindowUpdate';
  const options = { materialized: retained(vector) };
  return windows.type === 'session'
    ? grouped.windowedBy(windows).emitStrategy(emit).count(options)
    : grouped.windowedBy(windows).emitStrategy(emit).count(options);
}

function foldWindowed(
  vector: VectorCase,
  grouped: KGroupedStream<string, string>,
): KTable<Windowed<string>, string> {
  const windows = windowsOf(vector);
  const emit = vector.emit === 'on-window-close' ? 'onWindowClose' : 'onWindowUpdate';
  const options = { materialized: { ...retained(vector), valueSerde: stringSerde } };
  if (windows.type === 'session') {
    const sessions = grouped.windowedBy(windows).emitStrategy(emit);
    const merge = (_key: string, one: string, other: string): string => `${one}+${other}`;
    if (vector.aggregate === 'reduce') return sessions.reduce(reduce, options);
    return sessions.aggregate(initializer, add, merge, options);
  }
  const timed = grouped.windowedBy(windows).emitStrategy(emit);
  return vector.aggregate === 'reduce'
    ? timed.reduce(reduce, options)
    : timed.aggregate(initializer, add, options);
}

function retained({ retentionMs }: VectorCase): { readonly retentionMs?: number } {
  return retentionMs === undefined ? {} : { retentionMs };
}

export function windowsOf(vector: VectorCase): FixedWindows | SessionWindows {
  const windows = field<NonNullable<VectorCase['windows']>>(vector, 'windows');
  if (windows.type === 'unlimited')
    return unlimitedWindows(windows.startMs === undefined ? {} : { startMs: windows.startMs });
  if (windows.type === 'sliding') return slidingWindows(windows);
  return windows.type === 'session' ? sessionWindows(windows) : timeWindows(windows);
}

export function suppressedOf(suppress: NonNullable<VectorCase['suppress']>): Suppressed {
  const { untilTimeLimitMs, maxRecords, whenFull } = suppress;
  if (suppress.untilWindowCloses === true) return { untilWindowCloses: true, buffer: 'unbounded' };
  return {
    untilTimeLimitMs: untilTimeLimitMs === 'infinite' ? Number.POSITIVE_INFINITY : (untilTimeLimitMs ?? 0),
    buffer:
      maxRecords === undefined
        ? 'unbounded'
        : { maxRecords, whenFull: whenFull === 'shutDown' ? 'shutDownWhenFull' : 'emitEarlyWhenFull' },
  };
}

function tableGroupByCountSuppress(vector: VectorCase): VectorProgram {
  const builder = new StreamsBuilder();
  builder
    .table<string, string>('input', strings)
    .groupBy((_key, value) => [value, value], strings)
    .count()
    .suppress(suppressedOf(field<NonNullable<VectorCase['suppress']>>(vector, 'suppress')))
    .toStream()
    .to('output');
  return program(builder, longSerde);
}
