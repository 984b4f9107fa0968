/** The rules of windowed aggregates, a case each: lateness, nulls, emission, retention, restarts, keys, misuse. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import type { KGroupedStream } from '../../../src/dsl/api.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import {
  sessionWindowedSerde,
  sessionWindows,
  slidingWindows,
  timeWindowedSerde,
  timeWindows,
  unlimitedEndMs,
  unlimitedWindows,
  type Windowed,
} from '../../../src/dsl/windows.ts';
import { longSerde, type Serde, stringSerde } from '../../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';
import { LogRecorder } from '../../support/log-recorder.ts';
import { Rig, strings } from './support.ts';

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.close();
  rig = undefined;
});

function grouped(): { builder: StreamsBuilder; group: KGroupedStream<string, string> } {
  const builder = new StreamsBuilder();
  return { builder, group: builder.stream<string, string>('in', strings).groupByKey() };
}

async function open(builder: StreamsBuilder): Promise<Rig> {
  rig = await Rig.open(builder.build());
  return rig;
}

/** Shape: `key[start..end]=value@timestamp`. */
function read<V>(from: Rig, keySerde: Serde<Windowed<string>>, valueSerde: Serde<V>): string[] {
  return from.driver
    .createOutputTopic('out', keySerde, valueSerde)
    .readAll()
    .map(({ key, value, timestamp }) => {
      const { startMs, endMs } = key?.window ?? {};
      return `${key?.key}[${startMs}..${endMs}]=${value}@${timestamp}`;
    });
}

async function rows(from: Rig, store: string): Promise<number> {
  let count = 0;
  for await (const page of from.driver.tasks()[0]!.state.scanCommitted(store, 100)) count += page.length;
  return count;
}

const tens = timeWindows({ sizeMs: 10, graceMs: 0 });
const tensSerde = timeWindowedSerde(stringSerde, 10);

