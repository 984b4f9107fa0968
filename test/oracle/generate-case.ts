/**
 * Random programs with random inputs, in the form of the shared vectors (../vectors/vector-case.ts). The same
 * seed gives the same case. What comes out of it nobody says here: Kafka Streams does. Pure.
 */
import type { Random } from '../../src/base/clock-port.ts';
import { seededRandom } from '../../src/base/seeded-random.ts';
import type { VectorCase, VectorInput, VectorKey, VectorStore } from '../vectors/vector-case.ts';
import { generateInputs, oneIn, pick, type TopicInputs } from './generate-inputs.ts';

export type Question = Omit<VectorCase, 'expected'>;

/** What a kind adds to a case, and what its inputs are like. */
export interface Program {
  readonly fields: Partial<Question>;
  readonly topics: readonly TopicInputs[];
  /** A topic whose inputs all come before the others. */
  readonly first?: string;
  readonly edgesMs: readonly number[];
}

/** How often a kind is drawn, and its programs. */
const kinds: Readonly<Record<string, readonly [weight: number, (random: Random) => Program]>> = {
  'stream-stream': [6, streamStream],
  'stream-stream-self': [2, selfJoin],
  'stream-table': [4, streamTable],
  'stream-globaltable': [2, streamGlobalTable],
  'table-table': [4, tableTable],
  'table-table-fk': [4, foreignKey],
  'window-aggregate': [10, windowAggregate],
  'stream-aggregate': [1, streamAggregate],
  'table-aggregate': [3, tableAggregate],
  'table-groupby-count-suppress': [2, countSuppressed],
  chain: [2, chain],
};

export const kindNames: readonly string[] = Object.keys(kinds);

/** A program of one kind, without inputs: for whoever makes others (../simulation/dsl-programs.ts). */
export function drawProgram(kind: string, random: Random): Program {
  const drawn = kinds[kind];
  if (drawn === undefined)
    throw new Error(`${kind} is no kind of program; there are ${kindNames.join(', ')}`);
  return drawn[1](random);
}

/** `only`: kinds to draw from; all unless given. */
export function generateCase(seed: number, only: readonly string[] = kindNames): Question {
  const random = seededRandom(seed);
  // The generator's first numbers of neighbouring seeds are alike.
  for (let i = 0; i < 8; i++) random.next();
  const drawn = only.flatMap((name) => new Array<string>(kinds[name]?.[0] ?? 0).fill(name));
  const kind = pick(random, drawn);
  const program = drawProgram(kind, random);
  const generated = generateInputs(random, {
    topics: program.topics,
    count: 6 + random.integer(30),
    startMs: pick(random, [0, 0, 1, 7, 1_000, 1_700_000_000_000]),
    edgesMs: program.edgesMs,
  });
  const isFirst = (input: VectorInput) => input.topic === program.first;
  const inputs = [...generated.filter(isFirst), ...generated.filter((input) => !isFirst(input))];
  const question = { name: `${kind}-${seed}`, kind, keyType: 'string', ...program.fields, inputs } as const;
  return hasVersionedStore(question) ? { ...question, inputs: withoutErasures(inputs) } : question;
}

function hasVersionedStore({ store, leftStore, rightStore }: Question): boolean {
  return [store, leftStore, rightStore].some((each) => each?.type === 'versioned');
}

/**
 * Without deletions at a time at which the key was changed before. Kafka Streams' versioned store keeps no trace of
 * them, and takes an older row for the latest; ours keeps them (docs/semantics.md).
 */
function withoutErasures(inputs: readonly VectorInput[]): VectorInput[] {
  const seen = new Set<string>();
  return inputs.filter(({ topic: name, key, value, timestamp }) => {
    const at = JSON.stringify([name, key, timestamp]);
    if (value === null && seen.has(at)) return false;
    seen.add(at);
    return true;
  });
}

type KeyType = VectorCase['keyType'];

