/** The rules of reads (docs/spec/rules.md, Q), each in a test that begins with its id. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { mapKey } from '../../src/base/bytes.ts';
import { StreamsBuilder } from '../../src/dsl/streams-builder.ts';
import type {
  KeyValueStore,
  Prefetch,
  Processor,
  ProcessorContext,
  Record,
} from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { longSerde, stringSerde } from '../../src/serde/serde.ts';
import { openMemoryBackend } from '../../src/store/memory-backend.ts';
import { TaskState } from '../../src/store/task-state.ts';
import { TopologyTestDriver } from '../../src/testing/topology-test-driver.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };

/** Reads whatever its value names, and declares what `declares` says. */
class Reader implements Processor<string, string, string, number> {
  readonly #declares: ((record: Record<string, string>) => readonly Prefetch[]) | undefined;
  #context!: ProcessorContext<string, number>;
  #store!: KeyValueStore<string, number>;
  prefetch?: (record: Record<string, string>) => readonly Prefetch[];

  constructor(declares?: (record: Record<string, string>) => readonly Prefetch[]) {
    this.#declares = declares;
    if (this.#declares !== undefined) this.prefetch = this.#declares;
  }

  init(context: ProcessorContext<string, number>): void {
    this.#context = context;
    this.#store = context.getStateStore('sums');
  }

  process(record: Record<string, string>): void {
    const [from = '', to] = record.value.split('..');
    const found =
      to === undefined
        ? (this.#store.get(from) ?? 0)
        : [...this.#store.range(from, to)].reduce((sum, [, value]) => sum + value, 0);
    this.#store.put(record.key, found + 1);
    this.#context.forward({ ...record, value: found });
  }
}

class Upper implements Processor<string, string, string, string> {
  #context!: ProcessorContext<string, string>;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
  }

  process(record: Record<string, string>): void {
    this.#context.forward({ ...record, key: record.key.toUpperCase() });
  }
}

function reading(reader: () => Reader, behind: 'the source' | 'another processor'): Topology {
  const topology = new Topology()
    .addSource({ name: 'in', topics: ['words'], ...strings })
    .addStateStore({
      name: 'sums',
      kind: 'key-value',
      keySerde: stringSerde,
      valueSerde: longSerde,
      changelog: true,
    })
    .addProcessor({ name: 'upper', supplier: () => new Upper(), parents: ['in'] })
    .addProcessor({
      name: 'read',
      supplier: reader,
      parents: [behind === 'the source' ? 'in' : 'upper'],
      stores: ['sums'],
    });
  return topology.addSink({
    name: 'out',
    topic: 'totals',
    keySerde: stringSerde,
    valueSerde: longSerde,
    parents: ['read'],
  });
}

async function run(
  topology: Topology,
  records: readonly (readonly [string, string])[],
): Promise<{ readonly found: (number | null)[]; readonly slowReads: number }> {
  const driver = new TopologyTestDriver(topology);
  await driver.open();
  try {
    const words = driver.createInputTopic('words', stringSerde, stringSerde);
    for (const [key, value] of records) await words.pipe(key, value, 1);
    const totals = driver.createOutputTopic('totals', stringSerde, longSerde).readAll();
    return {
      found: totals.map(({ value }) => value),
      slowReads: driver.tasks().reduce((sum, task) => sum + task.state.slowReads, 0),
    };
  } finally {
    await driver.close();
  }
}

describe('rules of reads', () => {
  it('Q1 keys and ranges are declared and loaded ahead, by the DSL’s own operators too', async () => {
    const declares = ({ value }: Record<string, string>): readonly Prefetch[] => {
      const [from, to] = value.split('..');
      return [to === undefined ? { store: 'sums', key: from } : { store: 'sums', from, to }];
    };
    const hand = await run(
      reading(() => new Reader(declares), 'the source'),
      [
        ['a', 'a'],
        ['b', 'a'],
        ['c', 'a..b'],
      ],
    );
    assert.deepEqual(hand, { found: [0, 1, 3], slowReads: 0 });
    const builder = new StreamsBuilder();
    const left = builder.stream('words', strings);
    left
      .join(builder.stream('others', strings), (a, b) => `${a}${b}`, {
        beforeMs: 10,
        afterMs: 10,
        graceMs: 0,
      })
      .to('out', strings);
    left.groupByKey().count({ materialized: { name: 'counts' } });
    const driver = new TopologyTestDriver(builder.build());
    await driver.open();
    for (let at = 0; at < 20; at++) {
      const topic = at % 2 === 0 ? 'words' : 'others';
      await driver.createInputTopic(topic, stringSerde, stringSerde).pipe('k', `${at}`, at);
    }
    assert.ok(driver.createOutputTopic('out', stringSerde, stringSerde).readAll().length > 10);
    assert.deepEqual(
      driver.tasks().map((task) => task.state.slowReads),
      [0],
    );
    await driver.close();
  });

  it('Q2 an iterator merges open, sealed and disk', async () => {
    const state = new TaskState(await openMemoryBackend(), ['s'], 10);
    const generations = state.generations('s');
    const set = (key: string, value: string | null): void =>
      generations.write(mapKey(Buffer.from(key)), value === null ? null : Buffer.from(value), undefined);
    for (const key of ['a', 'b', 'c']) set(key, 'disk');
    state.seal();
    await state.storeSealed(new Map());
    set('b', 'sealed');
    set('d', 'sealed');
    state.seal();
    set('a', null);
    set('d', 'open');
    set('e', 'open');
    await state.load([{ store: 's', from: Buffer.from('a'), to: Buffer.from('z') }]);
    const found = generations.readRange(mapKey(Buffer.from('a')), mapKey(Buffer.from('z')));
    assert.deepEqual(
      found?.map(([key, { bytes }]) => `${key}=${bytes}`),
      ['b=sealed', 'c=disk', 'd=open', 'e=open'],
    );
    await state.close();
  });

  it('Q3 a miss behind another processor takes the slow path, is counted, and has its effect once', async () => {
    const { found, slowReads } = await run(
      reading(() => new Reader(), 'another processor'),
      [
        ['a', 'nothing'],
        ['b', 'A'],
        ['c', 'B'],
      ],
    );
    assert.deepEqual(found, [0, 1, 2]);
    assert.ok(slowReads >= 1, 'the slow path was taken');
  });

  it('Q4 STATE_NOT_LOADED is for a hand-written processor that declares its reads and reads others', async () => {
    const undeclared = reading(() => new Reader(({ key }) => [{ store: 'sums', key }]), 'the source');
    await assert.rejects(run(undeclared, [['a', 'other']]), { code: 'STATE_NOT_LOADED' });
  });
});
