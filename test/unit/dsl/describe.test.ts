/**
 * The names, edges, stores and sub-topologies of the DSL are Kafka Streams'. The texts are what its own
 * `Topology.describe` prints for the same topologies (4.3.1); the order of nodes within a sub-topology,
 * of names within a line, and the indent of later sub-topologies are left out of the comparison.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { strings } from './support.ts';

/** Sub-topologies in order, each with its nodes in one line each, sorted. */
function parsed(text: string): string[][] {
  return text
    .split(/ +Sub-topology: \d+\n/)
    .slice(1)
    .map((part) =>
      part
        .trimEnd()
        .split(/\n(?= {4}[A-Z])/)
        .map((node) =>
          node
            .split('\n')
            .map((line) =>
              line
                .trim()
                .replace(
                  /(\[|--> |<-- )([^\]]*)/,
                  (_all, before, names) => before + names.split(', ').sort().join(', '),
                ),
            )
            .join(' '),
        )
        .sort(),
    );
}

/** Stores of the steps of a stream-stream join are ours: they are connected so that reads can be foretold. */
function withoutStores(parts: string[][]): string[][] {
  return parts.map((nodes) => nodes.map((node) => node.replace(/stores: \[[^\]]*\]/, 'stores')));
}

function describes(build: (builder: StreamsBuilder) => void, text: string, compareStores = true): void {
  const builder = new StreamsBuilder();
  build(builder);
  const [ours, theirs] = [parsed(builder.build().describe()), parsed(text)];
  if (compareStores) assert.deepEqual(ours, theirs);
  else assert.deepEqual(withoutStores(ours), withoutStores(theirs));
}

const windows = { beforeMs: 10, afterMs: 10, graceMs: 5 };
const pair = (left: string | null, right: string | null): string => `${left}${right}`;
const longs = { keySerde: stringSerde, valueSerde: longSerde };

