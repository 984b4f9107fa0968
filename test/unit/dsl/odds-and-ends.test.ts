/** Sources by pattern, fixed-key processors, transformed tables, printers and partitioners, in the test driver. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { KeyValueStore, ProcessorContext } from '../../../src/graph/processor.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';
import { Rig, strings } from './support.ts';

const isInvalid = (words: RegExp) => (error: unknown) =>
  error instanceof StreamsError && error.code === 'TOPOLOGY_INVALID' && words.test(error.message);

describe('odds and ends of the DSL', () => {
  let rig: Rig | undefined;
  const open = async (builder: StreamsBuilder): Promise<Rig> => {
    rig = await Rig.open(builder.build());
    return rig;
  };
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
  });

  it('a stream of a pattern reads the topics whose whole name it matches, and no dead letters', async () => {
    const builder = new StreamsBuilder();
    builder.stream(/orders-.*/, strings).to('out');
    assert.match(builder.build().describe(), /Source: KSTREAM-SOURCE-0000000000 \(topics: orders-\.\*\)/);
    const topics = ['orders-eu', 'orders-us', 'orders-us.dlq', 'old-orders-eu', 'test-orders-x'];
    const driver = new TopologyTestDriver(builder.build(), { topics });
    await driver.open();
    for (const topic of ['orders-eu', 'orders-us'])
      await driver.createInputTopic(topic, stringSerde, stringSerde).pipe('k', topic, 1);
    for (const topic of ['orders-us.dlq', 'old-orders-eu'])
      await assert.rejects(driver.createInputTopic(topic, stringSerde, stringSerde).pipe('k', 'v', 1));
    const out = driver.createOutputTopic('out', stringSerde, stringSerde).readAll();
    assert.deepEqual(
      out.map(({ value }) => value),
      ['orders-eu', 'orders-us'],
    );
    await driver.close();
  });

  it('a topic that two sources would read is refused', () => {
    const build = (first: string | RegExp, second: string | RegExp) => () => {
      const builder = new StreamsBuilder();
      builder.stream(first, strings);
      builder.stream(second, strings);
      return builder.build();
    };
    assert.throws(build('a-1', /a-.*/), isInvalid(/a-1.*matched by the pattern/));
    assert.throws(build(/a-.*/, 'a-1'), isInvalid(/a-1.*matched by the pattern/));
    const both = build(/a-.*/, /.*-1/)();
    assert.throws(() => both.withTopics(['a-1']), isInvalid(/a-1 is matched by the sources/));
    assert.equal(build(/a-.*/, /a-.*/)().nodes().length, 1, 'the same pattern is one source');
    assert.throws(
      () => {
        const builder = new StreamsBuilder();
        builder.stream('in', strings);
        builder.stream('in', { ...strings, offsetReset: 'latest' });
      },
      isInvalid(/offset resets/),
    );
  });

  it('joins co-partition the topics that a pattern has matched', () => {
    const builder = new StreamsBuilder();
    const pair = (left: string, right: string): string => left + right;
    builder.stream(/a-.*/, strings).join(builder.table('t', strings), pair);
    const names = (topics: string[]): string[][] =>
      builder
        .build()
        .withTopics(topics)
        .copartitionGroups()
        .map((group) => group.map(({ name }) => name));
    assert.deepEqual(names(['a-1', 'a-2', 'b']), [['a-1', 'a-2', 't']]);
  });

  it('processValues keeps the key: nothing is repartitioned, another key is refused', async () => {
    const builder = new StreamsBuilder();
    builder.addStateStore({
      name: 'seen',
      kind: 'key-value',
      keySerde: stringSerde,
      valueSerde: longSerde,
      changelog: true,
    });
    builder
      .stream('in', strings)
      .processValues<number>(
        () => {
          let context: ProcessorContext<string, number>;
          let seen: KeyValueStore<string, number>;
          return {
            init: (given) => {
              context = given;
              seen = given.getStateStore('seen');
            },
            process: (record) => {
              const count = (seen.get(record.key) ?? 0) + 1;
              seen.put(record.key, count);
              const key = record.value === 'cheat' ? 'another' : record.key;
              context.forward({ ...record, key, value: count });
            },
          };
        },
        { stores: ['seen'], named: 'count' },
      )
      .groupByKey({ valueSerde: longSerde })
      .reduce((_sum, value) => value, { materialized: { name: 'last', valueSerde: longSerde } });
    const topology = builder.build();
    assert.equal(topology.repartitions().length, 0);
    const { driver } = await open(builder);
    const input = driver.createInputTopic('in', stringSerde, stringSerde);
    await input.pipe('k', 'v');
    await input.pipe('k', 'v');
    assert.deepEqual(await driver.store('last', 'k'), { value: 2, timestamp: 0 });
    await assert.rejects(input.pipe('k', 'cheat'), isInvalid(/count forwards under another key/));
  });

  it('print writes a line for each record, under its label', async () => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    const builder = new StreamsBuilder();
    const stream = builder.stream('in', strings);
    stream.print({ write });
    stream.print({ write, label: 'in', mapper: (key, value) => `${key}->${value}`, named: 'pr' });
    const driver = await open(builder);
    await driver.pipe('in', 'k', 'v');
    assert.deepEqual(lines, ['[KSTREAM-SOURCE-0000000000]: k, v', '[in]: k->v']);
    assert.deepEqual(
      builder
        .build()
        .nodes()
        .map(({ name }) => name),
      ['KSTREAM-SOURCE-0000000000', 'KSTREAM-PRINTER-0000000001', 'pr'],
    );
  });

  it('toStream with a mapper gives the changes another key', async () => {
    const builder = new StreamsBuilder();
    builder
      .table('in', strings)
      .toStream((key, value) => `${key}/${value}`)
      .to('out', strings);
    const driver = await open(builder);
    await driver.pipe('in', 'k', 'v');
    await driver.pipe('in', 'k', null);
    assert.deepEqual(driver.read('out'), ['k/v=v@0', 'k/null=null@0']);
  });

  for (const name of [undefined, 'upper'])
    it(`transformValues of a table sees deletions and may read stores, ${name ?? 'without a store'}`, async () => {
      const builder = new StreamsBuilder();
      builder.globalTable('words', { ...strings, materialized: { name: 'words' } });
      const table = builder
        .table('in', { ...strings, materialized: { name: 'rows' } })
        .transformValues<string>(
          () => {
            let words: KeyValueStore<string, { value: string }>;
            return {
              init: (context) => {
                words = context.getStateStore('words');
              },
              transform: (_key, value) => (value === null ? null : (words.get(value)?.value ?? value)),
            };
          },
          { ...(name === undefined ? {} : { materialized: { name, ...strings } }) },
        );
      assert.equal(table.queryableStoreName, name);
      table.toStream().to('out', strings);
      builder
        .stream('ask', strings)
        .join(table, (value, row) => `${value}:${row}`)
        .to('answers', strings);
      const driver = await open(builder);
      await driver.pipe('words', '1', 'one');
      await driver.pipe('in', 'k', '1', 1);
      await driver.pipe('ask', 'k', 'is', 2);
      await driver.pipe('in', 'k', null, 3);
      await driver.pipe('ask', 'k', 'is', 4);
      assert.deepEqual(driver.read('out'), ['k=one@1', 'k=null@3']);
      assert.deepEqual(driver.read('answers'), ['k=is:one@2']);
    });

  it('a table says its store by name only if the user named it', () => {
    const builder = new StreamsBuilder();
    const named = { materialized: { name: 'named' } };
    assert.equal(builder.table('a', strings).queryableStoreName, undefined);
    assert.equal(builder.table('b', { ...strings, ...named }).queryableStoreName, 'named');
    assert.equal(builder.stream('c', strings).groupByKey().count().queryableStoreName, undefined);
    assert.equal(builder.globalTable('g', strings).queryableStoreName, 'g-STATE-STORE-0000000008');
  });

  it('a topic per record, a partition by a function, copies for several partitions, none for an empty list', async () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream('in', strings);
    stream.to(({ value }) => `to-${value}`, {
      partitioner: (_topic, _key, value) => (value === 'a' ? [0, 0] : []),
    });
    const driver = await open(builder);
    await driver.pipe('in', 'k', 'a');
    await driver.pipe('in', 'k', 'b');
    assert.deepEqual(driver.read('to-a'), ['k=a@0']);
    assert.deepEqual(driver.read('to-b'), []);
  });
});
