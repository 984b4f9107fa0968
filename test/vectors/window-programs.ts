/** Aggregates, windowed and not, and suppression, as programs of the DSL. Called by run-vectors.ts. */
import { longSerde, type Serde, StreamsBuilder, stringSerde } from '#streams';
import type { ProgramBuilder, VectorCase, VectorProgram } from './vector-case.ts';
import { field } from './vector-case.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };

export const windowPrograms: Readonly<Record<string, ProgramBuilder>> = {
  'stream-aggregate': streamAggregate,
  'table-aggregate': tableAggregate,
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
