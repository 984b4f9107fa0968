import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import type { JoinWindows } from '../../../src/dsl/options.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { jsonSerde, stringSerde } from '../../../src/serde/serde.ts';
import { planApplication } from '../../../src/task/task-plan.ts';
import { strings } from './support.ts';

function refuses(build: (builder: StreamsBuilder) => void, words: RegExp): void {
  assert.throws(
    () => build(new StreamsBuilder()),
    (error) =>
      error instanceof StreamsError && error.code === 'TOPOLOGY_INVALID' && words.test(error.message),
  );
}

const windows: JoinWindows = { beforeMs: 1, afterMs: 1, graceMs: 0 };
const pair = (left: string, right: string): string => left + right;

describe('a wrong topology is refused when it is built', () => {
  it('a sink, a group or a join whose serde was lost on the way says where to give it', () => {
    refuses(
      (b) =>
        b
          .stream('in', strings)
          .map((k, v) => [k, v])
          .to('out'),
      /SINK.*no key serde.*keySerde/,
    );
    refuses(
      (b) =>
        b
          .stream('in', strings)
          .mapValues((v) => v.length)
          .to('out'),
      /SINK.*no value serde/,
    );
    refuses(
      (b) =>
        b
          .stream('in', strings)
          .groupBy((_k, v) => v)
          .count(),
      /repartition has no key serde/,
    );
    refuses(
      (b) =>
        b
          .stream('in', strings)
          .mapValues((v) => v)
          .groupByKey()
          .reduce((v) => v),
      /REDUCE.*no value serde.*materialized/,
    );
    refuses(
      (b) =>
        b
          .stream('l', strings)
          .mapValues((v) => v)
          .join(b.stream('r', strings), pair, windows),
      /JOINTHIS.*no value serde.*otherValueSerde/,
    );
    refuses(
      (b) =>
        b
          .table('in', strings)
          .groupBy((k, v) => [v, k])
          .count(),
      /no key serde.*groupBy/,
    );
    refuses(
      (b) => b.table('in', strings).mapValues((v) => v, { materialized: { name: 'rows' } }),
      /MAPVALUES.*no value serde/,
    );
  });

  it('a source without serdes', () => {
    refuses((b) => b.stream('in', {} as never), /lacks a serde/);
    refuses((b) => b.table('in', { keySerde: stringSerde } as never), /lacks a serde/);
  });

  it('a name that is taken, or that cannot be one', () => {
    const twice = { named: 'twice' };
    refuses(
      (b) =>
        b
          .stream('in', strings)
          .filter(() => true, twice)
          .filter(() => true, twice),
      /two nodes named twice/,
    );
    refuses((b) => {
      const group = b.stream('in', strings).groupByKey();
      for (let i = 0; i < 2; i++) group.count({ materialized: { name: 'same' } });
    }, /two stores named same/);
    refuses((b) => {
      for (const topic of ['a', 'b']) b.stream(topic, strings).repartition({ name: 'same' });
    }, /two repartition topics named same/);
    refuses((b) => b.stream('in', strings).filter(() => true, { named: 'a b' }), /"a b" cannot name/);
    refuses(
      (b) =>
        b
          .stream('in', strings)
          .groupByKey()
          .count({ materialized: { name: 'a/b' } }),
      /cannot name/,
    );
  });

  it('two branches of one name, or a branch after the default one', () => {
    refuses(
      (b) =>
        b
          .stream('in', strings)
          .split()
          .branch(() => true, { name: 'a' })
          .branch(() => true, { name: 'a' }),
      /two branches named a/,
    );
    refuses((b) => {
      const split = b.stream('in', strings).split();
      split.defaultBranch();
      split.branch(() => true, { name: 'late' });
    }, /default branch already/);
  });

  it('a store that is not defined', () => {
    refuses(
      (b) => b.stream('in', strings).process(() => ({ process: () => {} }), { stores: ['nowhere'] }),
      /nowhere.*addStateStore/,
    );
  });

  it('a join window without grace, empty, or not in whole milliseconds', () => {
    const join = (bounds: unknown) => (b: StreamsBuilder) => {
      b.stream('l', strings).join(b.stream('r', strings), pair, bounds as JoinWindows);
    };
    refuses(join({ beforeMs: 1, afterMs: 1 }), /graceMs/);
    refuses(join(undefined), /beforeMs/);
    refuses(join({ beforeMs: 1, afterMs: 1, graceMs: -1 }), /negative/);
    refuses(join({ beforeMs: -2, afterMs: 1, graceMs: 0 }), /empty/);
    refuses(join({ beforeMs: 0.5, afterMs: 1, graceMs: 0 }), /beforeMs in whole milliseconds/);
  });

  it('a join with grace whose table is not versioned, or a grace that is none', () => {
    const versioned = { name: 't', versioned: { historyRetentionMs: 10 } };
    refuses(
      (b) => b.stream('in', strings).join(b.table('t', strings), pair, { gracePeriodMs: 1 }),
      /table is not versioned/,
    );
    for (const gracePeriodMs of [-1, 0.5])
      refuses((b) => {
        const table = b.table('t', { ...strings, materialized: versioned });
        b.stream('in', strings).leftJoin(table, (l, r) => `${l}${r}`, { gracePeriodMs });
      }, /gracePeriodMs of .* is whole milliseconds/);
  });

  it('a strict join that is inner, or whose idleMs is none or useless', () => {
    const join = (how: 'join' | 'leftJoin' | 'outerJoin', joined: object) => (b: StreamsBuilder) => {
      const [l, r] = [b.stream('l', strings), b.stream('r', strings)];
      const joiner = (a: string | null, c: string | null): string => `${a}${c}`;
      if (how === 'join') l.join(r, joiner, windows, joined);
      else if (how === 'leftJoin') l.leftJoin(r, joiner, windows, joined);
      else l.outerJoin(r, joiner, windows, joined);
    };
    refuses(join('join', { unmatched: 'strict' }), /inner join has no unmatched/);
    refuses(join('leftJoin', { unmatched: 'eager' }), /'strict' or left out/);
    refuses(join('outerJoin', { unmatched: 'strict', idleMs: 0 }), /idleMs in whole milliseconds/);
    refuses(join('outerJoin', { idleMs: 10 }), /idleMs, which only strict joins use/);
  });

  it('a join by foreign key of tables whose serdes were lost on the way', () => {
    const foreignKeyExtractor = (value: string): string => value;
    refuses(
      (b) =>
        b
          .table('l', strings)
          .mapValues((v) => v)
          .join(b.table('r', strings), pair, { foreignKeyExtractor }),
      /REGISTRATION.*no value serde.*left table/,
    );
    refuses(
      (b) =>
        b.table('l', strings).join(
          b.table('r', strings).mapValues((v) => v),
          pair,
          { foreignKeyExtractor },
        ),
      /PROCESSOR.*no value serde.*right table/,
    );
  });

  it('joined topics of different partition counts, when the application is planned', () => {
    const plan = (build: (b: StreamsBuilder) => void): void => {
      const builder = new StreamsBuilder();
      build(builder);
      const counts = new Map([
        ['l', 3],
        ['r', 2],
      ]);
      planApplication(builder.build(), 'app', counts);
    };
    const mismatch = { code: 'PARTITIONS_MISMATCH', message: /l has 3.*r has 2/ };
    assert.throws(
      () => plan((b) => b.stream('l', strings).join(b.stream('r', strings), pair, windows)),
      mismatch,
    );
    assert.throws(() => plan((b) => b.stream('l', strings).join(b.table('r', strings), pair)), mismatch);
    assert.throws(() => plan((b) => b.table('l', strings).join(b.table('r', strings), pair)), mismatch);
    // By a key of another kind, and with a global table, nothing has to lie together.
    plan((b) => b.table('l', strings).join(b.table('r', strings), pair, { foreignKeyExtractor: (v) => v }));
    plan((b) => b.stream('l', strings).join(b.globalTable('r', strings), (k) => k, pair));
  });

  it('a versioned table without a store or a retention', () => {
    const versioned = { historyRetentionMs: 10 };
    refuses(
      (b) => b.table('in', strings).mapValues((v) => v, { materialized: { ...strings, versioned } }),
      /cannot be versioned without a name/,
    );
    for (const historyRetentionMs of [undefined, -1, Number.NaN] as number[])
      refuses(
        (b) => b.table('in', { ...strings, materialized: { name: 't', versioned: { historyRetentionMs } } }),
        /store t needs its historyRetentionMs/,
      );
  });

  it('a topic read twice with different serdes, or by overlapping sources', () => {
    refuses((b) => {
      b.stream('in', strings);
      b.stream('in', { keySerde: stringSerde, valueSerde: jsonSerde<string>() });
    }, /read twice/);
    refuses((b) => {
      b.stream(['a', 'b'], strings);
      b.stream(['b', 'c'], strings);
    }, /overlaps/);
  });

  it('streams and tables of two builders', () => {
    const other = new StreamsBuilder();
    refuses((b) => b.stream('in', strings).merge(other.stream('in', strings)), /another StreamsBuilder/);
    refuses((b) => b.stream('in', strings).join(other.table('t', strings), pair), /another StreamsBuilder/);
    refuses((b) => b.table('in', strings).join(other.table('u', strings), pair), /another StreamsBuilder/);
  });

  it('the same topic read twice in the same way is one source', () => {
    const builder = new StreamsBuilder();
    builder.stream(['a', 'b'], strings).to('x');
    builder.stream(['b', 'a'], strings).to('y');
    builder.table('t', strings).toStream().to('z');
    builder.stream('t', strings).to('z2');
    assert.equal(
      builder
        .build()
        .nodes()
        .filter(({ kind }) => kind === 'source').length,
      2,
    );
  });
});