/** One key is the prefix of another, or negative: their order as bytes is not their order as values. */
const keysOf: Readonly<Record<KeyType, readonly VectorKey[]>> = {
  string: ['a', 'ab', 'b'],
  int32: [0, 1, -1],
  int64: [0, 1, -1],
};

function someKeys(random: Random, keyType: KeyType, nullOneIn: number): (VectorKey | null)[] {
  const keys: (VectorKey | null)[] = keysOf[keyType].slice(0, 1 + random.integer(3));
  // A null among so many keys: the same keys several times make it rare.
  if (!oneIn(random, nullOneIn)) return keys;
  return [...keys, ...keys, ...keys, null];
}

/** A topic with values v0, v1, …, so that each tells which input it came from; some are null. */
function topic(
  random: Random,
  name: string,
  keyType: KeyType,
  { nullKeyOneIn = 3, nullValueOneIn = 6 } = {},
): TopicInputs {
  const letter = name[0] ?? 'v';
  return {
    name,
    keys: someKeys(random, keyType, nullKeyOneIn),
    value: (n) => (oneIn(random, nullValueOneIn) ? null : `${letter}${n}`),
  };
}

const someKeyType = (random: Random): KeyType => pick(random, ['int64', 'int32', 'string']);
const leftOrInner = (random: Random) => pick(random, ['inner', 'left'] as const);
const anyJoin = (random: Random) => pick(random, ['inner', 'left', 'outer'] as const);
const separator = '+';

function joinWindow(random: Random) {
  const wide = pick(random, [0, 1, 5, 10, 100]);
  const beforeMs = wide;
  const afterMs = oneIn(random, 3) ? pick(random, [0, 3, 20]) : wide;
  const graceMs = pick(random, [0, 0, 1, 5, 50, 86_400_000]);
  const nearGraceMs = Math.min(graceMs, 1_000);
  const edgesMs = [beforeMs, afterMs, beforeMs + nearGraceMs, afterMs + nearGraceMs, wide + 1];
  return { window: { beforeMs, afterMs, graceMs }, edgesMs: [...edgesMs, beforeMs + afterMs + nearGraceMs] };
}

function streamStream(random: Random): Program {
  const { window, edgesMs } = joinWindow(random);
  const keyType = someKeyType(random);
  return {
    fields: {
      keyType,
      separator,
      window,
      join: anyJoin(random),
      ...(oneIn(random, 5) ? { repartition: true } : {}),
      ...(oneIn(random, 5) ? { thenJoin: leftOrInner(random) } : {}),
    },
    topics: [topic(random, 'left', keyType), topic(random, 'right', keyType)],
    edgesMs,
  };
}

function selfJoin(random: Random): Program {
  const { window, edgesMs } = joinWindow(random);
  const keyType = someKeyType(random);
  return {
    fields: {
      keyType,
      separator,
      window,
      join: 'inner',
      ...(oneIn(random, 2) ? { optimize: 'all' } : {}),
    },
    topics: [topic(random, 'left', keyType)],
    edgesMs,
  };
}

function versioned(random: Random, retentionsMs: readonly number[]): VectorStore {
  return { type: 'versioned', historyRetentionMs: pick(random, retentionsMs) };
}

/** Short histories forget, long ones do not: both within the steps that inputs make. */
const retentionsMs = [0, 10, 100, 300_000];

function someStore(random: Random): VectorStore {
  return oneIn(random, 3) ? versioned(random, retentionsMs) : { type: 'unversioned' };
}

function storeEdgesMs(stores: readonly VectorStore[]): number[] {
  return [5, 10, ...stores.map(({ historyRetentionMs = 0 }) => Math.min(historyRetentionMs, 1_000))];
}

