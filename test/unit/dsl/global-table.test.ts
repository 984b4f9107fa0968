/** A global table in the test driver, in descriptions, and what is refused. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { ValueAndTimestamp } from '../../../src/dsl/timestamped.ts';
import type {
  KeyValueStore,
  Prefetch,
  Processor,
  ProcessorContext,
  Record,
} from '../../../src/graph/processor.ts';
import type { Topology } from '../../../src/graph/topology.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { Rig, strings } from './support.ts';

type Rows = KeyValueStore<string, ValueAndTimestamp<string>>;

/** The row of the table under the record's value. */
class LookUp implements Processor<string, string, string, string> {
  readonly #declares: boolean;
  #context!: ProcessorContext<string, string>;
  #rows!: Rows;

  constructor(declares: boolean) {
    this.#declares = declares;
  }

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
    this.#rows = context.getStateStore('rows');
  }

  prefetch({ value }: Record<string, string>): Iterable<Prefetch> {
    return this.#declares ? [{ store: 'rows', key: value }] : [];
  }

  process(record: Record<string, string>): void {
    if (record.value === 'write') this.#rows.put('write', { value: 'no', timestamp: 0 });
    const row = this.#rows.get(record.value);
    const text = row === undefined ? 'nothing' : `${row.value}@${row.timestamp}`;
    this.#context.forward({ ...record, value: text });
  }
}

function lookingUp({ below = false, declares = false } = {}): Topology {
  const builder = new StreamsBuilder();
  builder.globalTable('g', { ...strings, materialized: { name: 'rows' } });
  const stream = builder.stream('in', strings);
  (below ? stream.mapValues((value) => value) : stream)
    .process<string, string>(() => new LookUp(declares))
    .to('out', strings);
  return builder.build();
}