describe('windowed aggregates', () => {
  it('refuse a record that comes after end and grace, and log and count it with its origin', async () => {
    const { builder, group } = grouped();
    group.windowedBy(tens).count().toStream().to('out');
    const log = new LogRecorder();
    const driver = new TopologyTestDriver(builder.build(), { log: log.log });
    await driver.open();
    const input = driver.createInputTopic('in', stringSerde, stringSerde);
    await input.pipe('a', 'x', 5);
    await input.pipe('b', 'x', 10);
    await input.pipe('a', 'x', 6);
    const counted = driver.createOutputTopic('out', tensSerde, longSerde).readAll().length;
    await driver.close();
    assert.equal(counted, 2);
    assert.equal(driver.tasks()[0]?.counters.dropped, 1);
    const [line] = log.lines.filter(({ message }) => message === 'record dropped');
    assert.deepEqual(
      [line?.fields.topic, line?.fields.partition, line?.fields.offset, line?.fields.reason],
      ['in', 0, 2, 'late'],
    );
  });

  it('drop null keys, give null values to the aggregator, and drop those with sliding windows', async () => {
    const { builder, group } = grouped();
    group.windowedBy(tens).count().toStream().to('out');
    group
      .windowedBy(slidingWindows({ timeDifferenceMs: 10, graceMs: 0 }))
      .count()
      .toStream()
      .to('slid');
    const open_ = await open(builder);
    await open_.pipe('in', null, 'x', 5);
    await open_.pipe('in', 'a', null, 5);
    assert.deepEqual(read(open_, tensSerde, longSerde), ['a[0..10]=1@5']);
    assert.deepEqual(open_.read('slid'), []);
    assert.equal(open_.driver.tasks()[0]?.counters.dropped, 3);
  });

  it('never lose a final result, however far time jumps', async () => {
    const { builder, group } = grouped();
    group.windowedBy(tens).emitStrategy('onWindowClose').count().toStream().to('out');
    const open_ = await open(builder);
    for (const key of ['b', 'a']) await open_.pipe('in', key, 'x', 5);
    assert.deepEqual(read(open_, tensSerde, longSerde), []);
    await open_.pipe('in', 'c', 'x', 1_000_000_000);
    assert.deepEqual(read(open_, tensSerde, longSerde), ['a[0..10]=1@5', 'b[0..10]=1@5']);
  });

  it('merge sessions at exactly the gap, whatever other keys have done', async () => {
    const { builder, group } = grouped();
    group
      .windowedBy(sessionWindows({ gapMs: 5, graceMs: 0 }))
      .count()
      .toStream()
      .to('out');
    const open_ = await open(builder);
    await open_.pipe('in', 'k', 'x', 10);
    await open_.pipe('in', 'j', 'x', 15);
    await open_.pipe('in', 'k', 'x', 15);
    assert.deepEqual(read(open_, sessionWindowedSerde(stringSerde), longSerde), [
      'k[10..10]=1@10',
      'j[15..15]=1@15',
      'k[10..10]=null@10',
      'k[10..15]=2@15',
    ]);
  });

  it('go on with their clock after an abort', async () => {
    const { builder, group } = grouped();
    group.windowedBy(tens).count().toStream().to('out');
    const open_ = await open(builder);
    await open_.pipe('in', 'a', 'x', 100);
    const task = open_.driver.tasks()[0]!;
    task.discard();
    await task.begin([]);
    await open_.pipe('in', 'a', 'x', 50);
    assert.deepEqual(read(open_, tensSerde, longSerde), ['a[100..110]=1@100']);
  });

  for (const [name, windows] of [
    ['time windows', timeWindows({ sizeMs: 10_000, graceMs: 0 })],
    ['sliding windows', slidingWindows({ timeDifferenceMs: 10_000, graceMs: 0 })],
    ['sessions', sessionWindows({ gapMs: 10_000, graceMs: 0 })],
  ] as const) {
    it(`do not keep ${name} longer than their retention and a step`, async () => {
      const { builder, group } = grouped();
      const options = { materialized: { name: 'kept' } };
      if (windows.type === 'session') group.windowedBy(windows).count(options);
      else group.windowedBy(windows).count(options);
      const open_ = await open(builder);
      let most = 0;
      for (let i = 0; i < 200; i++) {
        await open_.pipe('in', `key ${i % 7}`, 'x', i * 25_000);
        most = Math.max(most, await rows(open_, 'kept'));
      }
      assert.ok(most < 30, `there were ${most} windows`);
      // A row for each window, and the clock.
      assert.equal(await rows(open_, 'kept-clock'), (await rows(open_, 'kept')) + 1);
    });
  }

  it('keep windows as long as the retention says, without taking late records', async () => {
    const { builder, group } = grouped();
    const options = { materialized: { name: 'kept', retentionMs: 10_000_000 } };
    group.windowedBy(timeWindows({ sizeMs: 1_000, graceMs: 0 })).count(options);
    const open_ = await open(builder);
    for (let i = 0; i < 100; i++) await open_.pipe('in', 'a', 'x', i * 60_000);
    assert.equal(await rows(open_, 'kept'), 100);
  });

  it('have one window without end when it is unlimited', async () => {
    const { builder, group } = grouped();
    group
      .windowedBy(unlimitedWindows({ startMs: 10 }))
      .count()
      .toStream()
      .to('out');
    const open_ = await open(builder);
    for (const timestamp of [9, 10, 1_000_000]) await open_.pipe('in', 'a', 'x', timestamp);
    assert.deepEqual(read(open_, timeWindowedSerde(stringSerde, unlimitedEndMs), longSerde), [
      `a[10..${unlimitedEndMs}]=1@10`,
      `a[10..${unlimitedEndMs}]=2@1000000`,
    ]);
  });

  it('delete a window whose aggregator returns null, and start afresh', async () => {
    const { builder, group } = grouped();
    group
      .windowedBy(tens)
      .reduce((one, other) => (other === 'out' ? (null as unknown as string) : `${one}${other}`))
      .toStream()
      .to('out');
    const open_ = await open(builder);
    for (const value of ['a', 'out', 'b']) await open_.pipe('in', 'k', value, 1);
    assert.deepEqual(read(open_, tensSerde, stringSerde), [
      'k[0..10]=a@1',
      'k[0..10]=null@1',
      'k[0..10]=b@1',
    ]);
  });

  it('can be regrouped: a changed window takes its old value out', async () => {
    const { builder, group } = grouped();
    group
      .windowedBy(tens)
      .count()
      .groupBy(({ window }, count) => [String(window.startMs), count], {
        keySerde: stringSerde,
        valueSerde: longSerde,
      })
      .reduce(
        (sum, count) => sum + count,
        (sum, count) => sum - count,
      )
      .toStream()
      .to('out');
    const open_ = await open(builder);
    for (const key of ['a', 'b', 'a']) await open_.pipe('in', key, 'x', 1);
    assert.deepEqual(open_.read('out', longSerde), ['0=1@1', '0=2@1', '0=3@1']);
  });
});

