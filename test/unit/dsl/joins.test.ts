import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { KStream } from '../../../src/dsl/api.ts';
import type { JoinWindows } from '../../../src/dsl/options.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { type JoinHow, joinModel } from './join-model.ts';
import { Rig, strings } from './support.ts';

const pair = (left: string | null, right: string | null): string => `${left}+${right}`;

function joined(
  how: JoinHow,
  left: KStream<string, string>,
  right: KStream<string, string>,
  windows: JoinWindows,
): KStream<string, string> {
  if (how === 'inner') return left.join(right, pair, windows);
  return how === 'left' ? left.leftJoin(right, pair, windows) : left.outerJoin(right, pair, windows);
}

async function streamJoin(how: JoinHow, windows: JoinWindows): Promise<Rig> {
  const builder = new StreamsBuilder();
  joined(how, builder.stream('left', strings), builder.stream('right', strings), windows).to('out', strings);
  return Rig.open(builder.build());
}

describe('stream-table joins', () => {
  it('the stream triggers, with its own timestamp; the table does not', async () => {
    const builder = new StreamsBuilder();
    const table = builder.table('table', strings);
    builder.stream('stream', strings).join(table, pair).to('out', strings);
    const rig = await Rig.open(builder.build());
    await rig.pipe('stream', 'a', '1', 1);
    await rig.pipe('table', 'a', 'x', 9);
    await rig.pipe('stream', 'a', '2', 2);
    await rig.pipe('table', 'a', null, 10);
    await rig.pipe('stream', 'a', '3', 3);
    assert.deepEqual(rig.read('out'), ['a=2+x@2']);
    await rig.close();
  });

  it('a left join forwards what has no row, a null key too, but no null value', async () => {
    const builder = new StreamsBuilder();
    const table = builder.table('table', strings);
    builder.stream('stream', strings).leftJoin(table, pair).to('out', strings);
    const rig = await Rig.open(builder.build());
    await rig.pipe('stream', 'a', '1', 1);
    await rig.pipe('stream', null, '2', 2);
    await rig.pipe('stream', 'a', null, 3);
    assert.deepEqual(rig.read('out'), ['a=1+null@1', 'null=2+null@2']);
    await rig.close();
  });

  it('looks through derived tables to the nearest store, and sees what they would', async () => {
    const builder = new StreamsBuilder();
    const table = builder
      .table('table', strings)
      .mapValues((value) => (value === 'gone' ? null : value.toUpperCase()))
      .filter((_key, value) => value !== 'HIDDEN');
    builder.stream('stream', strings).leftJoin(table, pair).to('out', strings);
    const rig = await Rig.open(builder.build());
    for (const value of ['x', 'hidden', 'gone']) {
      await rig.pipe('table', 'a', value);
      await rig.pipe('stream', 'a', '1');
    }
    assert.deepEqual(rig.read('out'), ['a=1+X@0', 'a=1+null@0', 'a=1+null@0']);
    await rig.close();
  });

  it('a stream with a new key is repartitioned, and both sides are declared co-partitioned', () => {
    const builder = new StreamsBuilder();
    const table = builder.table('table', strings);
    builder
      .stream('stream', strings)
      .selectKey((_key, value) => value)
      .join(table, pair, { name: 'enrich', ...strings });
    assert.deepEqual(builder.build().repartitions(), [{ name: 'enrich-repartition', partitions: undefined }]);
    assert.deepEqual(builder.build().copartitionGroups(), [
      [
        { name: 'enrich-repartition', internal: true },
        { name: 'table', internal: false },
      ],
    ]);
  });
});

describe('table-table joins', () => {
  it('either side triggers, with the later timestamp; a stored result can be looked up', async () => {
    const builder = new StreamsBuilder();
    const left = builder.table('left', strings);
    const right = builder.table('right', strings);
    left
      .outerJoin(right, pair, { materialized: { name: 'both', ...strings } })
      .toStream()
      .to('out');
    const rig = await Rig.open(builder.build());
    await rig.pipe('left', 'a', 'x', 5);
    await rig.pipe('right', 'a', 'y', 3);
    await rig.pipe('left', 'a', null, 4);
    assert.deepEqual(await rig.driver.store('both', 'a'), { value: 'null+y', timestamp: 4 });
    await rig.pipe('right', 'a', null, 9);
    assert.equal(await rig.driver.store('both', 'a'), undefined);
    assert.deepEqual(rig.read('out'), ['a=x+null@5', 'a=x+y@5', 'a=null+y@4', 'a=null@9']);
    await rig.close();
  });

  it('an inner join deletes when a side goes, and says nothing while a side is missing', async () => {
    const builder = new StreamsBuilder();
    builder.table('left', strings).join(builder.table('right', strings), pair).toStream().to('out', strings);
    const rig = await Rig.open(builder.build());
    await rig.pipe('left', 'a', 'x', 1);
    await rig.pipe('left', 'a', null, 2);
    await rig.pipe('right', 'a', 'y', 3);
    await rig.pipe('left', 'a', 'z', 4);
    await rig.pipe('right', 'a', null, 5);
    assert.deepEqual(rig.read('out'), ['a=z+y@4', 'a=null@5']);
    await rig.close();
  });
});

