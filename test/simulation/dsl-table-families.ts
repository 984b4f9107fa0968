/**
 * Programs whose tasks hear of each other, or of a global table, in an order that nobody has promised. What is
 * determined of each, and why:
 *
 * - groups: every row goes into its group and out of it once, and counts and sums do not ask for the order, so the
 *   final group is that of the final rows; none is ever below 0.
 * - foreign keys: each left row ends with the right row that it names at the end. On the way only pairs of a left row
 *   with a row that its own key had come out, and never a pair of different keys.
 * - globals: a row that was there before the first instance and never changes is found by every record; of one that
 *   changes meanwhile any of its values may be found. Records come out in the order in which they went in.
 */
import { type KTable, longSerde, type Random, StreamsBuilder } from '#streams';
import { oneIn, pick } from '../oracle/generate-inputs.ts';
import { finalRows, recordsOf, sameRows, sameStores, text } from './dsl-checkers.ts';
import {
  type DslOutcome,
  type DslProgram,
  drawInputs,
  inputOf,
  outTopic,
  someKeys,
  strings,
} from './dsl-program.ts';

const edgesMs = [5, 10, 100];

export function groupsProgram(random: Random): DslProgram {
  const partitions = 1 + random.integer(3);
  const groups = ['a', 'ab', 'green', 'g4', 'g5'];
  const counts = oneIn(random, 2);
  const versioned = oneIn(random, 3) ? { name: 'rows', versioned: { historyRetentionMs: 300_000 } } : {};
  const inputs = drawInputs(random, {
    topics: [
      {
        name: 'rows',
        keys: someKeys(random),
        value: (n) => (oneIn(random, 5) ? null : `${pick(random, groups)}|${n}`),
      },
    ],
    edgesMs,
    count: 250,
    topicOf: (name) => name,
    partitionsOf: () => partitions,
  });
  return {
    family: 'groups',
    topics: ['rows', outTopic].map((name) => ({ name, partitions })),
    inputs,
    topology: () => {
      const builder = new StreamsBuilder();
      const rows = builder.table<string, string>('rows', { ...strings, materialized: versioned });
      const grouped = rows.groupBy((_key, value) => [value.split('|')[0] ?? '', value], strings);
      const amount = (value: string): number => Number(value.split('|')[1]);
      const table: KTable<string, number> = counts
        ? grouped.count()
        : grouped.aggregate<number>(
            () => 0,
            (_key, value, sum) => sum + amount(value),
            (_key, value, sum) => sum - amount(value),
            { materialized: { valueSerde: longSerde } },
          );
      table.toStream().to(outTopic, { valueSerde: longSerde });
      return builder.build();
    },
    judge: (outcome, undisturbed) => [
      ...sameRows(outTopic, sums(outcome), sums(undisturbed)),
      ...recordsOf(outcome, outTopic)
        .filter(({ value }) => value !== null && (longSerde.deserialize(value, outTopic) as number) < 0)
        .map(({ key, offset }) => `${outTopic}: ${text(key)} is below 0 at offset ${offset}`),
    ],
  };
}

function sums(outcome: DslOutcome): Map<string, string> {
  const rows = finalRows(recordsOf(outcome, outTopic));
  return new Map(
    [...rows].map(([key, value]) => [
      key,
      String(longSerde.deserialize(Buffer.from(value, 'latin1'), outTopic)),
    ]),
  );
}

export function foreignKeyProgram(random: Random): DslProgram {
  const partitions = { left: 1 + random.integer(3), right: 1 + random.integer(3) };
  const isLeft = oneIn(random, 2);
  const others = ['a', 'r1', 'r2', 'r3', 'r4'];
  const partitionsOf = (topic: string): number => (topic === 'right' ? partitions.right : partitions.left);
  const inputs = drawInputs(random, {
    topics: [
      {
        name: 'left',
        keys: someKeys(random),
        value: (n) => (oneIn(random, 5) ? null : `l${n % 4}|${oneIn(random, 6) ? '' : pick(random, others)}`),
      },
      { name: 'right', keys: others, value: (n) => (oneIn(random, 4) ? null : `r${n}`) },
    ],
    edgesMs,
    count: 200,
    topicOf: (name) => name,
    partitionsOf,
  });
  const lateMs = Math.max(...inputs.map(({ timestamp = 0 }) => timestamp)) + 1_000;
  const pair = (left: string, right: string | null): string => `${left}+${right}`;
  return {
    family: 'foreign keys',
    topics: ['left', 'right', outTopic].map((name) => ({ name, partitions: partitionsOf(name) })),
    inputs,
    // Whoever has lost a subscription meanwhile does not hear of these.
    closing: others.map((key) => ({
      ...inputOf('right', key, 'r-end', partitions.right),
      timestamp: lateMs,
    })),
    topology: () => {
      const builder = new StreamsBuilder();
      const left = builder.table<string, string>('left', strings);
      const right = builder.table<string, string>('right', strings);
      const options = {
        foreignKeyExtractor: (value: string) => value.split('|')[1] || null,
        materialized: { ...strings, name: 'pairs' },
      };
      const joined = isLeft ? left.leftJoin(right, pair, options) : left.join(right, pair, options);
      joined.toStream().to(outTopic, strings);
      return builder.build();
    },
    judge: (outcome, undisturbed) => [
      ...sameRows(outTopic, finalRows(recordsOf(outcome, outTopic)), pairsOf(outcome, isLeft)),
      ...impossiblePairs(outcome, isLeft),
      // The time of a pair depends on which side came last, its value does not.
      ...sameRows('store pairs', storedPairs(outcome), pairsOf(outcome, isLeft)),
      ...sameStores(outcome, undisturbed, determinedOfJoin),
    ],
  };
}