function streamTable(random: Random): Program {
  const keyType = someKeyType(random);
  const graceMs = oneIn(random, 2) ? pick(random, [0, 2, 10]) : undefined;
  // A stream that waits looks the table up as it was, which only a versioned one can tell.
  const rightStore = graceMs === undefined ? someStore(random) : versioned(random, [10, 100, 300_000]);
  return {
    fields: {
      keyType,
      separator,
      join: leftOrInner(random),
      rightStore,
      ...(graceMs === undefined ? {} : { joinGraceMs: graceMs }),
    },
    topics: [
      // A stream that waits ends in an error of Kafka Streams at the first null key.
      topic(random, 'left', keyType, graceMs === undefined ? {} : { nullKeyOneIn: Number.MAX_SAFE_INTEGER }),
      topic(random, 'right', keyType),
    ],
    edgesMs: [...storeEdgesMs([rightStore]), graceMs ?? 3],
  };
}

function streamGlobalTable(random: Random): Program {
  const keyType = pick(random, ['int32', 'string'] as const);
  const tableKeys = ['f0', 'f1', 'f2'];
  const stream: TopicInputs = {
    name: 'left',
    keys: someKeys(random, keyType, 3),
    value: (n) => {
      if (oneIn(random, 8)) return null;
      return oneIn(random, 6) ? `l${n}` : `l${n},${pick(random, tableKeys)}`;
    },
  };
  const table: TopicInputs = {
    name: 'right',
    keys: tableKeys,
    value: (n) => (oneIn(random, 5) ? null : `r${n}`),
  };
  return {
    fields: { keyType, separator, join: leftOrInner(random) },
    topics: [stream, table],
    edgesMs: [5, 10],
  };
}

function tableTable(random: Random): Program {
  const keyType = someKeyType(random);
  const leftStore = someStore(random);
  const rightStore = someStore(random);
  return {
    fields: {
      keyType,
      separator,
      join: anyJoin(random),
      leftStore,
      rightStore,
      ...(oneIn(random, 3) ? { thenJoin: anyJoin(random) } : {}),
    },
    topics: [
      topic(random, 'left', keyType, { nullValueOneIn: 4 }),
      topic(random, 'right', keyType, { nullValueOneIn: 4 }),
    ],
    edgesMs: storeEdgesMs([leftStore, rightStore]),
  };
}

function foreignKey(random: Random): Program {
  const leftStore = someStore(random);
  const rightStore = someStore(random);
  const rightKeys = ['a', 'r1', 'r2'];
  const left: TopicInputs = {
    name: 'left',
    keys: someKeys(random, 'string', 6),
    value: (n) => {
      if (oneIn(random, 5)) return null;
      return `l${n % 4}|${oneIn(random, 6) ? 'returnNull' : pick(random, rightKeys)}`;
    },
  };
  const right: TopicInputs = {
    name: 'right',
    keys: oneIn(random, 6) ? [...rightKeys, null] : rightKeys,
    value: (n) => (oneIn(random, 4) ? null : `r${n}`),
  };
  return {
    fields: {
      join: leftOrInner(random),
      leftStore,
      rightStore,
      ...(oneIn(random, 12) ? { extractor: 'always-null' } : {}),
    },
    topics: [left, right],
    edgesMs: storeEdgesMs([leftStore, rightStore]),
  };
}

function someWindows(random: Random): {
  readonly windows: NonNullable<Question['windows']>;
  readonly retentionMs: number;
  readonly edgesMs: readonly number[];
} {
  const graceMs = pick(random, [0, 0, 1, 5, 20, 100]);
  const around = (...sizes: number[]) => [...sizes, ...sizes.map((size) => size + graceMs)];
  switch (random.integer(4)) {
    case 0: {
      const sizeMs = pick(random, [1, 2, 10, 500]);
      const windows = { type: 'tumbling', sizeMs, graceMs } as const;
      return { windows, retentionMs: sizeMs + graceMs, edgesMs: around(sizeMs) };
    }
    case 1: {
      const [sizeMs, advanceMs] = pick(random, [
        [10, 5],
        [10, 3],
        [500, 200],
        [10, 10],
      ] as const);
      const windows = { type: 'hopping', sizeMs, advanceMs, graceMs } as const;
      return { windows, retentionMs: sizeMs + graceMs, edgesMs: around(sizeMs, advanceMs) };
    }
    case 2: {
      // With a difference of 0 Kafka Streams throws at the first record: its windows cannot be a single moment.
      const timeDifferenceMs = pick(random, [1, 5, 10, 50]);
      const windows = { type: 'sliding', timeDifferenceMs, graceMs } as const;
      const edgesMs = around(timeDifferenceMs, 2 * timeDifferenceMs);
      return { windows, retentionMs: 2 * timeDifferenceMs + graceMs, edgesMs };
    }
    default: {
      const gapMs = pick(random, [1, 5, 10, 500]);
      const windows = { type: 'session', gapMs, graceMs } as const;
      return { windows, retentionMs: gapMs + graceMs, edgesMs: around(gapMs, 2 * gapMs) };
    }
  }
}