describe('stream-stream joins', () => {
  it('both ends of the window are inclusive, and the result has the later timestamp', async () => {
    const rig = await streamJoin('inner', { beforeMs: 5, afterMs: 10, graceMs: 0 });
    await rig.pipe('left', 'a', 'L', 100);
    for (const [value, at] of [
      ['too-early', 94],
      ['first', 95],
      ['last', 110],
      ['too-late', 111],
    ] as const)
      await rig.pipe('right', 'a', value, at);
    assert.deepEqual(rig.read('out'), ['a=L+first@100', 'a=L+last@110']);
    await rig.close();
  });

  it('an unmatched record comes out when a later record of any key shows that its window and grace are over', async () => {
    const rig = await streamJoin('left', { beforeMs: 10, afterMs: 10, graceMs: 5 });
    await rig.pipe('left', 'a', 'L', 100);
    await rig.pipe('left', 'b', 'tick', 115);
    assert.deepEqual(rig.read('out'), []);
    await rig.pipe('right', 'c', 'tick', 116);
    assert.deepEqual(rig.read('out'), ['a=L+null@100']);
    await rig.close();
  });

  it('a late match joins even after the null result: left null is no proof of absence', async () => {
    const rig = await streamJoin('left', { beforeMs: 10, afterMs: 10, graceMs: 5 });
    await rig.pipe('left', 'a', 'L', 100);
    await rig.pipe('left', 'b', 'tick', 116);
    await rig.pipe('right', 'a', 'R', 105);
    assert.deepEqual(rig.read('out'), ['a=L+null@100', 'a=L+R@105']);
    await rig.close();
  });

  it('an unmatched record whose window is already over comes out at once, whatever the grace', async () => {
    const rig = await streamJoin('left', { beforeMs: 10, afterMs: 10, graceMs: 50 });
    await rig.pipe('left', 'b', 'tick', 100);
    await rig.pipe('left', 'a', 'L', 85);
    await rig.pipe('right', 'a', 'R', 90);
    assert.deepEqual(rig.read('out'), ['a=L+null@85', 'a=L+R@90']);
    await rig.close();
  });

  it('one match takes all unmatched records of its key and time off the list', async () => {
    const rig = await streamJoin('left', { beforeMs: 10, afterMs: 10, graceMs: 0 });
    await rig.pipe('left', 'a', 'L1', 100);
    await rig.pipe('left', 'a', 'L2', 100);
    await rig.pipe('right', 'a', 'R', 100);
    await rig.pipe('left', 'b', 'tick', 200);
    assert.deepEqual(rig.read('out'), ['a=L1+R@100', 'a=L2+R@100']);
    await rig.close();
  });

  it('a null key comes out alone on a preserved side; other nulls are dropped', async () => {
    const windows = { beforeMs: 10, afterMs: 10, graceMs: 0 };
    for (const [how, expected] of [
      ['inner', []],
      ['left', ['null=L+null@1']],
      ['outer', ['null=L+null@1', 'null=null+R@2']],
    ] as const) {
      const rig = await streamJoin(how, windows);
      await rig.pipe('left', null, 'L', 1);
      await rig.pipe('right', null, 'R', 2);
      await rig.pipe('left', 'a', null, 3);
      await rig.pipe('left', null, null, 4);
      assert.deepEqual(rig.read('out'), expected);
      await rig.close();
    }
  });

  it('a stream joins itself', async () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream('left', strings);
    stream.join(stream, pair, { beforeMs: 10, afterMs: 10, graceMs: 0 }).to('out', strings);
    const rig = await Rig.open(builder.build());
    await rig.pipe('left', 'a', '1', 1);
    await rig.pipe('left', 'a', '2', 2);
    assert.deepEqual(rig.read('out'), ['a=1+1@1', 'a=2+1@2', 'a=1+2@2', 'a=2+2@2']);
    await rig.close();
  });

  it('reads nothing but what it declared, when it stands next to its sources', async () => {
    const rig = await streamJoin('inner', { beforeMs: 10, afterMs: 10, graceMs: 0 });
    for (let at = 0; at < 20; at++) await rig.pipe(at % 2 === 0 ? 'left' : 'right', 'a', `${at}`, at);
    assert.deepEqual(
      rig.driver.tasks().map((task) => task.state.slowReads),
      [0],
    );
    await rig.close();
  });

  it('does what a plain list of its rules does, for any windows and any order of records', async function () {
    this.timeout(60_000);
    const record = fc.record({
      side: fc.constantFrom<'left' | 'right'>('left', 'right'),
      key: fc.option(fc.constantFrom('a', 'b', 'aa', 'a\u0000', 'a\u0000b'), { freq: 20 }),
      value: fc.option(fc.constantFrom('x', 'y', 'z'), { freq: 12 }),
      stepMs: fc.integer({ min: -40, max: 12 }),
    });
    const windows = fc.record({
      beforeMs: fc.integer({ min: -5, max: 20 }),
      afterMs: fc.integer({ min: 5, max: 20 }),
      graceMs: fc.constantFrom(0, 0, 5, 200),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<JoinHow>('inner', 'left', 'outer'),
        windows,
        fc.array(record, { maxLength: 40 }),
        async (how, bounds, records) => {
          const model = joinModel(how, bounds);
          const rig = await streamJoin(how, bounds);
          let newestMs = 50;
          for (const { side, key, value, stepMs } of records) {
            const at = Math.max(0, newestMs + stepMs);
            newestMs = Math.max(newestMs, at);
            await rig.pipe(side, key, value, at);
            assert.deepEqual(rig.read('out'), model({ side, key, value, at }));
          }
          await rig.close();
        },
      ),
      { seed: 20240607, numRuns: 300 },
    );
  });
});
