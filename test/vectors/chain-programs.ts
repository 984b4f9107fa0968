/** Stateful operators one after another, each under another key than the one before. Called by run-vectors.ts. */
import { type Serde, StreamsBuilder, stringSerde, timeWindows } from '#streams';
import { field, type ProgramBuilder, type VectorCase, type VectorProgram } from './vector-case.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };

export const chainPrograms: Readonly<Record<string, ProgramBuilder>> = { chain };

/** reduce, windowed count, aggregate, join with a table; a repartition topic between any two. */
function chain(vector: VectorCase): VectorProgram {
  const windows = field<NonNullable<VectorCase['windows']>>(vector, 'windows');
  if (windows.type !== 'tumbling') throw new Error(`a chain has tumbling windows, not ${windows.type} ones`);
  const builder = new StreamsBuilder();
  const right = builder.table<string, string>('right', strings);
  builder
    .stream<string, string>('input', strings)
    .groupByKey()
    .reduce((aggregate, value) => `${aggregate}+${value}`)
    .toStream()
    .selectKey((_key, value) => `g${(value ?? '').length % 3}`)
    .groupByKey({ keySerde: stringSerde })
    .windowedBy(timeWindows(windows))
    .count()
    .toStream()
    .selectKey(({ key }) => key)
    .mapValues((count) => String(count))
    .groupByKey(strings)
    .aggregate(
      () => '0',
      (_key, count, aggregate) => `${aggregate}+${count}`,
      { materialized: { valueSerde: stringSerde } },
    )
    .toStream()
    .selectKey((_key, value) => `t${Math.floor((value ?? '').length / 2) % 4}`)
    .leftJoin(right, (left, row) => `${left}:${row}`, strings)
    .to('output', strings);
  const serde = stringSerde as Serde<unknown>;
  return {
    topology: builder.build(),
    keySerde: () => serde,
    outputKeySerde: serde,
    outputValueSerde: serde,
  };
}
