import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { Rig, strings } from './support.ts';

describe('tables', () => {
  it('a table has no store until somebody needs one', () => {
    const builder = new StreamsBuilder();
    const table = builder.table('in', strings);
    table.toStream().to('out');
    assert.deepEqual(builder.build().stores(), []);
    builder.stream('other', strings).join(table, (a, b) => a + b);
    assert.deepEqual(
      builder
        .build()
        .stores()
        .map(({ name }) => name),
      ['in-STATE-STORE-0000000000'],
    );
  });

  it('a named table keeps each key’s last value and its timestamp; null deletes; a null key is dropped', async () => {
    const builder = new StreamsBuilder();
    builder
      .table('in', { ...strings, materialized: { name: 'rows' } })
      .toStream()
      .to('out');
    const rig = await Rig.open(builder.build());
    await rig.pipe('in', 'a', 'x', 9);
    await rig.pipe('in', 'a', 'y', 4);
    await rig.pipe('in', null, 'z', 5);
    assert.deepEqual(await rig.driver.store('rows', 'a'), { value: 'y', timestamp: 4 });
    await rig.pipe('in', 'a', null, 10);
    assert.equal(await rig.driver.store('rows', 'a'), undefined);
    assert.deepEqual(rig.read('out'), ['a=x@9', 'a=y@4', 'a=null@10']);
    await rig.close();
  });

  it('toTable of a stream with a new key goes through a repartition topic', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .selectKey((_key, value) => value)
      .toTable({ materialized: { name: 'rows', ...strings } })
      .toStream()
      .to('out');
    assert.deepEqual(
      builder
        .build()
        .repartitions()
        .map(({ name }) => name),
      ['KSTREAM-TOTABLE-0000000002-repartition'],
    );
    const rig = await Rig.open(builder.build());
    await rig.pipe('in', 'a', 'x', 1);
    assert.deepEqual(await rig.driver.store('rows', 'x'), { value: 'x', timestamp: 1 });
    await rig.close();
  });

  it('a filter without old values deletes at each failing row, with them only rows that were there', async () => {
    for (const [materialized, expected] of [
      [undefined, ['a=null@0', 'a=keep@0', 'a=null@0', 'a=null@0']],
      [{ name: 'rows' }, ['a=keep@0', 'a=null@0']],
    ] as const) {
      const builder = new StreamsBuilder();
      const table = builder.table('in', materialized === undefined ? strings : { ...strings, materialized });
      table
        .filter((_key, value) => value === 'keep')
        .toStream()
        .to('out');
      const rig = await Rig.open(builder.build());
      for (const value of ['no', 'keep', 'no', 'never']) await rig.pipe('in', 'a', value);
      assert.deepEqual(rig.read('out'), expected);
      await rig.close();
    }
  });

  it('mapValues and filterNot store their rows when they are named', async () => {
    const builder = new StreamsBuilder();
    builder
      .table('in', strings)
      .mapValues((value, key) => (value === 'none' ? null : `${key}${value}`), {
        materialized: { name: 'mapped', valueSerde: stringSerde },
      })
      .filterNot((_key, value) => value === 'ax', { materialized: { name: 'filtered' } })
      .toStream()
      .to('out');
    const rig = await Rig.open(builder.build());
    await rig.pipe('in', 'a', 'x', 1);
    assert.deepEqual(await rig.driver.store('mapped', 'a'), { value: 'ax', timestamp: 1 });
    assert.equal(await rig.driver.store('filtered', 'a'), undefined);
    await rig.pipe('in', 'a', 'y', 2);
    assert.deepEqual(await rig.driver.store('filtered', 'a'), { value: 'ay', timestamp: 2 });
    await rig.pipe('in', 'a', 'none', 3);
    assert.equal(await rig.driver.store('mapped', 'a'), undefined);
    assert.equal(await rig.driver.store('filtered', 'a'), undefined);
    assert.deepEqual(rig.read('out'), ['a=ay@2', 'a=null@3']);
    await rig.close();
  });

  it('a regrouped table moves a row from its old group to its new one, the removal first', async () => {
    const builder = new StreamsBuilder();
    builder
      .table('in', strings)
      .groupBy((key, value) => [value, key], { name: 'by-value', ...strings })
      .aggregate(
        () => '',
        (_key, row, rows) => `${rows}+${row}`,
        (_key, row, rows) => `${rows}-${row}`,
        { materialized: { name: 'groups', valueSerde: stringSerde } },
      )
      .toStream()
      .to('out');
    const rig = await Rig.open(builder.build());
    await rig.pipe('in', 'a', 'x', 1);
    await rig.pipe('in', 'b', 'x', 2);
    await rig.pipe('in', 'a', 'y', 3);
    await rig.pipe('in', 'b', null, 1);
    assert.deepEqual(rig.read('out'), ['x=+a@1', 'x=+a+b@2', 'x=+a+b-a@3', 'y=+a@3', 'x=+a+b-a-b@3']);
    await rig.close();
  });

  it('a row that stays in its group is taken out and put in by one record', async () => {
    const builder = new StreamsBuilder();
    builder
      .table('in', strings)
      .groupBy((_key, value) => [value.charAt(0), value], strings)
      .reduce(
        (rows, row) => `${rows}+${row}`,
        (rows, row) => `${rows}-${row}`,
      )
      .toStream()
      .to('out');
    const rig = await Rig.open(builder.build());
    for (const value of ['x1', 'x2']) await rig.pipe('in', 'a', value);
    assert.deepEqual(rig.read('out'), ['x=x1@0', 'x=x1-x1+x2@0']);
    await rig.close();
  });

  it('a group that lost its last row has the count 0', async () => {
    const builder = new StreamsBuilder();
    builder
      .table('in', strings)
      .groupBy((key, value) => [value, key], strings)
      .count()
      .toStream()
      .to('out', { valueSerde: longSerde });
    const rig = await Rig.open(builder.build());
    for (const value of ['x', 'y', null]) await rig.pipe('in', 'a', value);
    assert.deepEqual(rig.read('out', longSerde), ['x=1@0', 'x=0@0', 'y=1@0', 'y=0@0']);
    await rig.close();
  });

  it('an aggregate’s first change has no old value, whatever its initializer made', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .groupByKey()
      .count()
      .groupBy((key, count) => [String(count), key], strings)
      .count()
      .toStream()
      .to('out', { valueSerde: longSerde });
    const rig = await Rig.open(builder.build());
    for (const value of ['x', 'y']) await rig.pipe('in', 'a', value);
    assert.deepEqual(rig.read('out', longSerde), ['1=1@0', '1=0@0', '2=1@0']);
    await rig.close();
  });
});
