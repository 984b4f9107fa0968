/**
 * What `suppress` holds back and lets out: limits, order, deletions, aborts, misuse; and random tables against
 * a plain model.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { afterEach, describe, it } from 'mocha';
import type { KTable } from '../../../src/dsl/api.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { Suppressed } from '../../../src/dsl/suppressed.ts';
import { sessionWindows, slidingWindows, timeWindows, type Windowed } from '../../../src/dsl/windows.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { Rig, strings } from './support.ts';

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.close();
  rig = undefined;
});

async function open(suppressed: Suppressed): Promise<Rig> {
  const builder = new StreamsBuilder();
  builder.table<string, string>('in', strings).suppress(suppressed).toStream().to('out');
  rig = await Rig.open(builder.build());
  return rig;
}

const never = Number.POSITIVE_INFINITY;

describe('suppress until a time limit', () => {
  it('lets out the latest change of each key, in the order in which they came first', async () => {
    const table = await open({ untilTimeLimitMs: 10, buffer: 'unbounded' });
    await table.pipe('in', 'b', '1', 1);
    await table.pipe('in', 'a', '2', 2);
    await table.pipe('in', 'b', '3', 9);
    assert.deepEqual(table.read('out'), []);
    await table.pipe('in', 'c', '4', 12);
    assert.deepEqual(table.read('out'), ['b=3@9', 'a=2@2']);
  });

  it('lets deletions out', async () => {
    const table = await open({ untilTimeLimitMs: 0, buffer: 'unbounded' });
    await table.pipe('in', 'a', '1', 1);
    await table.pipe('in', 'a', null, 2);
    assert.deepEqual(table.read('out'), ['a=1@1', 'a=null@2']);
  });

  it('emits early, the longest waiting first, when records or bytes are too many', async () => {
    const byRecords = await open({
      untilTimeLimitMs: never,
      buffer: { maxRecords: 2, whenFull: 'emitEarlyWhenFull' },
    });
    for (const key of ['c', 'b', 'a']) await byRecords.pipe('in', key, key, 1);
    assert.deepEqual(byRecords.read('out'), ['a=a@1']);
    await byRecords.close();
    const byBytes = await open({
      untilTimeLimitMs: never,
      buffer: { maxBytes: 10, whenFull: 'emitEarlyWhenFull' },
    });
    await byBytes.pipe('in', 'a', '123', 1);
    await byBytes.pipe('in', 'b', '123', 2);
    assert.deepEqual(byBytes.read('out'), []);
    await byBytes.pipe('in', 'c', '12', 3);
    assert.deepEqual(byBytes.read('out'), ['a=123@1']);
    await byBytes.pipe('in', 'c', '12345678', 4);
    assert.deepEqual(byBytes.read('out'), ['b=123@2']);
  });

  it('shuts down when the buffer is full and it was told so', async () => {
    const table = await open({
      untilTimeLimitMs: never,
      buffer: { maxRecords: 1, whenFull: 'shutDownWhenFull' },
    });
    await table.pipe('in', 'a', '1', 1);
    await table.pipe('in', 'a', '2', 2);
    await assert.rejects(table.pipe('in', 'b', '3', 3), { code: 'SUPPRESS_BUFFER_FULL', kind: 'user' });
    assert.deepEqual(table.read('out'), []);
  });

  it('loses nothing by an abort', async () => {
    const table = await open({ untilTimeLimitMs: 10, buffer: 'unbounded' });
    await table.pipe('in', 'a', '1', 1);
    const task = table.driver.tasks()[0]!;
    task.discard();
    await task.begin([]);
    await table.pipe('in', 'b', '2', 20);
    assert.deepEqual(table.read('out'), ['a=1@1']);
  });

  it('shows to joins what has come out, not what is held back', async () => {
    const builder = new StreamsBuilder();
    const table = builder
      .table<string, string>('in', { ...strings, materialized: { name: 'rows' } })
      .suppress({ untilTimeLimitMs: 10, buffer: 'unbounded' });
    builder
      .stream<string, string>('asks', strings)
      .leftJoin(table, (ask, row) => `${ask}:${row}`)
      .to('out', strings);
    rig = await Rig.open(builder.build());
    await rig.pipe('in', 'a', 'old', 1);
    await rig.pipe('asks', 'a', 'first', 2);
    await rig.pipe('in', 'b', 'x', 11);
    await rig.pipe('asks', 'a', 'second', 12);
    await rig.pipe('in', 'a', 'new', 13);
    await rig.pipe('asks', 'a', 'third', 14);
    assert.deepEqual(rig.read('out'), ['a=first:null@2', 'a=second:old@12', 'a=third:old@14']);
  });

  it('takes out of a group below what had come out, not what was held back between', async () => {
    const builder = new StreamsBuilder();
    builder
      .table<string, string>('in', { ...strings, materialized: { name: 'rows' } })
      .suppress({ untilTimeLimitMs: 10, buffer: 'unbounded' })
      .groupBy((_key, value) => [value, value], strings)
      .count()
      .toStream()
      .to('out');
    rig = await Rig.open(builder.build());
    await rig.pipe('in', 'a', 'one', 1);
    await rig.pipe('in', 'x', 'x', 11);
    await rig.pipe('in', 'a', 'two', 12);
    await rig.pipe('in', 'a', 'three', 13);
    await rig.pipe('in', 'x', 'x', 30);
    const counts = rig.read('out', longSerde);
    assert.deepEqual(
      counts.filter((line) => !line.startsWith('x')),
      ['one=1@1', 'one=0@13', 'three=1@13'],
    );
  });

  it('holds back and lets out as a plain model does', async () => {
    const record = fc.record({
      key: fc.constantFrom('a', 'ab', 'b', 'c'),
      value: fc.option(fc.constantFrom('x', 'yy', 'zzz'), { nil: null, freq: 4 }),
      timestamp: fc.nat(60),
    });
    const limits = fc.record({ waitMs: fc.nat(40), maxRecords: fc.integer({ min: 1, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(
        limits,
        fc.array(record, { maxLength: 40 }),
        async ({ waitMs, maxRecords }, records) => {
          const table = await open({
            untilTimeLimitMs: waitMs,
            buffer: { maxRecords, whenFull: 'emitEarlyWhenFull' },
          });
          let held: { key: string; value: string | null; fromMs: number; timestamp: number }[] = [];
          let timeMs = -1;
          for (const { key, value, timestamp } of records) {
            timeMs = Math.max(timeMs, timestamp);
            const fromMs = held.find((other) => other.key === key)?.fromMs ?? timestamp;
            held = [...held.filter((other) => other.key !== key), { key, value, fromMs, timestamp }].sort(
              (a, b) => a.fromMs - b.fromMs || (a.key < b.key ? -1 : 1),
            );
            const due = held.filter((other) => other.fromMs <= timeMs - waitMs).length;
            const out = held.splice(0, Math.max(due, held.length - maxRecords));
            await table.pipe('in', key, value, timestamp);
            assert.deepEqual(
              table.read('out'),
              out.map((row) => `${row.key}=${row.value}@${row.timestamp}`),
            );
          }
          await table.close();
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('suppress until windows close', () => {
  async function finals(
    make: (builder: StreamsBuilder) => KTable<Windowed<string>, number>,
    inputs: readonly (readonly [key: string, timestamp: number])[],
  ): Promise<string[]> {
    const builder = new StreamsBuilder();
    make(builder)
      .suppress({ untilWindowCloses: true, buffer: 'unbounded' })
      .toStream()
      .map(({ key, window }, count) => [`${key}[${window.startMs}..${window.endMs}]`, count])
      .to('out', { keySerde: stringSerde, valueSerde: longSerde });
    rig = await Rig.open(builder.build());
    for (const [key, timestamp] of inputs) await rig.pipe('in', key, 'x', timestamp);
    return rig.read('out', longSerde);
  }
  const group = (builder: StreamsBuilder) => builder.stream<string, string>('in', strings).groupByKey();

  it('gives one final result per time window', async () => {
    const tens = timeWindows({ sizeMs: 10, graceMs: 2 });
    assert.deepEqual(
      await finals(
        (builder) =>
          group(builder)
            .windowedBy(tens)
            .count()
            .filter((_key, count) => count > 0),
        [
          ['a', 1],
          ['a', 11],
          ['a', 2],
          ['b', 12],
          ['a', 3],
        ],
      ),
      ['a[0..10]=2@2'],
    );
  });

  it('gives no final result while a window of inclusive end can still change', async () => {
    const windows = slidingWindows({ timeDifferenceMs: 10, graceMs: 0 });
    assert.deepEqual(
      await finals(
        (builder) => group(builder).windowedBy(windows).count(),
        [
          ['k', 10],
          ['k', 10],
          ['k', 11],
        ],
      ),
      ['k[0..10]=2@10'],
    );
  });

  it('gives one result for sessions that were merged', async () => {
    const sessions = sessionWindows({ gapMs: 5, graceMs: 0 });
    assert.deepEqual(
      await finals(
        (builder) => group(builder).windowedBy(sessions).count(),
        [
          ['k', 1],
          ['k', 6],
          ['j', 11],
          ['j', 12],
        ],
      ),
      ['k[1..6]=2@6'],
    );
  });
});

describe('a suppression that is none', () => {
  const plain = () => new StreamsBuilder().table<string, string>('in', strings);
  const counted = () =>
    new StreamsBuilder()
      .stream<string, string>('in', strings)
      .groupByKey()
      .windowedBy(timeWindows({ sizeMs: 10, graceMs: 0 }))
      .count();
  const cases: readonly [string, () => unknown][] = [
    ['windows of a plain table', () => plain().suppress({ untilWindowCloses: true, buffer: 'unbounded' })],
    ['a negative wait', () => plain().suppress({ untilTimeLimitMs: -1, buffer: 'unbounded' })],
    [
      'half a record',
      () =>
        plain().suppress({ untilTimeLimitMs: 1, buffer: { maxRecords: 0.5, whenFull: 'emitEarlyWhenFull' } }),
    ],
    [
      'final results that come early',
      () =>
        counted().suppress({
          untilWindowCloses: true,
          buffer: { maxRecords: 1, whenFull: 'emitEarlyWhenFull' as never },
        }),
    ],
    [
      'a name that names nothing',
      () => plain().suppress({ untilTimeLimitMs: 1, buffer: 'unbounded', named: 'a/b' }),
    ],
  ];
  for (const [name, make] of cases)
    it(`is refused: ${name}`, () => {
      assert.throws(make, { code: 'TOPOLOGY_INVALID' });
    });

  it('gives its node and store their names', () => {
    const builder = new StreamsBuilder();
    builder
      .table<string, string>('in', strings)
      .suppress({ untilTimeLimitMs: 1, buffer: 'unbounded', named: 'calm' });
    assert.ok(builder.build().node('calm') !== undefined);
    assert.ok(builder.build().store('calm-store') !== undefined);
  });
});
