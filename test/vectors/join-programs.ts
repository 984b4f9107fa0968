/** Joins as programs of the DSL. Called by run-vectors.ts. */
import {
  type ConsumedTable,
  integerSerde,
  type KStream,
  type KTable,
  longSerde,
  type Serde,
  StreamsBuilder,
  stringSerde,
} from '#streams';
import {
  field,
  type JoinName,
  type ProgramBuilder,
  type VectorCase,
  type VectorKey,
  type VectorProgram,
} from './vector-case.ts';

const keySerdes = { int64: longSerde, int32: integerSerde, string: stringSerde };

export type Joiner = (left: string | null, right: string | null) => string;

/** What a program is made with. */
interface Parts {
  readonly builder: StreamsBuilder;
  readonly serdes: { readonly keySerde: Serde<VectorKey>; readonly valueSerde: Serde<string> };
  readonly joiner: Joiner;
}

export const joinPrograms: Readonly<Record<string, ProgramBuilder>> = {
  'stream-stream': (vector) => program(vector, streamStream),
  'stream-stream-self': (vector) => program(vector, streamStream),
  'stream-table': (vector) => program(vector, streamTable),
  'stream-globaltable': (vector) => program(vector, streamGlobalTable),
  'table-table-fk': (vector) => program(vector, tableTableByForeignKey),
  'table-table': (vector) => program(vector, tableTable),
};

function program(
  vector: VectorCase,
  join: (vector: VectorCase, parts: Parts) => KStream<VectorKey, string | null>,
): VectorProgram {
  const keySerde = keySerdes[vector.keyType] as unknown as Serde<VectorKey>;
  const serdes = { keySerde, valueSerde: stringSerde };
  const builder = new StreamsBuilder();
  const joiner: Joiner = (left, right) => `${left}${vector.separator}${right}`;
  join(vector, { builder, serdes, joiner }).to('output', serdes);
  return {
    topology: builder.build(),
    keySerde: (topic) =>
      vector.kind === 'stream-globaltable' && topic === 'right'
        ? (stringSerde as Serde<unknown>)
        : (keySerde as Serde<unknown>),
    outputKeySerde: keySerde as Serde<unknown>,
    outputValueSerde: stringSerde as Serde<unknown>,
  };
}

function streamStream(vector: VectorCase, parts: Parts): KStream<VectorKey, string> {
  const { builder, serdes } = parts;
  const left = builder.stream<VectorKey, string>('left', serdes);
  const right =
    vector.kind === 'stream-stream-self' ? left : builder.stream<VectorKey, string>('right', serdes);
  const rekey = (stream: KStream<VectorKey, string>): KStream<VectorKey, string> =>
    vector.repartition === true ? stream.map((key, value) => [key, value]) : stream;
  const first = joinStreams(vector, vector.join, rekey(left), rekey(right), parts);
  return vector.thenJoin === undefined ? first : joinStreams(vector, vector.thenJoin, first, right, parts);
}

function joinStreams(
  vector: VectorCase,
  how: JoinName | undefined,
  a: KStream<VectorKey, string>,
  b: KStream<VectorKey, string>,
  { serdes, joiner }: Parts,
): KStream<VectorKey, string> {
  const windows = field<NonNullable<VectorCase['window']>>(vector, 'window');
  const joined = { ...serdes, otherValueSerde: stringSerde };
  if (how === 'inner') return a.join(b, joiner, windows, joined);
  return how === 'left' ? a.leftJoin(b, joiner, windows, joined) : a.outerJoin(b, joiner, windows, joined);
}

/** A table's serdes and store. */
function tableOf(
  vector: VectorCase,
  side: 'left' | 'right',
  { serdes }: Parts,
): ConsumedTable<VectorKey, string> {
  const { type, historyRetentionMs } = vector[side === 'left' ? 'leftStore' : 'rightStore'] ?? {};
  if (type !== 'versioned' || historyRetentionMs === undefined) return serdes;
  return { ...serdes, materialized: { name: `${side}-versions`, versioned: { historyRetentionMs } } };
}

function streamTable(vector: VectorCase, parts: Parts): KStream<VectorKey, string> {
  const { builder, serdes, joiner } = parts;
  const left = builder.stream<VectorKey, string>('left', serdes);
  const right = builder.table<VectorKey, string>('right', tableOf(vector, 'right', parts));
  const { joinGraceMs: gracePeriodMs } = vector;
  const joined = gracePeriodMs === undefined ? {} : { gracePeriodMs };
  return vector.join === 'inner' ? left.join(right, joiner, joined) : left.leftJoin(right, joiner, joined);
}

function streamGlobalTable(vector: VectorCase, parts: Parts): KStream<VectorKey, string> {
  const { builder, serdes, joiner } = parts;
  const table = builder.globalTable('right', { keySerde: stringSerde, valueSerde: stringSerde });
  const left = builder.stream<VectorKey, string>('left', serdes);
  const second = (_key: VectorKey, value: string): string | null => value.split(',')[1] ?? null;
  return vector.join === 'inner' ? left.join(table, second, joiner) : left.leftJoin(table, second, joiner);
}

function tableTable(vector: VectorCase, parts: Parts): KStream<VectorKey, string | null> {
  const { builder, joiner } = parts;
  const left = builder.table<VectorKey, string>('left', tableOf(vector, 'left', parts));
  const right = builder.table<VectorKey, string>('right', tableOf(vector, 'right', parts));
  const first = joinTables(vector.join, left, right, joiner);
  const result = vector.thenJoin === undefined ? first : joinTables(vector.thenJoin, first, right, joiner);
  return result.toStream();
}

function tableTableByForeignKey(vector: VectorCase, parts: Parts): KStream<VectorKey, string | null> {
  const { builder } = parts;
  const left = builder.table<VectorKey, string>('left', tableOf(vector, 'left', parts));
  const right = builder.table<VectorKey, string>('right', tableOf(vector, 'right', parts));
  const foreignKeyExtractor = (value: string): string | null => {
    const foreignKey = value.split('|')[1] ?? null;
    return vector.extractor === 'always-null' || foreignKey === 'returnNull' ? null : foreignKey;
  };
  const pair = (a: string, b: string | null): string => `(${a},${b})`;
  const joined =
    vector.join === 'inner'
      ? left.join(right, pair, { foreignKeyExtractor })
      : left.leftJoin(right, pair, { foreignKeyExtractor });
  return joined.toStream();
}

export function joinTables<K>(
  how: JoinName | undefined,
  a: KTable<K, string>,
  b: KTable<K, string>,
  joiner: Joiner,
): KTable<K, string> {
  if (how === 'inner') return a.join(b, joiner);
  return how === 'left' ? a.leftJoin(b, joiner) : a.outerJoin(b, joiner);
}
