/**
 * Programs whose descriptions Kafka Streams has printed (descriptions.json, made by
 * test/oracle/java/Descriptions.java): the same under the same names.
 */
import type { KStream } from '../../../src/dsl/api.ts';
import type { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { timeWindows } from '../../../src/dsl/windows.ts';
import type { Serde } from '../../../src/serde/serde.ts';
import { strings } from './support.ts';

const window = { beforeMs: 10, afterMs: 10, graceMs: 5 };
const joined = { ...strings, otherValueSerde: strings.valueSerde };
const first = (a: string): string => a;
const value = (_key: string, v: string): string => v;
const pass = (): boolean => true;

const stream = (builder: StreamsBuilder, topic: string): KStream<string, string> =>
  builder.stream<string, string>(topic, strings);

/** Whatever its values are: nothing of it is run. */
function out(result: object, topic: string): void {
  (result as KStream<string, string>).to(topic, strings);
}

export const descriptionPrograms: Readonly<Record<string, (builder: StreamsBuilder) => void>> = {
  'two aggregates below a map': (builder) => {
    const mapped = stream(builder, 'in').map((k, v) => [v, k]);
    out(mapped.groupByKey(strings).count().toStream(), 'counts');
    out(mapped.groupByKey(strings).reduce(first).toStream(), 'last');
  },
  'one aggregate below a filter below a key change': (builder) => {
    out(stream(builder, 'in').selectKey(value).filter(pass).groupByKey(strings).count().toStream(), 'counts');
  },
  'aggregates and a join below a key change, with names': (builder) => {
    const keyed = stream(builder, 'in').selectKey(value, { named: 'rekey' });
    const other = stream(builder, 'other');
    out(
      keyed
        .filter(pass)
        .groupByKey({ name: 'by-value', ...strings })
        .count({ named: 'count', materialized: { name: 'counts' } })
        .toStream(),
      'counts',
    );
    out(keyed.join(other, first, window, { ...joined, name: 'meet', storeName: 'meet-store' }), 'joined');
    out(
      keyed
        .peek(() => {})
        .groupByKey(strings)
        .reduce(first)
        .toStream(),
      'last',
    );
  },
  'a value changes between key and aggregate': (builder) => {
    const keyed = stream(builder, 'in').selectKey(value);
    out(
      keyed
        .mapValues((v) => v)
        .groupByKey(strings)
        .count()
        .toStream(),
      'a',
    );
    out(keyed.groupByKey(strings).count().toStream(), 'b');
    out(keyed.groupByKey(strings).count().toStream(), 'c');
  },
  'a merge of changed keys': (builder) => {
    const a = stream(builder, 'a').selectKey(value);
    const b = stream(builder, 'b').map((_k, v) => [v, v]);
    const both = a.merge(b);
    out(both.groupByKey(strings).count().toStream(), 'counts');
    out(both.groupByKey(strings).reduce(first).toStream(), 'last');
  },
  'a cogroup with names': (builder) => {
    const a = stream(builder, 'z').groupByKey({ name: 'from-z', ...strings });
    const b = stream(builder, 'y')
      .selectKey(value)
      .groupByKey({ name: 'from-y', ...strings });
    const c = stream(builder, 'x')
      .selectKey(value)
      .groupByKey({ name: 'from-x', ...strings });
    const materialized = { name: 'folded', ...strings };
    out(
      a
        .cogroup<string>(value)
        .cogroup(b, value)
        .cogroup(c, value)
        .aggregate(() => '', { named: 'fold', materialized })
        .toStream(),
      'out',
    );
  },
  'a table and its groups': (builder) => {
    const table = builder.table<string, string>('t', { ...strings, materialized: { name: 'rows' } });
    out(
      table
        .groupBy((k, v) => [v, k], strings)
        .count()
        .toStream(),
      'counts',
    );
    out(stream(builder, 'in').join(table, first), 'joined');
  },
  'a stream joined with itself': (builder) => {
    const same = stream(builder, 'in');
    out(same.join(same, first, window, joined), 'out');
  },
  'a stream of a changed key joined with itself': (builder) => {
    const same = stream(builder, 'in').selectKey(value);
    out(same.join(same, first, window, joined), 'out');
  },
  'one topic joined with itself, by two streams, with names': (builder) => {
    const one = stream(builder, 'in');
    const two = stream(builder, 'in');
    out(one.join(two, first, window, { ...joined, name: 'meet', storeName: 'meet' }), 'out');
  },
  'a left join with itself, and one below a filter': (builder) => {
    const same = stream(builder, 'in');
    out(same.leftJoin(same, first, window, joined), 'left');
    out(same.join(same.filter(pass), first, window, joined), 'filtered');
  },
  'sub-topologies by the names of their sources': (builder) => {
    out(builder.stream('z', { ...strings, named: 'z-source' }), 'from-z');
    out(stream(builder, 'b').repartition({ name: 'again', ...strings }), 'from-b');
    builder.globalTable('g', strings);
    out(builder.stream('a', { ...strings, named: 'a-source' }), 'from-a');
    out(builder.table('t', { ...strings, materialized: { name: 'named' } }).toStream(), 'from-t');
  },
  'tables of streams of changed keys': (builder) => {
    const keyed = stream(builder, 'in').selectKey(value);
    const table = keyed.toTable({ materialized: strings });
    out(keyed.join(table, first, strings), 'joined');
    out(keyed.leftJoin(table, first, strings), 'left');
  },
  'branches of a changed key': (builder) => {
    const branches = stream(builder, 'in')
      .selectKey(value)
      .split({ named: 's-' })
      .branch(pass)
      .branch(pass, { name: 'b' })
      .branch(pass, { withConsumer: (branch) => out(branch, 'used') })
      .branch(pass, { name: 'f', withFunction: (branch) => branch.filter(pass) })
      .defaultBranch();
    out(branches['s-1'].groupByKey(strings).count().toStream(), 'one');
    out(branches['s-b'].groupByKey(strings).count().toStream(), 'b');
    out(branches['s-f'], 'f');
    out(branches['s-0'], 'rest');
  },
  'tables joined by foreign key': (builder) => {
    const left = builder.table<string, string>('left', strings);
    const right = builder.table<string, string>('right', strings);
    const options = { foreignKeyExtractor: (v: string) => v, materialized: strings };
    out(left.join(right, first, options).toStream(), 'out');
  },
  'joins of tables': (builder) => {
    const a = builder.table<string, string>('a', strings);
    const b = builder.table<string, string>('b', strings);
    const c = stream(builder, 'c').selectKey(value).groupByKey(strings).reduce(first);
    out(a.join(b, first).leftJoin(c, first).filter(pass).toStream(), 'out');
  },
  'an outer join and a count below one key change': (builder) => {
    const keyed = stream(builder, 'in').selectKey(value);
    out(
      keyed.outerJoin(stream(builder, 'other'), (a) => a, window, joined),
      'joined',
    );
    out(keyed.groupByKey(strings).count().toStream(), 'counts');
  },
};

/** Kept out of the ones above: a windowed key's serde is only known to us. */
export function windowedCogroup(builder: StreamsBuilder, keySerde: Serde<string>): void {
  const a = stream(builder, 'a')
    .selectKey(value)
    .groupByKey({ name: 'from-a', ...strings });
  const b = stream(builder, 'b')
    .selectKey(value)
    .groupByKey({ name: 'from-b', ...strings });
  a.cogroup<string>(value)
    .cogroup(b, value)
    .windowedBy(timeWindows({ sizeMs: 10, graceMs: 5 }))
    .aggregate(() => '', { materialized: { keySerde, valueSerde: strings.valueSerde } })
    .toStream()
    .foreach(() => {});
}