/** Pairs are compared above. Of a subscription, whether its question had to be answered depends on what was known then. */
function determinedOfJoin(store: string, _key: Buffer, value: Buffer): string | undefined {
  if (store === 'pairs') return undefined;
  // Layout: version (1), instruction (1), the rest; see src/dsl/operators/foreign-key-wire.ts.
  return store.includes('SUBSCRIPTION')
    ? text(Buffer.concat([value.subarray(0, 1), value.subarray(2)]))
    : text(value);
}

/** What the last left and right rows make; the plain definition of the join. */
function pairsOf(outcome: DslOutcome, isLeft: boolean): Map<string, string> {
  const right = finalRows(recordsOf(outcome, 'right'));
  const pairs = new Map<string, string>();
  for (const [key, value] of finalRows(recordsOf(outcome, 'left'))) {
    const found = right.get(value.split('|')[1] ?? '');
    if (found !== undefined || isLeft) pairs.set(key, `${value}+${found ?? null}`);
  }
  return pairs;
}

function storedPairs(outcome: DslOutcome): Map<string, string> {
  // Before the value lie the eight bytes of its time.
  return new Map(
    (outcome.stores.get('pairs') ?? []).map(({ key, value }) => [text(key), text(value.subarray(8))]),
  );
}

function impossiblePairs(outcome: DslOutcome, isLeft: boolean): string[] {
  const values = (topic: string): Set<string> =>
    new Set(recordsOf(outcome, topic).map(({ key, value }) => `${text(key)}=${text(value)}`));
  const [left, right] = [values('left'), values('right')];
  return recordsOf(outcome, outTopic).flatMap(({ key, value, offset }) => {
    if (value === null) return [];
    const [own = '', other] = text(value).split('+');
    const mayBe =
      left.has(`${text(key)}=${own}`) &&
      (right.has(`${own.split('|')[1]}=${other}`) ? other !== 'null' || isLeft : isLeft && other === 'null');
    return mayBe ? [] : [`${outTopic}: no order gives ${text(key)}=${text(value)} (offset ${offset})`];
  });
}

export function globalsProgram(random: Random): DslProgram {
  const partitions = 1 + random.integer(3);
  const isLeft = oneIn(random, 2);
  const still = ['s1', 's2', 's3', 's4'];
  const moving = ['m1', 'm2'];
  const named = [...still, ...moving, 'absent'];
  // Twice, so that the last one counts; the last still one is gone again before anything starts.
  const rows = [...still, ...moving, ...still, 's4'].map((key, n) =>
    inputOf('rows', key, n === 10 ? null : `${key}v${n}`, 2),
  );
  // Before them so many that they take several fetches.
  const opening = [
    ...Array.from({ length: 600 }, (_, n) => inputOf('rows', `f${n % 50}`, `${n}`, 2)),
    ...rows,
  ];
  const inputs = drawInputs(random, {
    topics: [
      { name: 'input', keys: someKeys(random), value: (n) => `${pick(random, named)}|${n}` },
      // Never a deletion of what an inner join finds: whether a record comes out has to be determined.
      { name: 'rows', keys: moving, value: (n) => (isLeft && oneIn(random, 4) ? null : `v${n}`) },
    ],
    edgesMs,
    count: 250,
    topicOf: (name) => name,
    partitionsOf: (topic) => (topic === 'rows' ? 2 : partitions),
  });
  return {
    family: 'globals',
    topics: [
      { name: 'input', partitions },
      { name: 'rows', partitions: 2 },
      { name: outTopic, partitions },
    ],
    opening,
    inputs,
    topology: () => {
      const builder = new StreamsBuilder();
      const rows = builder.globalTable<string, string>('rows', strings);
      const input = builder.stream<string, string>('input', strings);
      const keyOf = (_key: string, value: string): string => value.split('|')[0] ?? '';
      const pair = (value: string, row: string | null): string => `${value}+${row}`;
      const joined = isLeft ? input.leftJoin(rows, keyOf, pair) : input.join(rows, keyOf, pair);
      joined.to(outTopic, strings);
      return builder.build();
    },
    judge: (outcome) => joinedGlobally(outcome, isLeft, partitions),
  };
}

/** Each record once, in the order of its partition, with a value that its row had. */
function joinedGlobally(outcome: DslOutcome, isLeft: boolean, partitions: number): string[] {
  const rows = recordsOf(outcome, 'rows');
  const last = finalRows(rows);
  const valuesOf = (row: string): string[] => {
    if (!row.startsWith('m')) return [last.get(row) ?? 'null'];
    return rows.filter(({ key }) => text(key) === row).map(({ value }) => text(value));
  };
  const found: string[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const within = (topic: string) =>
      recordsOf(outcome, topic).filter((record) => record.partition === partition);
    const expected = within('input').filter(({ value }) => {
      const [row = ''] = text(value).split('|');
      return isLeft || valuesOf(row)[0] !== 'null';
    });
    const got = within(outTopic);
    if (got.length !== expected.length)
      found.push(`${outTopic}/${partition}: ${got.length} records, there should be ${expected.length}`);
    for (const [at, { value, timestamp }] of got.entries()) {
      const [own, row = ''] = text(value).split('+');
      const wanted = expected[at];
      if (own !== text(wanted?.value ?? null) || timestamp !== wanted?.timestamp)
        return [
          ...found,
          `${outTopic}/${partition}: ${own} is number ${at}, not ${text(wanted?.value ?? null)}`,
        ];
      if (!valuesOf(own.split('|')[0] ?? '').includes(row))
        found.push(`${outTopic}/${partition}: ${text(value)} was joined with a row that never was`);
    }
  }
  return found;
}
