/**
 * `topologyOptimization`: the texts of optimised and plain topologies are Kafka Streams' to the letter, and results
 * with it are those without.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'mocha';
import { seededRandom } from '../../../src/base/seeded-random.ts';
import { optimizations, type TopologyOptimization } from '../../../src/dsl/optimize.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { Topology } from '../../../src/graph/topology.ts';
import { longSerde } from '../../../src/serde/serde.ts';
import { descriptionPrograms } from './description-programs.ts';
import { Rig, strings } from './support.ts';

/** Recorded by test/oracle/java/Descriptions.java. */
const recorded = JSON.parse(readFileSync('test/unit/dsl/descriptions.json', 'utf8')) as Record<
  string,
  Readonly<Record<'none' | 'all', string>>
>;

/** Where Kafka Streams' rewriting ends in an error or changes results; docs/semantics.md. */
const differs = new Set(['branches of a changed key', 'a left join with itself, and one below a filter']);

/** Three names in a line, put into a tree by sizes that changed meanwhile: their order there is left out. */
const unordered = new Set(['aggregates and a join below a key change, with names']);

/** Joins of streams have more stores here (docs/semantics.md), so that theirs are not compared. */
function comparable(name: string, text: string): string {
  const withoutStores = text.replace(
    /(Processor: \S*(?:WINDOWED|JOINTHIS|JOINOTHER|OUTERTHIS|OUTEROTHER|-windowed|-join|MERGE|-merge)\S*) \(stores: \[[^\]]*\]\)/g,
    '$1',
  );
  if (!unordered.has(name)) return withoutStores;
  return withoutStores.replace(/--> (.*)/g, (_line, names) => `--> ${names.split(', ').sort().join(', ')}`);
}

function built(name: string, topologyOptimization: TopologyOptimization): Topology {
  const builder = new StreamsBuilder();
  descriptionPrograms[name]?.(builder);
  return builder.build({ topologyOptimization });
}

describe('descriptions are Kafka Streams’ to the letter', () => {
  for (const name of Object.keys(descriptionPrograms)) {
    it(name, () => {
      const texts = recorded[name];
      assert.equal(comparable(name, built(name, 'none').describe()), comparable(name, texts?.none ?? ''));
      if (differs.has(name)) return;
      assert.equal(comparable(name, built(name, 'all').describe()), comparable(name, texts?.all ?? ''));
    });
  }
});

/** One program with everything in it that is optimised; each result has a topic of its own. */
function everything(builder: StreamsBuilder): void {
  const keyed = builder
    .stream<string, string>('in', strings)
    .map((key, value) => [value.slice(0, 1), `${key}${value}`]);
  const windows = { beforeMs: 5, afterMs: 3, graceMs: 2 };
  keyed.groupByKey(strings).count().toStream().to('counts', { valueSerde: longSerde });
  keyed
    .filter((_key, value) => value.length > 2)
    .groupByKey(strings)
    .reduce((a, b) => `${a}${b}`.slice(-8))
    .toStream()
    .to('texts', strings);
  const table = builder.table<string, string>('table', strings);
  keyed.leftJoin(table, (value, row) => `${value}/${row}`, strings).to('rows', strings);
  keyed
    .peek(() => {})
    .join(keyed, (a, b) => `${a}+${b}`, windows, { ...strings, otherValueSerde: strings.valueSerde })
    .to('pairs', strings);
  const plain = builder.stream<string, string>('table', strings);
  plain
    .join(plain, (a, b) => `${a}*${b}`, windows, { ...strings, otherValueSerde: strings.valueSerde })
    .to('self', strings);
  keyed
    .merge(builder.stream<string, string>('other', strings).selectKey((_key, value) => value))
    .groupByKey(strings)
    .count()
    .toStream()
    .to('merged', { valueSerde: longSerde });
}

const outputs = ['counts', 'texts', 'rows', 'pairs', 'self', 'merged'] as const;

async function results(optimization: TopologyOptimization, seed: number): Promise<unknown[]> {
  const builder = new StreamsBuilder();
  everything(builder);
  const rig = await Rig.open(builder.build({ topologyOptimization: optimization }));
  const random = seededRandom(seed);
  const pick = <T>(items: readonly T[]): T => items[random.integer(items.length)] as T;
  let timestamp = 100;
  for (let count = 0; count < 60; count++) {
    timestamp = Math.max(0, timestamp + random.integer(8) - 3);
    const key = pick(['a', 'b', 'c', null]);
    const topic = pick(['in', 'in', 'table', 'other']);
    const value = topic === 'table' ? pick(['a', 'bb', 'ccc', null]) : pick(['a', 'bb', 'abc', 'cd']);
    await rig.pipe(topic, key, value, timestamp);
  }
  const read = outputs.map((topic) =>
    topic === 'counts' || topic === 'merged' ? rig.read(topic, longSerde) : rig.read(topic),
  );
  // Its two sides come by two topics or by one: the order between them is not the same, and need not be.
  read[outputs.indexOf('pairs')]?.sort();
  await rig.close();
  return read;
}

describe('an optimised topology', () => {
  it('has fewer topics and stores', () => {
    const builder = new StreamsBuilder();
    everything(builder);
    const [plain, optimised] = [builder.build(), builder.build({ topologyOptimization: 'all' })];
    const counts = (topology: Topology): number[] => [
      topology.repartitions().length,
      topology.stores().length,
      topology.stores().filter(({ changelog }) => changelog).length,
    ];
    assert.deepEqual(
      [counts(plain), counts(optimised)],
      [
        [5, 10, 10],
        [2, 9, 8],
      ],
    );
    assert.equal(builder.build(), plain, 'the plain one is as it was');
  });

  for (const optimization of ['all', ...optimizations.map((one) => [one])] as const) {
    it(`gives the results of the plain one: ${String(optimization)}`, async () => {
      for (let seed = 1; seed <= 15; seed++) {
        const plain = await results('none', seed);
        assert.ok(plain.every((records) => (records as unknown[]).length > 0));
        assert.deepEqual(await results(optimization, seed), plain, `seed ${seed}`);
      }
    });
  }

  it('is refused by a name that is none', () => {
    const builder = new StreamsBuilder();
    const build = (name: string) => () =>
      builder.build({ topologyOptimization: [name] as unknown as TopologyOptimization });
    assert.throws(build('everything'), /no topology optimisation everything/);
  });
});
