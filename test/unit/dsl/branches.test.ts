/** `split` with all that a branch may be given: names, functions, consumers. Its keys and names are Kafka Streams'. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import type { KStream } from '../../../src/dsl/api.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { Rig, strings } from './support.ts';

type Strings = KStream<string, string>;

const starts =
  (prefix: string) =>
  (_key: string, value: string): boolean =>
    value.startsWith(prefix);

describe('branches of a split', () => {
  let rig: Rig | undefined;
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
  });

  const split = (builder: StreamsBuilder) =>
    builder.stream<string, string>('in', strings).split({ named: 's-' });

  it('without names are numbered from 1, the default is 0, and the split’s name stands before them', async () => {
    const builder = new StreamsBuilder();
    const branches = split(builder).branch(starts('a')).branch(starts('b')).defaultBranch();
    const streams: [Strings, Strings, Strings] = [branches['s-1'], branches['s-2'], branches['s-0']];
    assert.deepEqual(Object.keys(branches), ['s-1', 's-2', 's-0']);
    for (const [index, stream] of streams.entries()) stream.to(`out-${index}`);
    rig = await Rig.open(builder.build());
    for (const value of ['a', 'b', 'c']) await rig.pipe('in', 'k', value);
    assert.deepEqual(
      [rig.read('out-0'), rig.read('out-1'), rig.read('out-2')],
      [['k=a@0'], ['k=b@0'], ['k=c@0']],
    );
  });

  it('count those with names too', () => {
    const builder = new StreamsBuilder();
    const branches = split(builder)
      .branch(starts('a'), { name: 'first' })
      .branch(starts('b'))
      .branch(starts('c'), { withConsumer: () => {} })
      .branch(starts('d'))
      .noDefaultBranch();
    assert.deepEqual(Object.keys(branches), ['s-first', 's-2', 's-4']);
    assert.match(builder.build().describe(), /Processor: s-3 /);
  });

  it('of a split without name have keys without the generated one', () => {
    const builder = new StreamsBuilder();
    const branches = builder
      .stream<string, string>('in', strings)
      .split()
      .branch(starts('a'))
      .branch(starts('b'), { name: 'b' })
      .defaultBranch();
    const one: Strings = branches[1];
    assert.ok(one);
    assert.deepEqual(Object.keys(branches).sort(), ['0', '1', 'b']);
    assert.match(builder.build().describe(), /Processor: KSTREAM-BRANCH-00000000011 /);
  });

  it('withFunction puts what it makes into the result, and nothing when it makes nothing', async () => {
    const builder = new StreamsBuilder();
    const branches = split(builder)
      .branch(starts('a'), {
        name: 'lengths',
        withFunction: (stream) => stream.mapValues((value) => value.length),
      })
      .branch(starts('b'), {
        withFunction: (stream): Strings | undefined => {
          stream.to('b');
          return undefined;
        },
      })
      .defaultBranch({ name: 'rest', withFunction: (stream) => stream.filter(starts('c')) });
    const lengths: KStream<string, number> = branches['s-lengths'];
    const maybe: Strings | undefined = branches['s-2'];
    assert.equal(maybe, undefined);
    lengths.mapValues(String).to('lengths', strings);
    branches['s-rest'].to('rest');
    rig = await Rig.open(builder.build());
    for (const value of ['abc', 'b', 'c', 'd']) await rig.pipe('in', 'k', value);
    assert.deepEqual(
      [rig.read('lengths'), rig.read('b'), rig.read('rest')],
      [['k=3@0'], ['k=b@0'], ['k=c@0']],
    );
  });

  it('withConsumer uses a branch up: it is not in the result', async () => {
    const builder = new StreamsBuilder();
    const branches = split(builder)
      .branch(starts('a'), { name: 'a', withConsumer: (stream) => stream.to('a') })
      .defaultBranch({ withConsumer: (stream) => stream.to('rest') });
    assert.deepEqual(branches, {});
    // @ts-expect-error the consumer has taken it
    assert.equal(branches['s-a'], undefined);
    rig = await Rig.open(builder.build());
    for (const value of ['a', 'b']) await rig.pipe('in', 'k', value);
    assert.deepEqual([rig.read('a'), rig.read('rest')], [['k=a@0'], ['k=b@0']]);
  });

  it('narrow the value for the function as for the result', () => {
    interface Placed {
      readonly type: 'placed';
      readonly total: number;
    }
    const builder = new StreamsBuilder();
    const isPlaced = (_key: string, event: Placed | { type: 'cancelled' }): event is Placed =>
      event.type === 'placed';
    const parsed = builder
      .stream<string, string>('in', strings)
      .mapValues((value) => JSON.parse(value) as Placed | { type: 'cancelled' });
    const branches = parsed
      .split({ named: 'by-type-' })
      .branch(isPlaced, { name: 'totals', withFunction: (placed) => placed.mapValues(({ total }) => total) })
      .branch(isPlaced, {
        name: 'used',
        withConsumer: (placed) => placed.foreach((_key, { total }) => total),
      })
      .branch(isPlaced)
      .noDefaultBranch();
    const totals: KStream<string, number> = branches['by-type-totals'];
    const placed: KStream<string, Placed> = branches['by-type-3'];
    assert.ok(totals && placed);
    // @ts-expect-error there is no such branch
    assert.equal(branches['by-type-4'], undefined);
  });
});