describe('cogroup', () => {
  it('folds several streams into one table', async () => {
    const builder = new StreamsBuilder();
    const [orders, payments] = ['orders', 'payments'].map((topic) =>
      builder.stream<string, string>(topic, strings).groupByKey(),
    ) as [KGroupedStream<string, string>, KGroupedStream<string, string>];
    orders
      .cogroup<string>((_key, value, all) => `${all} o:${value}`)
      .cogroup(payments, (_key, value, all) => `${all} p:${value}`)
      .aggregate(() => '', { materialized: { valueSerde: stringSerde } })
      .toStream()
      .to('out');
    const open_ = await open(builder);
    await open_.pipe('orders', 'a', '1', 1);
    await open_.pipe('payments', 'a', '2', 3);
    await open_.pipe('orders', 'a', '3', 2);
    assert.deepEqual(open_.read('out'), ['a= o:1@1', 'a= o:1 p:2@3', 'a= o:1 p:2 o:3@3']);
  });

  it('windows each stream by its own clock', async () => {
    const builder = new StreamsBuilder();
    const [one, other] = ['one', 'other'].map((topic) =>
      builder.stream<string, string>(topic, strings).groupByKey(),
    ) as [KGroupedStream<string, string>, KGroupedStream<string, string>];
    one
      .cogroup<string>((_key, value, all) => `${all}${value}`)
      .cogroup(other, (_key, value, all) => `${all}${value}`)
      .windowedBy(tens)
      .aggregate(() => '', { materialized: { valueSerde: stringSerde } })
      .toStream()
      .to('out');
    const open_ = await open(builder);
    await open_.pipe('one', 'a', '1', 5);
    await open_.pipe('one', 'a', '2', 25);
    await open_.pipe('one', 'a', 'late', 6);
    await open_.pipe('other', 'a', '3', 7);
    assert.deepEqual(read(open_, tensSerde, stringSerde), [
      'a[0..10]=1@5',
      'a[20..30]=2@25',
      'a[0..10]=13@7',
    ]);
  });

  it('merges sessions of all streams', async () => {
    const builder = new StreamsBuilder();
    const [one, other] = ['one', 'other'].map((topic) =>
      builder.stream<string, string>(topic, strings).groupByKey(),
    ) as [KGroupedStream<string, string>, KGroupedStream<string, string>];
    one
      .cogroup<number>((_key, _value, count) => count + 1)
      .cogroup(other, (_key, _value, count) => count + 10)
      .windowedBy(sessionWindows({ gapMs: 5, graceMs: 10 }))
      .aggregate(
        () => 0,
        (_key, a, b) => a + b,
        { materialized: { valueSerde: longSerde } },
      )
      .toStream()
      .to('out');
    const open_ = await open(builder);
    await open_.pipe('one', 'a', 'x', 1);
    await open_.pipe('other', 'a', 'x', 9);
    await open_.pipe('one', 'a', 'x', 5);
    assert.deepEqual(read(open_, sessionWindowedSerde(stringSerde), longSerde).slice(-1), ['a[1..9]=12@9']);
  });

  it('refuses a group of another builder', () => {
    const { group } = grouped();
    const strange = grouped().group;
    assert.throws(() => group.cogroup<string>(() => '').cogroup(strange, () => ''), {
      code: 'TOPOLOGY_INVALID',
    });
  });
});

describe('windowed keys', () => {
  const windowed = { key: 'ab', window: { startMs: 258, endMs: 268 } };

  it('are the bytes of Kafka Streams', () => {
    assert.equal(tensSerde.serialize(windowed, 't')?.toString('hex'), '61620000000000000102');
    const sessions = sessionWindowedSerde(stringSerde);
    assert.equal(sessions.serialize(windowed, 't')?.toString('hex'), '6162000000000000010c0000000000000102');
    assert.deepEqual(tensSerde.deserialize(tensSerde.serialize(windowed, 't'), 't'), windowed);
    assert.deepEqual(sessions.deserialize(sessions.serialize(windowed, 't'), 't'), windowed);
    assert.equal(tensSerde.serialize(null, 't'), null);
    assert.equal(tensSerde.deserialize(null, 't'), null);
    assert.throws(() => tensSerde.deserialize(Buffer.alloc(7), 't'), { code: 'RECORD_UNREADABLE' });
  });

  it('go to the partition of their key', () => {
    const { builder, group } = grouped();
    group.windowedBy(tens).count().toStream().to('out');
    const sink = builder
      .build()
      .nodes()
      .find((node) => node.kind === 'sink');
    assert.ok(sink?.kind === 'sink' && sink.partitioner !== undefined);
    const plain = { key: 'order-1', window: { startMs: 0, endMs: 10 } };
    // murmur2 of "order-1" is 1221710326.
    assert.equal(sink.partitioner('out', plain, 1, 6), 4);
  });
});

