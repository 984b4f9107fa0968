/**
 * Programs over one input topic, whose every record, order and row is determined: each task has one input partition,
 * so what its operators see is that partition's records in their order, whoever owns the task and however often it
 * moves. Both sides of a join come from the one topic, told apart by their values. Sometimes a first task spreads one
 * partition over several: it alone writes the repartition topic, so the order there is determined as well.
 *
 * Compared: every partition of the output, record by record with timestamps and headers, and the rows of every store.
 */
import {
  type KStream,
  type KTable,
  type Random,
  type Serde,
  StreamsBuilder,
  stringSerde,
  type Topology,
  type Windowed,
} from '#streams';
import { drawProgram, type Program } from '../oracle/generate-case.ts';
import { oneIn, type TopicInputs } from '../oracle/generate-inputs.ts';
import { joinTables } from '../vectors/join-programs.ts';
import type { VectorCase } from '../vectors/vector-case.ts';
import { suppressedOf, windowedTable, windowsOf } from '../vectors/window-programs.ts';
import { sameRecords, sameStores, text } from './dsl-checkers.ts';
import {
  type DslProgram,
  deletion,
  drawInputs,
  inputOf,
  outTopic,
  partitionOfOwnKey,
  someKeys,
  strings,
} from './dsl-program.ts';

type Input = KStream<string, string>;
type Output = { readonly stream: KStream<string, unknown>; readonly valueSerde: Serde<unknown> };

/** A family: what is drawn once, and the operators that each process makes of it. */
interface Family {
  /** The kind of the differential test that its windows, stores and edges are drawn as. */
  readonly kind: string;
  /** Both sides of a join, told apart by the first letter of the value. */
  readonly twoSided: boolean;
  readonly operators: (drawn: Drawn) => (input: Input) => Output;
}

interface Drawn {
  readonly vector: VectorCase;
  readonly random: Random;
}

const sinceEverMs = 3_600_000;
const textSerde = stringSerde as Serde<unknown>;
const joiner = (left: string | null, right: string | null): string => `${left}+${right}`;

export const exactFamilies: Readonly<Record<string, Family>> = {
  windows: {
    kind: 'window-aggregate',
    twoSided: false,
    operators:
      ({ vector }) =>
      (input) =>
        windowed(windowedTable(vector, input.groupByKey())),
  },
  cogroups: { kind: 'window-aggregate', twoSided: true, operators: cogroups },
  suppress: {
    kind: 'table-groupby-count-suppress',
    twoSided: false,
    operators:
      ({ vector }) =>
      (input) => ({
        stream: input
          .groupByKey()
          .reduce((all, value) => `${all.slice(-40)}${value}`)
          .suppress(suppressedOf(vector.suppress ?? {}))
          .toStream(),
        valueSerde: textSerde,
      }),
  },
  'stream joins': { kind: 'stream-stream', twoSided: true, operators: streamJoin },
  'stream-table joins': { kind: 'stream-table', twoSided: true, operators: streamTableJoin },
  'table joins': { kind: 'table-table', twoSided: true, operators: tableJoin },
};

/** Of a window as text, so that one serde does for all kinds. */
function windowed(result: {
  readonly table: KTable<Windowed<string>, unknown>;
  readonly valueSerde: Serde<unknown>;
}): Output {
  const stream = result.table
    .toStream()
    .map<string, unknown>(({ key, window }, value) => [`${key}@${window.startMs}-${window.endMs}`, value]);
  return { stream, valueSerde: result.valueSerde };
}

function sideOf(input: Input, side: 'l' | 'r'): Input {
  return input.filter((_key, value) => value?.startsWith(side) === true);
}

function cogroups({ vector, random }: Drawn): (input: Input) => Output {
  const windows = oneIn(random, 4) ? undefined : windowsOf(vector);
  const materialized = { keySerde: stringSerde, valueSerde: stringSerde };
  const add = (_key: string, value: string, all: string): string => `${all}${value}`;
  const merge = (_key: string, one: string, other: string): string => `${one}|${other}`;
  return (input) => {
    const group = sideOf(input, 'l').groupByKey(strings).cogroup<string>(add);
    const both = group.cogroup(sideOf(input, 'r').groupByKey(strings), add);
    const zero = (): string => '';
    if (windows === undefined)
      return { stream: both.aggregate(zero, { materialized }).toStream(), valueSerde: textSerde };
    const table =
      windows.type === 'session'
        ? both.windowedBy(windows).aggregate(zero, merge, { materialized })
        : both.windowedBy(windows).aggregate(zero, { materialized });
    return windowed({ table: table as KTable<Windowed<string>, unknown>, valueSerde: textSerde });
  };
}

/** Strict ones too; they never count as idle here, which is a family of its own. */
function streamJoin({ vector, random }: Drawn): (input: Input) => Output {
  const { window = { beforeMs: 5, afterMs: 5, graceMs: 0 } } = vector;
  const stored = { ...strings, otherValueSerde: stringSerde };
  const outer = oneIn(random, 2) ? { ...stored, unmatched: 'strict' as const, idleMs: sinceEverMs } : stored;
  return (input) => {
    const [left, right] = [sideOf(input, 'l'), sideOf(input, 'r')];
    if (vector.join === 'inner')
      return { stream: left.join(right, joiner, window, stored), valueSerde: textSerde };
    const stream =
      vector.join === 'left'
        ? left.leftJoin(right, joiner, window, outer)
        : left.outerJoin(right, joiner, window, outer);
    return { stream, valueSerde: textSerde };
  };
}

