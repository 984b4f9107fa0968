import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { KStream } from '../../../src/dsl/api.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { Rig, strings } from './support.ts';

async function through(
  operators: (stream: KStream<string, string>) => KStream<string, string>,
  inputs: readonly (readonly [string | null, string | null, number?])[],
): Promise<string[]> {
  const builder = new StreamsBuilder();
  operators(builder.stream('in', strings)).to('out', strings);
  const rig = await Rig.open(builder.build());
  for (const [key, value, timestamp] of inputs) await rig.pipe('in', key, value, timestamp);
  const results = rig.read('out');
  await rig.close();
  return results;
}

describe('stateless operators', () => {
  it('filter keeps what passes and filterNot what does not', async () => {
    const inputs = [['a', 'x'] as const, ['b', 'y'] as const];
    assert.deepEqual(await through((s) => s.filter((key) => key === 'a'), inputs), ['a=x@0']);
    assert.deepEqual(await through((s) => s.filterNot((_key, value) => value === 'x'), inputs), ['b=y@0']);
  });

  it('map, selectKey and flatMap keep the timestamp', async () => {
    assert.deepEqual(await through((s) => s.map((k, v) => [v, k]), [['a', 'x', 7]]), ['x=a@7']);
    assert.deepEqual(await through((s) => s.selectKey((k, v) => k + v), [['a', 'x', 7]]), ['ax=x@7']);
    const twice = await through(
      (s) =>
        s.flatMap((k, v) => [
          [k, v],
          [v, k],
        ]),
      [['a', 'x', 7]],
    );
    assert.deepEqual(twice, ['a=x@7', 'x=a@7']);
  });

  it('value mappers get the value first and the key second', async () => {
    assert.deepEqual(await through((s) => s.mapValues((v, k) => `${k}:${v}`), [['a', 'x']]), ['a=a:x@0']);
    assert.deepEqual(await through((s) => s.flatMapValues((v) => v.split(' ')), [['a', 'x y']]), [
      'a=x@0',
      'a=y@0',
    ]);
    assert.deepEqual(await through((s) => s.flatMapValues(() => []), [['a', 'x']]), []);
  });

  it('peek sees each record and passes it on', async () => {
    const seen: string[] = [];
    const results = await through((s) => s.peek((k, v) => seen.push(k + v)), [['a', 'x']]);
    assert.deepEqual([seen, results], [['ax'], ['a=x@0']]);
  });

  it('a tombstone and a null key reach the operators as null', async () => {
    const results = await through(
      (s) => s.mapValues((v, k) => `${k} ${v}`),
      [
        [null, 'x'],
        ['a', null],
      ],
    );
    assert.deepEqual(results, ['null=null x@0', 'a=a null@0']);
  });

  it('merge interleaves two streams', async () => {
    const builder = new StreamsBuilder();
    builder.stream('one', strings).merge(builder.stream('two', strings)).to('out', strings);
    const rig = await Rig.open(builder.build());
    await rig.pipe('one', 'a', '1');
    await rig.pipe('two', 'a', '2');
    await rig.pipe('one', 'a', '3');
    assert.deepEqual(rig.read('out'), ['a=1@0', 'a=2@0', 'a=3@0']);
    await rig.close();
  });

  it('split sends a record to the first branch that takes it, and the rest to the default one', async () => {
    const builder = new StreamsBuilder();
    const branches = builder
      .stream('in', strings)
      .split()
      .branch((_k, v) => v.startsWith('x'), { name: 'x' })
      .branch((_k, v) => v.length > 1, { name: 'long' })
      .defaultBranch({ name: 'rest' });
    branches.x.to('x', strings);
    branches.long.to('long', strings);
    branches.rest.to('rest', strings);
    const rig = await Rig.open(builder.build());
    for (const value of ['xx', 'yy', 'y']) await rig.pipe('in', 'a', value);
    assert.deepEqual(
      [rig.read('x'), rig.read('long'), rig.read('rest')],
      [['a=xx@0'], ['a=yy@0'], ['a=y@0']],
    );
    await rig.close();
  });

  it('without a default branch, what no branch takes vanishes', async () => {
    const builder = new StreamsBuilder();
    const { x } = builder
      .stream('in', strings)
      .split()
      .branch((_k, v) => v === 'x', { name: 'x' })
      .noDefaultBranch();
    x.to('x', strings);
    const rig = await Rig.open(builder.build());
    await rig.pipe('in', 'a', 'y');
    await rig.pipe('in', 'a', 'x');
    assert.deepEqual(rig.read('x'), ['a=x@0']);
    await rig.close();
  });

  it('to names the topic per record when it is given a function', async () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream('in', strings);
    stream.to((record) => `out-${record.key}`);
    // Topics have to be there: these two are made known by sinks that get nothing.
    for (const topic of ['out-a', 'out-b']) stream.filter(() => false).to(topic);
    const rig = await Rig.open(builder.build());
    await rig.pipe('in', 'a', 'x');
    await rig.pipe('in', 'b', 'y');
    assert.deepEqual([rig.read('out-a'), rig.read('out-b')], [['a=x@0'], ['b=y@0']]);
    await rig.close();
  });

  it('repartition goes through an internal topic and keeps null keys', async () => {
    const builder = new StreamsBuilder();
    builder.stream('in', strings).repartition({ name: 'again', partitions: 3 }).to('out');
    assert.deepEqual(builder.build().repartitions(), [{ name: 'again-repartition', partitions: 3 }]);
    const rig = await Rig.open(builder.build());
    await rig.pipe('in', null, 'x', 5);
    assert.deepEqual(rig.read('out'), ['null=x@5']);
    await rig.close();
  });

  it('a hand-written processor forwards what it likes', async () => {
    const results = await through(
      (s) =>
        s.process<string, string>(() => {
          let forward: (value: string) => void = () => {};
          return {
            init: (context) => {
              forward = (value) => context.forward({ key: 'k', value, timestamp: 3, headers: [] });
            },
            process: (record) => forward(record.value.toUpperCase()),
          };
        }),
      [['a', 'x']],
    );
    assert.deepEqual(results, ['k=X@3']);
  });
});