describe('windows that are none', () => {
  const cases: readonly [string, () => unknown][] = [
    ['time windows without grace', () => timeWindows({ sizeMs: 10 } as never)],
    ['sliding windows without grace', () => slidingWindows({ timeDifferenceMs: 10 } as never)],
    ['sessions without grace', () => sessionWindows({ gapMs: 10 } as never)],
    ['a negative grace', () => timeWindows({ sizeMs: 10, graceMs: -1 })],
    ['a size of nothing', () => timeWindows({ sizeMs: 0, graceMs: 0 })],
    ['an advance beyond the size', () => timeWindows({ sizeMs: 10, advanceMs: 11, graceMs: 0 })],
    ['an advance of nothing', () => timeWindows({ sizeMs: 10, advanceMs: 0, graceMs: 0 })],
    ['half a millisecond', () => sessionWindows({ gapMs: 0.5, graceMs: 0 })],
    ['a start before the epoch', () => unlimitedWindows({ startMs: -1 })],
    [
      'a retention that is shorter than the window is open',
      () =>
        grouped()
          .group.windowedBy(timeWindows({ sizeMs: 10, graceMs: 5 }))
          .count({ materialized: { retentionMs: 14 } }),
    ],
    [
      'a final result of a window without end',
      () => grouped().group.windowedBy(unlimitedWindows()).emitStrategy('onWindowClose').count(),
    ],
    [
      'sessions of an aggregate without merger',
      () =>
        grouped()
          .group.windowedBy(sessionWindows({ gapMs: 1, graceMs: 0 }))
          .aggregate(() => '', String, undefined as never, { materialized: { valueSerde: stringSerde } }),
    ],
  ];
  for (const [name, make] of cases)
    it(`are refused: ${name}`, () => {
      assert.throws(make, { code: 'TOPOLOGY_INVALID' });
    });
});

describe('windowed operators have the names of Kafka Streams', () => {
  /** Shape: the text form's lines of processors, as Kafka Streams 4.3.1 writes them. */
  function processors(builder: StreamsBuilder): string[] {
    return builder
      .build()
      .describe()
      .split('\n')
      .filter((line) => line.includes('Processor: '))
      .map((line) => line.replace('    Processor: ', ''));
  }

  it('an aggregate, and its suppression', () => {
    const { builder, group } = grouped();
    group
      .windowedBy(sessionWindows({ gapMs: 10, graceMs: 0 }))
      .reduce((one) => one)
      .suppress({ untilWindowCloses: true, buffer: 'unbounded' })
      .toStream();
    assert.deepEqual(processors(builder), [
      'KSTREAM-REDUCE-0000000002 (stores: [KSTREAM-REDUCE-STATE-STORE-0000000001])',
      'KTABLE-SUPPRESS-0000000003 (stores: [KTABLE-SUPPRESS-STATE-STORE-0000000004])',
      'KTABLE-TOSTREAM-0000000005 (stores: [])',
    ]);
  });

  it('counts, with a number left out where the store has options but no name', () => {
    const { builder, group } = grouped();
    group.windowedBy(tens).count();
    group.windowedBy(tens).count({ materialized: { logging: true } });
    assert.deepEqual(processors(builder), [
      'KSTREAM-AGGREGATE-0000000002 (stores: [KSTREAM-AGGREGATE-STATE-STORE-0000000001])',
      'KSTREAM-AGGREGATE-0000000005 (stores: [KSTREAM-AGGREGATE-STATE-STORE-0000000004])',
    ]);
  });

  it('a cogroup', () => {
    const builder = new StreamsBuilder();
    const [one, other] = ['one', 'two'].map((topic) =>
      builder.stream<string, string>(topic, strings).groupByKey(),
    ) as [KGroupedStream<string, string>, KGroupedStream<string, string>];
    one
      .cogroup<string>((_key, value) => value)
      .cogroup(other, (_key, value) => value)
      .windowedBy(tens)
      .aggregate(() => '', { named: 'co', materialized: { valueSerde: stringSerde } });
    assert.deepEqual(processors(builder), [
      'co-cogroup-agg-0 (stores: [COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000002])',
      'co-cogroup-agg-1 (stores: [COGROUPKSTREAM-AGGREGATE-STATE-STORE-0000000002])',
      'co-cogroup-merge (stores: [])',
    ]);
  });
});