describe('topologies have Kafka Streams’ names', () => {
  it('stateless operators', () => {
    describes(
      (builder) => {
        const stream = builder.stream('in', strings);
        stream
          .filter(() => true)
          .mapValues((value) => value)
          .flatMapValues((value) => [value])
          .peek(() => {})
          .filterNot(() => false, { named: 'keep' })
          .to('out', strings);
        stream.foreach(() => {});
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> KSTREAM-FILTER-0000000001, KSTREAM-FOREACH-0000000007
    Processor: KSTREAM-FILTER-0000000001 (stores: [])
      --> KSTREAM-MAPVALUES-0000000002
      <-- KSTREAM-SOURCE-0000000000
    Processor: KSTREAM-MAPVALUES-0000000002 (stores: [])
      --> KSTREAM-FLATMAPVALUES-0000000003
      <-- KSTREAM-FILTER-0000000001
    Processor: KSTREAM-FLATMAPVALUES-0000000003 (stores: [])
      --> KSTREAM-PEEK-0000000004
      <-- KSTREAM-MAPVALUES-0000000002
    Processor: KSTREAM-PEEK-0000000004 (stores: [])
      --> keep
      <-- KSTREAM-FLATMAPVALUES-0000000003
    Processor: keep (stores: [])
      --> KSTREAM-SINK-0000000006
      <-- KSTREAM-PEEK-0000000004
    Processor: KSTREAM-FOREACH-0000000007 (stores: [])
      --> none
      <-- KSTREAM-SOURCE-0000000000
    Sink: KSTREAM-SINK-0000000006 (topic: out)
      <-- keep
`,
    );
  });

  it('a word count', () => {
    describes(
      (builder) => {
        builder
          .stream('text', strings)
          .flatMapValues((value) => [value])
          .groupBy((_key, value) => value, strings)
          .count()
          .toStream()
          .to('counts', longs);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [text])
      --> KSTREAM-FLATMAPVALUES-0000000001
    Processor: KSTREAM-FLATMAPVALUES-0000000001 (stores: [])
      --> KSTREAM-KEY-SELECT-0000000002
      <-- KSTREAM-SOURCE-0000000000
    Processor: KSTREAM-KEY-SELECT-0000000002 (stores: [])
      --> KSTREAM-FILTER-0000000006
      <-- KSTREAM-FLATMAPVALUES-0000000001
    Processor: KSTREAM-FILTER-0000000006 (stores: [])
      --> KSTREAM-SINK-0000000005
      <-- KSTREAM-KEY-SELECT-0000000002
    Sink: KSTREAM-SINK-0000000005 (topic: KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition)
      <-- KSTREAM-FILTER-0000000006

  Sub-topology: 1
    Source: KSTREAM-SOURCE-0000000007 (topics: [KSTREAM-AGGREGATE-STATE-STORE-0000000003-repartition])
      --> KSTREAM-AGGREGATE-0000000004
    Processor: KSTREAM-AGGREGATE-0000000004 (stores: [KSTREAM-AGGREGATE-STATE-STORE-0000000003])
      --> KTABLE-TOSTREAM-0000000008
      <-- KSTREAM-SOURCE-0000000007
    Processor: KTABLE-TOSTREAM-0000000008 (stores: [])
      --> KSTREAM-SINK-0000000009
      <-- KSTREAM-AGGREGATE-0000000004
    Sink: KSTREAM-SINK-0000000009 (topic: counts)
      <-- KTABLE-TOSTREAM-0000000008
`,
    );
  });

  it('an aggregate with every name given', () => {
    describes(
      (builder) => {
        builder
          .stream('in', strings)
          .selectKey((_key, value) => value, { named: 'rekey' })
          .groupByKey({ name: 'by-value', ...strings })
          .reduce((aggregate) => aggregate, { named: 'fold', materialized: { name: 'totals', ...strings } })
          .toStream({ named: 'changes' })
          .to('out', strings);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> rekey
    Processor: rekey (stores: [])
      --> by-value-repartition-filter
      <-- KSTREAM-SOURCE-0000000000
    Processor: by-value-repartition-filter (stores: [])
      --> by-value-repartition-sink
      <-- rekey
    Sink: by-value-repartition-sink (topic: by-value-repartition)
      <-- by-value-repartition-filter

  Sub-topology: 1
    Source: by-value-repartition-source (topics: [by-value-repartition])
      --> fold
    Processor: fold (stores: [totals])
      --> changes
      <-- by-value-repartition-source
    Processor: changes (stores: [])
      --> KSTREAM-SINK-0000000007
      <-- fold
    Sink: KSTREAM-SINK-0000000007 (topic: out)
      <-- changes
`,
    );
  });

  it('two aggregates of one named group', () => {
    describes(
      (builder) => {
        const group = builder
          .stream('in', strings)
          .map((key, value) => [value, key])
          .groupByKey({ name: 'g', ...strings });
        group.count();
        group.reduce((aggregate) => aggregate);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> KSTREAM-MAP-0000000001
    Processor: KSTREAM-MAP-0000000001 (stores: [])
      --> g-repartition-filter
      <-- KSTREAM-SOURCE-0000000000
    Processor: g-repartition-filter (stores: [])
      --> g-repartition-sink
      <-- KSTREAM-MAP-0000000001
    Sink: g-repartition-sink (topic: g-repartition)
      <-- g-repartition-filter

  Sub-topology: 1
    Source: g-repartition-source (topics: [g-repartition])
      --> KSTREAM-AGGREGATE-0000000003, KSTREAM-REDUCE-0000000008
    Processor: KSTREAM-AGGREGATE-0000000003 (stores: [KSTREAM-AGGREGATE-STATE-STORE-0000000002])
      --> none
      <-- g-repartition-source
    Processor: KSTREAM-REDUCE-0000000008 (stores: [KSTREAM-REDUCE-STATE-STORE-0000000007])
      --> none
      <-- g-repartition-source
`,
    );
  });

  it('stream-table joins', () => {
    describes(
      (builder) => {
        const stream = builder.stream('orders', strings);
        const table = builder.table('customers', strings);
        stream
          .selectKey((_key, value) => value)
          .join(table, pair, strings)
          .to('out', strings);
        stream.leftJoin(table, pair, { name: 'enrich', ...strings }).to('out2', strings);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [orders])
      --> KSTREAM-KEY-SELECT-0000000004, enrich
    Processor: KSTREAM-KEY-SELECT-0000000004 (stores: [])
      --> KSTREAM-FILTER-0000000006
      <-- KSTREAM-SOURCE-0000000000
    Source: KSTREAM-SOURCE-0000000007 (topics: [KSTREAM-KEY-SELECT-0000000004-repartition])
      --> KSTREAM-JOIN-0000000008
    Processor: KSTREAM-FILTER-0000000006 (stores: [])
      --> KSTREAM-SINK-0000000005
      <-- KSTREAM-KEY-SELECT-0000000004
    Processor: KSTREAM-JOIN-0000000008 (stores: [customers-STATE-STORE-0000000001])
      --> KSTREAM-SINK-0000000009
      <-- KSTREAM-SOURCE-0000000007
    Source: KSTREAM-SOURCE-0000000002 (topics: [customers])
      --> KTABLE-SOURCE-0000000003
    Processor: enrich (stores: [customers-STATE-STORE-0000000001])
      --> KSTREAM-SINK-0000000011
      <-- KSTREAM-SOURCE-0000000000
    Sink: KSTREAM-SINK-0000000005 (topic: KSTREAM-KEY-SELECT-0000000004-repartition)
      <-- KSTREAM-FILTER-0000000006
    Sink: KSTREAM-SINK-0000000009 (topic: out)
      <-- KSTREAM-JOIN-0000000008
    Sink: KSTREAM-SINK-0000000011 (topic: out2)
      <-- enrich
    Processor: KTABLE-SOURCE-0000000003 (stores: [customers-STATE-STORE-0000000001])
      --> none
      <-- KSTREAM-SOURCE-0000000002
`,
    );
  });

  it('a table-table join over a filtered table', () => {
    describes(
      (builder) => {
        const left = builder.table('left', strings);
        const right = builder.table('right', strings);
        left
          .filter(() => true)
          .outerJoin(right, pair)
          .mapValues((value) => value)
          .toStream()
          .to('out', strings);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000001 (topics: [left])
      --> KTABLE-SOURCE-0000000002
    Source: KSTREAM-SOURCE-0000000004 (topics: [right])
      --> KTABLE-SOURCE-0000000005
    Processor: KTABLE-SOURCE-0000000002 (stores: [left-STATE-STORE-0000000000])
      --> KTABLE-FILTER-0000000006
      <-- KSTREAM-SOURCE-0000000001
    Processor: KTABLE-FILTER-0000000006 (stores: [])
      --> KTABLE-JOINTHIS-0000000008
      <-- KTABLE-SOURCE-0000000002
    Processor: KTABLE-SOURCE-0000000005 (stores: [right-STATE-STORE-0000000003])
      --> KTABLE-JOINOTHER-0000000009
      <-- KSTREAM-SOURCE-0000000004
    Processor: KTABLE-JOINOTHER-0000000009 (stores: [left-STATE-STORE-0000000000])
      --> KTABLE-MERGE-0000000007
      <-- KTABLE-SOURCE-0000000005
    Processor: KTABLE-JOINTHIS-0000000008 (stores: [right-STATE-STORE-0000000003])
      --> KTABLE-MERGE-0000000007
      <-- KTABLE-FILTER-0000000006
    Processor: KTABLE-MERGE-0000000007 (stores: [])
      --> KTABLE-MAPVALUES-0000000010
      <-- KTABLE-JOINTHIS-0000000008, KTABLE-JOINOTHER-0000000009
    Processor: KTABLE-MAPVALUES-0000000010 (stores: [])
      --> KTABLE-TOSTREAM-0000000011
      <-- KTABLE-MERGE-0000000007
    Processor: KTABLE-TOSTREAM-0000000011 (stores: [])
      --> KSTREAM-SINK-0000000012
      <-- KTABLE-MAPVALUES-0000000010
    Sink: KSTREAM-SINK-0000000012 (topic: out)
      <-- KTABLE-TOSTREAM-0000000011
`,
    );
  });

  it('a table-table join with names', () => {
    describes(
      (builder) => {
        const left = builder.table('left', { ...strings, materialized: { name: 'left-store' } });
        const right = builder.table('right', { ...strings, named: 'r' });
        left
          .join(right, pair, { named: 'both', materialized: { name: 'joined', ...strings } })
          .toStream()
          .to('out', strings);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [left])
      --> KTABLE-SOURCE-0000000001
    Source: r-source (topics: [right])
      --> r
    Processor: KTABLE-SOURCE-0000000001 (stores: [left-store])
      --> both-join-this
      <-- KSTREAM-SOURCE-0000000000
    Processor: r (stores: [right-STATE-STORE-0000000002])
      --> both-join-other
      <-- r-source
    Processor: both-join-other (stores: [left-store])
      --> both
      <-- r
    Processor: both-join-this (stores: [right-STATE-STORE-0000000002])
      --> both
      <-- KTABLE-SOURCE-0000000001
    Processor: both (stores: [joined])
      --> KTABLE-TOSTREAM-0000000008
      <-- both-join-this, both-join-other
    Processor: KTABLE-TOSTREAM-0000000008 (stores: [])
      --> KSTREAM-SINK-0000000009
      <-- both
    Sink: KSTREAM-SINK-0000000009 (topic: out)
      <-- KTABLE-TOSTREAM-0000000008
`,
    );
  });

  it('a regrouped table', () => {
    describes(
      (builder) => {
        builder
          .table('customers', strings)
          .groupBy((key, value) => [value, key], strings)
          .count()
          .toStream()
          .to('out', longs);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000001 (topics: [customers])
      --> KTABLE-SOURCE-0000000002
    Processor: KTABLE-SOURCE-0000000002 (stores: [customers-STATE-STORE-0000000000])
      --> KTABLE-SELECT-0000000003
      <-- KSTREAM-SOURCE-0000000001
    Processor: KTABLE-SELECT-0000000003 (stores: [])
      --> KSTREAM-SINK-0000000005
      <-- KTABLE-SOURCE-0000000002
    Sink: KSTREAM-SINK-0000000005 (topic: KTABLE-AGGREGATE-STATE-STORE-0000000004-repartition)
      <-- KTABLE-SELECT-0000000003

  Sub-topology: 1
    Source: KSTREAM-SOURCE-0000000006 (topics: [KTABLE-AGGREGATE-STATE-STORE-0000000004-repartition])
      --> KTABLE-AGGREGATE-0000000007
    Processor: KTABLE-AGGREGATE-0000000007 (stores: [KTABLE-AGGREGATE-STATE-STORE-0000000004])
      --> KTABLE-TOSTREAM-0000000008
      <-- KSTREAM-SOURCE-0000000006
    Processor: KTABLE-TOSTREAM-0000000008 (stores: [])
      --> KSTREAM-SINK-0000000009
      <-- KTABLE-AGGREGATE-0000000007
    Sink: KSTREAM-SINK-0000000009 (topic: out)
      <-- KTABLE-TOSTREAM-0000000008
`,
    );
  });

  it('a split and a merge', () => {
    describes(
      (builder) => {
        builder
          .stream('in', strings)
          .split()
          .branch(() => true, { name: 'a' })
          .branch(() => true, { name: 'b' })
          .defaultBranch();
        const branches = builder
          .stream('in2', strings)
          .split({ named: 's-' })
          .branch(() => true, { name: 'a' })
          .defaultBranch({ name: 'rest' });
        branches['s-a'].merge(branches['s-rest']).to('out', strings);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> KSTREAM-BRANCH-0000000001
    Processor: KSTREAM-BRANCH-0000000001 (stores: [])
      --> KSTREAM-BRANCH-00000000010, KSTREAM-BRANCH-0000000001a, KSTREAM-BRANCH-0000000001b
      <-- KSTREAM-SOURCE-0000000000
    Processor: KSTREAM-BRANCH-00000000010 (stores: [])
      --> none
      <-- KSTREAM-BRANCH-0000000001
    Processor: KSTREAM-BRANCH-0000000001a (stores: [])
      --> none
      <-- KSTREAM-BRANCH-0000000001
    Processor: KSTREAM-BRANCH-0000000001b (stores: [])
      --> none
      <-- KSTREAM-BRANCH-0000000001

  Sub-topology: 1
    Source: KSTREAM-SOURCE-0000000005 (topics: [in2])
      --> s-
    Processor: s- (stores: [])
      --> s-a, s-rest
      <-- KSTREAM-SOURCE-0000000005
    Processor: s-a (stores: [])
      --> KSTREAM-MERGE-0000000009
      <-- s-
    Processor: s-rest (stores: [])
      --> KSTREAM-MERGE-0000000009
      <-- s-
    Processor: KSTREAM-MERGE-0000000009 (stores: [])
      --> KSTREAM-SINK-0000000010
      <-- s-a, s-rest
    Sink: KSTREAM-SINK-0000000010 (topic: out)
      <-- KSTREAM-MERGE-0000000009
`,
    );
  });

  it('repartition and toTable', () => {
    describes(
      (builder) => {
        builder.stream('in', strings).repartition().to('a', strings);
        builder
          .stream('in2', strings)
          .repartition({ name: 'mine', ...strings })
          .toTable();
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [in])
      --> KSTREAM-FILTER-0000000003
    Processor: KSTREAM-FILTER-0000000003 (stores: [])
      --> KSTREAM-SINK-0000000002
      <-- KSTREAM-SOURCE-0000000000
    Sink: KSTREAM-SINK-0000000002 (topic: KSTREAM-REPARTITION-0000000001-repartition)
      <-- KSTREAM-FILTER-0000000003

  Sub-topology: 1
    Source: KSTREAM-SOURCE-0000000004 (topics: [KSTREAM-REPARTITION-0000000001-repartition])
      --> KSTREAM-SINK-0000000005
    Sink: KSTREAM-SINK-0000000005 (topic: a)
      <-- KSTREAM-SOURCE-0000000004

  Sub-topology: 2
    Source: KSTREAM-SOURCE-0000000006 (topics: [in2])
      --> mine-repartition-filter
    Processor: mine-repartition-filter (stores: [])
      --> mine-repartition-sink
      <-- KSTREAM-SOURCE-0000000006
    Sink: mine-repartition-sink (topic: mine-repartition)
      <-- mine-repartition-filter

  Sub-topology: 3
    Source: mine-repartition-source (topics: [mine-repartition])
      --> KSTREAM-TOTABLE-0000000010
    Processor: KSTREAM-TOTABLE-0000000010 (stores: [])
      --> none
      <-- mine-repartition-source
`,
    );
  });

  it('an outer join of streams', () => {
    describes(
      (builder) => {
        const left = builder.stream('left', strings);
        left.outerJoin(builder.stream('right', strings), pair, windows).to('out', strings);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [left])
      --> KSTREAM-WINDOWED-0000000002
    Source: KSTREAM-SOURCE-0000000001 (topics: [right])
      --> KSTREAM-WINDOWED-0000000003
    Processor: KSTREAM-WINDOWED-0000000002 (stores: [KSTREAM-OUTERTHIS-0000000004-store])
      --> KSTREAM-OUTERTHIS-0000000004
      <-- KSTREAM-SOURCE-0000000000
    Processor: KSTREAM-WINDOWED-0000000003 (stores: [KSTREAM-OUTEROTHER-0000000005-store])
      --> KSTREAM-OUTEROTHER-0000000005
      <-- KSTREAM-SOURCE-0000000001
    Processor: KSTREAM-OUTEROTHER-0000000005 (stores: [KSTREAM-OUTERTHIS-0000000004-store, KSTREAM-OUTERSHARED-0000000004-store])
      --> KSTREAM-MERGE-0000000006
      <-- KSTREAM-WINDOWED-0000000003
    Processor: KSTREAM-OUTERTHIS-0000000004 (stores: [KSTREAM-OUTEROTHER-0000000005-store, KSTREAM-OUTERSHARED-0000000004-store])
      --> KSTREAM-MERGE-0000000006
      <-- KSTREAM-WINDOWED-0000000002
    Processor: KSTREAM-MERGE-0000000006 (stores: [])
      --> KSTREAM-SINK-0000000007
      <-- KSTREAM-OUTERTHIS-0000000004, KSTREAM-OUTEROTHER-0000000005
    Sink: KSTREAM-SINK-0000000007 (topic: out)
      <-- KSTREAM-MERGE-0000000006
`,
      false,
    );
  });

  it('a left join of streams with new keys and given names', () => {
    describes(
      (builder) => {
        const left = builder.stream('left', strings).map((key, value) => [value, key]);
        const right = builder.stream('right', strings).selectKey((_key, value) => value);
        const names = { name: 'pair', storeName: 'pairs', otherValueSerde: stringSerde, ...strings };
        left.leftJoin(right, pair, windows, names).to('out', strings);
      },
      `Topologies:
   Sub-topology: 0
    Source: KSTREAM-SOURCE-0000000000 (topics: [left])
      --> KSTREAM-MAP-0000000001
    Processor: KSTREAM-MAP-0000000001 (stores: [])
      --> pair-left-repartition-filter
      <-- KSTREAM-SOURCE-0000000000
    Processor: pair-left-repartition-filter (stores: [])
      --> pair-left-repartition-sink
      <-- KSTREAM-MAP-0000000001
    Sink: pair-left-repartition-sink (topic: pair-left-repartition)
      <-- pair-left-repartition-filter

  Sub-topology: 1
    Source: KSTREAM-SOURCE-0000000002 (topics: [right])
      --> KSTREAM-KEY-SELECT-0000000003
    Processor: KSTREAM-KEY-SELECT-0000000003 (stores: [])
      --> pair-right-repartition-filter
      <-- KSTREAM-SOURCE-0000000002
    Processor: pair-right-repartition-filter (stores: [])
      --> pair-right-repartition-sink
      <-- KSTREAM-KEY-SELECT-0000000003
    Sink: pair-right-repartition-sink (topic: pair-right-repartition)
      <-- pair-right-repartition-filter

  Sub-topology: 2
    Source: pair-left-repartition-source (topics: [pair-left-repartition])
      --> pair-this-windowed
    Source: pair-right-repartition-source (topics: [pair-right-repartition])
      --> pair-other-windowed
    Processor: pair-other-windowed (stores: [pairs-outer-other-join-store])
      --> pair-outer-other-join
      <-- pair-right-repartition-source
    Processor: pair-this-windowed (stores: [pairs-this-join-store])
      --> pair-this-join
      <-- pair-left-repartition-source
    Processor: pair-outer-other-join (stores: [pairs-left-shared-join-store, pairs-this-join-store])
      --> pair-merge
      <-- pair-other-windowed
    Processor: pair-this-join (stores: [pairs-left-shared-join-store, pairs-outer-other-join-store])
      --> pair-merge
      <-- pair-this-windowed
    Processor: pair-merge (stores: [])
      --> KSTREAM-SINK-0000000015
      <-- pair-this-join, pair-outer-other-join
    Sink: KSTREAM-SINK-0000000015 (topic: out)
      <-- pair-merge
`,
      false,
    );
  });

  it('the stores of a left join of streams are named as Kafka Streams names them', () => {
    const builder = new StreamsBuilder();
    builder.stream('left', strings).leftJoin(builder.stream('right', strings), pair, windows);
    assert.deepEqual(
      builder
        .build()
        .stores()
        .map(({ name, kind, retentionMs }) => [name, kind, retentionMs]),
      [
        ['KSTREAM-JOINTHIS-0000000004-store', 'window', 25],
        ['KSTREAM-OUTEROTHER-0000000005-store', 'window', 25],
        ['KSTREAM-OUTERSHARED-0000000004-store', 'key-value', undefined],
      ],
    );
  });
});