function tableOf(
  { vector }: Pick<Drawn, 'vector'>,
  input: Input,
  side: 'l' | 'r',
  always = false,
): KTable<string, string> {
  const { type, historyRetentionMs } = vector[side === 'l' ? 'leftStore' : 'rightStore'] ?? {};
  const name = `${side}-rows`;
  const versioned =
    type === 'versioned' && historyRetentionMs !== undefined ? { versioned: { historyRetentionMs } } : {};
  return sideOf(input, side)
    .mapValues((value) => (value.endsWith(deletion) ? null : value))
    .toTable({
      materialized: { ...strings, ...(always || type === 'versioned' ? { name } : {}), ...versioned },
    });
}

function streamTableJoin(drawn: Drawn): (input: Input) => Output {
  const { join, joinGraceMs } = drawn.vector;
  const joined = joinGraceMs === undefined ? strings : { ...strings, gracePeriodMs: joinGraceMs };
  return (input) => {
    const table = tableOf(drawn, input, 'r', true);
    const left = sideOf(input, 'l');
    const stream = join === 'inner' ? left.join(table, joiner, joined) : left.leftJoin(table, joiner, joined);
    return { stream, valueSerde: textSerde };
  };
}

function tableJoin(drawn: Drawn): (input: Input) => Output {
  const { join, thenJoin } = drawn.vector;
  return (input) => {
    const [left, right] = [tableOf(drawn, input, 'l'), tableOf(drawn, input, 'r')];
    const first = joinTables(join, left, right, joiner);
    const result = thenJoin === undefined ? first : joinTables(thenJoin, first, right, joiner);
    return { stream: result.toStream(), valueSerde: textSerde };
  };
}

/** Both sides' inputs, one beside the other in one topic. */
function topicsOf(random: Random, { twoSided }: Family, program: Program, nullKeys: boolean): TopicInputs[] {
  const own = someKeys(random);
  const keys =
    nullKeys && program.topics.some((topic) => topic.keys.includes(null)) ? [...own, ...own, null] : own;
  const side = (letter: string): TopicInputs => ({
    name: letter,
    keys,
    value: (n) => (oneIn(random, 6) ? (twoSided ? `${letter}${n}${deletion}` : null) : `${letter}${n}`),
  });
  return twoSided ? [side('l'), side('r')] : [side('v')];
}

export function exactProgram(name: string, random: Random): DslProgram {
  const family = exactFamilies[name] as Family;
  const program = drawProgram(family.kind, random);
  const vector = {
    name,
    kind: family.kind,
    keyType: 'string',
    inputs: [],
    expected: [],
    ...program.fields,
  } as VectorCase;
  const operators = family.operators({ vector, random });
  const partitions = 1 + random.integer(3);
  const spread = oneIn(random, 4);
  const source = spread ? 1 : partitions;
  const inputs = drawInputs(random, {
    // One who spreads a record without key could put it anywhere.
    topics: topicsOf(random, family, program, !spread),
    edgesMs: program.edgesMs,
    count: 250,
    topicOf: () => 'input',
    partitionsOf: () => source,
  });
  // Later than everything, so that what waits for time comes out; without, it has to be found in the stores.
  const lateMs = Math.max(...inputs.map(({ timestamp = 0 }) => timestamp)) + 2 * 86_400_000;
  const closing = oneIn(random, 3)
    ? []
    : someKeys(random).flatMap((key) =>
        (family.twoSided ? ['l-end', 'r-end'] : ['v-end']).map((value) => ({
          ...inputOf('input', key, value, source),
          timestamp: lateMs,
        })),
      );
  const topology = (): Topology => {
    const builder = new StreamsBuilder();
    const stream = builder.stream<string, string>('input', strings);
    const input = spread ? stream.repartition({ ...strings, name: 'spread', partitions }) : stream;
    const { stream: out, valueSerde } = operators(input);
    out.to(outTopic, { keySerde: stringSerde, valueSerde, partitioner: partitionOfOwnKey });
    return builder.build();
  };
  return {
    family: name,
    topics: [
      { name: 'input', partitions: source },
      { name: outTopic, partitions },
    ],
    inputs,
    closing,
    topology,
    judge: (outcome, undisturbed) => [
      ...sameRecords(outTopic, outcome, undisturbed),
      ...sameStores(outcome, undisturbed, shownOf(topology())),
    ],
  };
}

/**
 * All but what depends on something else than records: the row that tells a strict join's idle timer of the wall clock
 * (see src/dsl/operators/join-state.ts), and what a versioned store has not yet removed of its past (it does so a stretch
 * at a time, once a round; nobody is shown it). The latest versions have to be the same.
 */
function shownOf(topology: Topology): (store: string, key: Buffer, value: Buffer) => string | undefined {
  const versioned = new Set(
    topology.stores().flatMap(({ name, kind }) => (kind === 'versioned' ? [name] : [])),
  );
  return (store, key, value) => {
    // Layout: see src/task/versioned-store.ts; after the time 1 for a value, 0 for a tombstone.
    if (versioned.has(store) && (key[0] !== 1 || value[8] !== 1)) return undefined;
    const isIdleRow = store.endsWith('-store') && key.length === 1 && key[0] === 2;
    return isIdleRow ? undefined : text(value);
  };
}