describe('a global table', () => {
  let rig: Rig | undefined;
  const open = async (topology: Topology): Promise<Rig> => {
    rig = await Rig.open(topology);
    return rig;
  };
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
  });

  for (const shape of [{ below: true }, { declares: true }])
    it(`is read by a processor without a connection, ${JSON.stringify(shape)}`, async () => {
      const driver = await open(lookingUp(shape));
      await driver.pipe('in', 'a', 'x', 1);
      await driver.pipe('g', 'x', 'one', 5);
      await driver.pipe('in', 'a', 'x', 2);
      await driver.pipe('g', 'x', 'two', 4);
      await driver.pipe('in', 'a', 'x', 3);
      await driver.pipe('g', 'x', null, 6);
      await driver.pipe('in', 'a', 'x', 4);
      assert.deepEqual(driver.read('out'), ['a=nothing@1', 'a=one@5@2', 'a=two@4@3', 'a=nothing@4']);
    });

  it('leaves out a record with a null key, and one that cannot be read', async () => {
    const builder = new StreamsBuilder();
    builder.globalTable('g', {
      keySerde: stringSerde,
      valueSerde: longSerde,
      materialized: { name: 'numbers' },
    });
    builder.stream('in', strings).to('out');
    const { driver } = await open(builder.build());
    const topic = driver.createInputTopic('g', stringSerde, longSerde);
    await topic.pipeBytes(null, Buffer.alloc(8), 1);
    await topic.pipeBytes(Buffer.from('bad'), Buffer.from('no long'), 1);
    await topic.pipe('good', 7, 1);
    assert.equal(await driver.store('numbers', 'bad'), undefined);
    assert.deepEqual(await driver.store('numbers', 'good'), { value: 7, timestamp: 1 });
  });

  it('cannot be written by a processor', async () => {
    const driver = await open(lookingUp({ below: true }));
    await assert.rejects(
      driver.pipe('in', 'a', 'write'),
      (error) => error instanceof StreamsError && error.code === 'STORE_READ_ONLY',
    );
  });

  it('takes what the topology itself writes to its topic', async () => {
    const builder = new StreamsBuilder();
    builder.globalTable('g', { ...strings, materialized: { name: 'rows' } });
    builder.stream('in', strings).to('g');
    const driver = await open(builder.build());
    await driver.pipe('in', 'k', 'v', 9);
    assert.deepEqual(await driver.driver.store('rows', 'k'), { value: 'v', timestamp: 9 });
  });

  it('may have rows of its own making', async () => {
    const builder = new StreamsBuilder().addGlobalStore<string, string>({
      ...strings,
      store: {
        name: 'by-value',
        kind: 'key-value',
        keySerde: stringSerde,
        valueSerde: stringSerde,
        changelog: false,
      },
      topic: 'g',
      source: 'g-source',
      processor: 'g-rows',
      rows: ({ key, value }) => (value === null ? [] : value.split(' ').map((word) => [word, key])),
    });
    builder.stream('in', strings).to('out');
    const { driver } = await open(builder.build());
    await driver.createInputTopic('g', stringSerde, stringSerde).pipe('k', 'a b');
    assert.equal(await driver.store('by-value', 'a'), 'k');
    assert.equal(await driver.store('by-value', 'b'), 'k');
  });

  it('is described as Kafka Streams 4.3.1 does, and has a number without tasks', () => {
    const builder = new StreamsBuilder();
    builder.globalTable('g', strings);
    builder.stream('in', strings).to('out');
    builder.globalTable('h', { ...strings, named: 'hh', materialized: { name: 'hstore' } });
    const topology = builder.build();
    assert.equal(
      topology.describe(),
      `Topologies:
   Sub-topology: 0 for global store (will not generate tasks)
    Source: KSTREAM-SOURCE-0000000001 (topics: [g])
      --> KTABLE-SOURCE-0000000002
    Processor: KTABLE-SOURCE-0000000002 (stores: [g-STATE-STORE-0000000000])
      --> none
      <-- KSTREAM-SOURCE-0000000001
  Sub-topology: 1
    Source: KSTREAM-SOURCE-0000000003 (topics: [in])
      --> KSTREAM-SINK-0000000004
    Sink: KSTREAM-SINK-0000000004 (topic: out)
      <-- KSTREAM-SOURCE-0000000003

  Sub-topology: 2 for global store (will not generate tasks)
    Source: hh-source (topics: [h])
      --> hh
    Processor: hh (stores: [hstore])
      --> none
      <-- hh-source
`,
    );
    assert.deepEqual(
      topology.subtopologies().map(({ id }) => id),
      [1],
    );
    assert.deepEqual(
      topology.describeJson().globalStores.map(({ id, store, topic }) => [id, store, topic]),
      [
        [0, 'g-STATE-STORE-0000000000', 'g'],
        [2, 'hstore', 'h'],
      ],
    );
    assert.match(topology.describeDot(), /"topic h" -> "store hstore"/);
  });

  it('is refused for a topic that is read otherwise, a name that is taken, a store that is connected', () => {
    const refuses = (build: (builder: StreamsBuilder) => void, words: RegExp): void => {
      assert.throws(
        () => build(new StreamsBuilder()),
        (error) =>
          error instanceof StreamsError && error.code === 'TOPOLOGY_INVALID' && words.test(error.message),
      );
    };
    refuses((b) => {
      b.stream('g', strings);
      b.globalTable('g', strings);
    }, /already has the source/);
    refuses((b) => {
      b.globalTable('g', strings);
      b.stream('g', strings);
    }, /already has the source/);
    refuses((b) => {
      b.globalTable('g', { ...strings, materialized: { name: 'rows' } });
      b.table('h', { ...strings, materialized: { name: 'rows' } });
    }, /two stores named rows/);
    refuses((b) => {
      b.globalTable('g', { ...strings, named: 'same' });
      b.stream('in', { ...strings, named: 'same' });
    }, /two nodes named same/);
    refuses((b) => {
      b.globalTable('g', { ...strings, materialized: { name: 'rows' } });
      b.stream('in', strings).process(() => new LookUp(false), { stores: ['rows'] });
    }, /needs no connection/);
    refuses((b) => b.globalTable('g', {} as never), /lacks a serde/);
  });
});
