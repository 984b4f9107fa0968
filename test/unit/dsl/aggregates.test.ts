import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { Rig, strings } from './support.ts';

describe('aggregates of a stream', () => {
  it('count counts the records of each key and drops null keys and values', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .groupByKey()
      .count({ materialized: { name: 'counts' } })
      .toStream()
      .to('out', { valueSerde: longSerde });
    const rig = await Rig.open(builder.build());
    await rig.pipe('in', 'a', 'x', 5);
    await rig.pipe('in', 'a', null, 6);
    await rig.pipe('in', null, 'x', 7);
    await rig.pipe('in', 'b', 'x', 8);
    await rig.pipe('in', 'a', 'y', 3);
    assert.deepEqual(rig.read('out', longSerde), ['a=1@5', 'b=1@8', 'a=2@5']);
    assert.deepEqual(await rig.driver.store('counts', 'a'), { value: 2, timestamp: 5 });
    await rig.close();
  });

  it('reduce starts with the first value', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .groupByKey()
      .reduce((aggregate, value) => aggregate + value)
      .toStream()
      .to('out');
    const rig = await Rig.open(builder.build());
    for (const value of ['x', 'y', 'z']) await rig.pipe('in', 'a', value);
    assert.deepEqual(rig.read('out', stringSerde), ['a=x@0', 'a=xy@0', 'a=xyz@0']);
    await rig.close();
  });

  it('an aggregator that returns null deletes the aggregate, and the next record starts afresh', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .groupByKey()
      .aggregate(
        () => '>',
        (_key, value, aggregate) => (value === 'stop' ? null : aggregate + value),
        { materialized: { name: 'store', valueSerde: stringSerde } },
      )
      .toStream()
      .to('out');
    const rig = await Rig.open(builder.build());
    for (const value of ['x', 'stop', 'y']) await rig.pipe('in', 'a', value);
    assert.deepEqual(rig.read('out'), ['a=>x@0', 'a=null@0', 'a=>y@0']);
    assert.deepEqual(await rig.driver.store('store', 'a'), { value: '>y', timestamp: 0 });
    await rig.close();
  });

  it('groupByKey needs no repartition topic while the key is the topic’s own', () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .mapValues((value) => value)
      .filter(() => true)
      .groupByKey({ valueSerde: stringSerde })
      .count();
    assert.deepEqual(builder.build().repartitions(), []);
    assert.equal(builder.build().subtopologies().length, 1);
  });

  it('groupBy goes through a topic named after the group, without null keys', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .groupBy((_key, value) => (value === 'skip' ? (null as never) : value), {
        name: 'by-value',
        ...strings,
      })
      .count()
      .toStream()
      .to('out', { valueSerde: longSerde });
    const topology = builder.build();
    assert.deepEqual(topology.repartitions(), [{ name: 'by-value-repartition', partitions: undefined }]);
    const rig = await Rig.open(topology);
    for (const value of ['x', 'skip', 'x']) await rig.pipe('in', 'a', value);
    assert.deepEqual(rig.read('out', longSerde), ['x=1@0', 'x=2@0']);
    assert.equal(rig.read('test-by-value-repartition').length, 2);
    await rig.close();
  });

  it('two aggregates of a named group share its topic', () => {
    const builder = new StreamsBuilder();
    const group = builder.stream('in', strings).groupBy((_key, value) => value, { name: 'g', ...strings });
    group.count();
    group.reduce((aggregate) => aggregate);
    assert.equal(builder.build().repartitions().length, 1);
  });

  it('key changes after a repartition need another one, and value changes do not', () => {
    const builder = new StreamsBuilder();
    const counted = builder
      .stream('in', strings)
      .groupBy((_key, value) => value, strings)
      .count()
      .toStream();
    counted
      .mapValues((count) => String(count))
      .groupByKey({ valueSerde: stringSerde })
      .count();
    assert.equal(builder.build().repartitions().length, 1);
    counted
      .map((key, count) => [`${count}`, key])
      .groupByKey(strings)
      .count();
    assert.equal(builder.build().repartitions().length, 2);
  });
});