const someAggregate = (random: Random) => pick(random, ['aggregate', 'count', 'reduce'] as const);

const yearsMs = 100_000_000_000;

function windowAggregate(random: Random): Program {
  const { windows, retentionMs, edgesMs } = someWindows(random);
  const emit = oneIn(random, 3) ? 'on-window-close' : 'on-update';
  const suppressed = emit === 'on-update' && oneIn(random, 3);
  // Kafka Streams loses results on close that its store forgets; of sessions, a store without that forgets none at all.
  const remembers = windows.type === 'session' && emit === 'on-window-close';
  const longer = remembers ? yearsMs : oneIn(random, 4) ? pick(random, [0, 1, 50, 1_000]) : undefined;
  return {
    fields: {
      windows,
      aggregate: someAggregate(random),
      emit,
      ...(suppressed ? { suppress: { untilWindowCloses: true } } : {}),
      ...(longer === undefined ? {} : { retentionMs: retentionMs + longer }),
    },
    topics: [topic(random, 'input', 'string', { nullValueOneIn: 12 })],
    edgesMs,
  };
}

function streamAggregate(random: Random): Program {
  return {
    fields: { aggregate: someAggregate(random) },
    topics: [topic(random, 'input', 'string')],
    edgesMs: [5, 10],
  };
}

/** A table whose few values are groups. */
function groupedTopic(random: Random, keys: readonly (VectorKey | null)[]): TopicInputs {
  const groups = ['a', 'ab', 'green'];
  return { name: 'input', keys, value: () => (oneIn(random, 5) ? null : pick(random, groups)) };
}

function tableAggregate(random: Random): Program {
  const store = someStore(random);
  const groupBy = pick(random, ['key', 'value', 'nullKeyMap'] as const);
  const keys = someKeys(random, 'string', 5);
  return {
    fields: { groupBy, aggregate: someAggregate(random), store },
    topics: [groupedTopic(random, groupBy === 'nullKeyMap' ? [...keys, 'null', 'NULL'] : keys)],
    edgesMs: storeEdgesMs([store]),
  };
}

/**
 * The table's rows come first: one that changed while the chain's records were on their way through its topics would
 * meet more or fewer of them, depending on when they are committed.
 */
function chain(random: Random): Program {
  const windows = {
    type: 'tumbling',
    sizeMs: pick(random, [1, 10, 500]),
    graceMs: pick(random, [0, 5, 100]),
  } as const;
  const right: TopicInputs = {
    name: 'right',
    keys: ['t0', 't1', 't2', 't3'],
    value: (n) => (oneIn(random, 6) ? null : `r${n}`),
  };
  return {
    fields: { windows },
    topics: [topic(random, 'input', 'string', { nullValueOneIn: 12 }), right],
    first: 'right',
    edgesMs: [windows.sizeMs, windows.sizeMs + windows.graceMs],
  };
}

function countSuppressed(random: Random): Program {
  const untilTimeLimitMs = pick(random, [0, 2, 10, 'infinite'] as const);
  return {
    fields: {
      suppress: {
        untilTimeLimitMs,
        ...(oneIn(random, 2) ? { maxRecords: 1 + random.integer(3), whenFull: 'emitEarly' as const } : {}),
      },
    },
    topics: [groupedTopic(random, someKeys(random, 'string', 5))],
    edgesMs: [2, 5, 10],
  };
}
