/**
 * Goal: async steps keep order, bounds and promises whatever their calls do. Method: a service that answers when
 * the test says so, below the test driver and its manual clock.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { lastHeader } from '../../../src/base/record.ts';
import type { AsyncOptions, AsyncProcessor } from '../../../src/dsl/async-options.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { AsyncCall } from '../../../src/graph/async-step.ts';
import type { KeyValueStore, ProcessorContext, Record } from '../../../src/graph/processor.ts';
import type { Topology } from '../../../src/graph/topology.ts';
import { integerSerde, longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { type TestInputTopic, TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';
import { eventually } from '../../support/eventually.ts';
import { HeldService } from '../../support/held-service.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };
let driver: TopologyTestDriver | undefined;

async function open(topology: Topology): Promise<TestInputTopic<string, string>> {
  driver = new TopologyTestDriver(topology);
  await driver.open();
  return driver.createInputTopic('in', stringSerde, stringSerde);
}

function read(topic = 'out'): string[] {
  const records = driver?.createOutputTopic(topic, stringSerde, stringSerde).readAll() ?? [];
  return records.map(({ key, value }) => `${key}=${value}`);
}

/** in ▸ ask ▸ out */
function asking(service: HeldService, options: Partial<AsyncOptions<string>> = {}): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream('in', strings)
    .mapValuesAsync(service.ask, { named: 'ask', ...options })
    .to('out', { valueSerde: stringSerde });
  return builder.build();
}

function fails(code: string, text: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof StreamsError && error.code === code && text.test(error.message);
}

const until = (what: string, condition: () => boolean): Promise<unknown> => eventually(condition, { what });

describe('async steps', () => {
  afterEach(async () => {
    await driver?.close();
    driver = undefined;
  });

  it('apply results in input order, whichever call ends first', async () => {
    const service = new HeldService();
    const input = await open(asking(service));
    const piped = ['a', 'b', 'c'].map((key) => input.pipe(key, key));
    await until('three calls', () => service.open.length === 3);
    service.answer('c');
    service.answer('b');
    assert.deepEqual(read(), []);
    service.answer('a');
    await Promise.all(piped);
    assert.deepEqual(read(), ['a=A', 'b=B', 'c=C']);
  });

  it('have no more calls under way than their bound', async () => {
    const service = new HeldService();
    const input = await open(asking(service, { concurrencyMax: 3 }));
    const keys = Array.from({ length: 20 }, (_, n) => `k${n}`);
    const piped = keys.map((key) => input.pipe(key, key));
    for (const key of keys) {
      await until(`the call of ${key}`, () => service.open.includes(key));
      service.answer(key);
    }
    await Promise.all(piped);
    assert.equal(service.mostAtOnce, 3);
    assert.deepEqual(
      read(),
      keys.map((key) => `${key}=${key.toUpperCase()}`),
    );
  });

  it('make one call at a time for a key, in input order, while other keys overtake', async () => {
    const service = new HeldService();
    const input = await open(asking(service));
    const piped = [input.pipe('a', 'a1'), input.pipe('a', 'a2'), input.pipe('b', 'b1')];
    await until('two calls', () => service.open.length === 2);
    assert.deepEqual(service.open, ['a1', 'b1']);
    service.answer('b1');
    service.answer('a1');
    await until('the second call of the key', () => service.open.includes('a2'));
    service.answer('a2');
    await Promise.all(piped);
    assert.deepEqual(read(), ['a=A1', 'a=A2', 'b=B1']);
  });

  it('make calls of one key at once when told that keys do not matter', async () => {
    const service = new HeldService();
    const input = await open(asking(service, { order: 'none' }));
    const piped = [input.pipe('a', 'a1'), input.pipe('a', 'a2')];
    await until('both calls', () => service.open.length === 2);
    service.answer('a2');
    service.answer('a1');
    await Promise.all(piped);
    assert.deepEqual(read(), ['a=A1', 'a=A2']);
  });

  it('end a call at its time-out, abort its signal, and make it again under the same idempotency key', async () => {
    const service = new HeldService();
    const input = await open(asking(service, { timeoutMs: 1_000, retries: 1, backoffMs: 0 }));
    const piped = input.pipe('a', 'a');
    await until('the call', () => service.calls.length === 1);
    await driver?.clock.yield();
    driver?.clock.advance(1_000);
    await until('the second call', () => service.calls.length === 2);
    service.answer('a');
    await piped;
    assert.deepEqual(
      service.calls.map(({ idempotencyKey, attempt, signal }) => [idempotencyKey, attempt, signal.aborted]),
      [
        ['test/ask/in/0/0', 1, true],
        ['test/ask/in/0/0', 2, false],
      ],
    );
    assert.deepEqual(read(), ['a=A']);
  });

  it('try again after a pause that doubles up to its bound; the driver goes on with its clock', async () => {
    const tries: number[] = [];
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .mapValuesAsync(
        async (value) => {
          tries.push(driver?.clock.nowMs() ?? -1);
          if (tries.length < 5) throw new Error('busy');
          return value;
        },
        { named: 'ask', retries: 5, backoffMs: 100, backoffMsMax: 300 },
      )
      .to('out', { valueSerde: stringSerde });
    const input = await open(builder.build());
    await input.pipe('a', 'x');
    for (let step = 0; step < 10; step++) {
      assert.deepEqual(read(), []);
      await driver?.advanceWallClock(100);
      if (tries.length === 5) break;
    }
    assert.deepEqual(tries, [0, 100, 300, 600, 900]);
    assert.deepEqual(read(), ['a=x']);
    assert.deepEqual(driver?.tasks()[0]?.calls(), [
      { step: 'ask', attempts: 5, retries: 4, failed: 0, timedOut: 0, busyMs: 0, underWay: 0 },
    ]);
  });

  it('park a record whose retries are used up, with all its other effects taken back, and go on', async () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream('in', strings);
    stream.groupByKey().count({ materialized: { name: 'seen' } });
    stream
      .mapValuesAsync(
        async (value) => {
          if (value === 'bad') throw new Error('no such customer');
          return value;
        },
        { named: 'ask', retries: 2, backoffMs: 0 },
      )
      .to('out', { valueSerde: stringSerde });
    const input = await open(builder.build());
    await input.pipe('a', 'bad', 5);
    await input.pipe('b', 'good', 6);
    assert.deepEqual(read(), ['b=good']);
    assert.equal(await driver?.store('seen', 'a'), undefined);
    const [letter] = driver?.createOutputTopic('in.dlq', stringSerde, stringSerde).readAll() ?? [];
    assert.equal(letter?.value, 'bad');
    const header = (name: string): string => String(lastHeader(letter?.headers ?? [], name) ?? '');
    assert.equal(header('__streams.errors.exception'), 'CALL_FAILED');
    assert.match(header('__streams.errors.message'), /ask failed 3 times: no such customer/);
    assert.equal(header('__millrace.errors.node'), 'ask');
  });

  it('go on without the result where a failed call is to be skipped; other branches keep the record', async () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream('in', strings);
    stream.to('all');
    stream
      .mapValuesAsync((): Promise<string> => Promise.reject(new Error('no')), {
        named: 'ask',
        retries: 0,
        onFailure: 'skip',
      })
      .to('out', { valueSerde: stringSerde });
    const input = await open(builder.build());
    await input.pipe('a', 'x');
    assert.deepEqual([read(), read('all'), read('in.dlq')], [[], ['a=x'], []]);
  });

  it('stop the task where a failed call is to stop it', async () => {
    const builder = new StreamsBuilder();
    builder.stream('in', strings).mapValuesAsync(() => Promise.reject(new Error('no')), {
      named: 'ask',
      retries: 0,
      onFailure: 'stop',
    });
    const input = await open(builder.build());
    await assert.rejects(input.pipe('a', 'x'), fails('CALL_FAILED', /ask failed once: no/));
  });

  it('do not try an error again that says it is poison, and stop for one that is about the instance', async () => {
    for (const [code, outcome] of [
      ['PROCESSING_FAILED', 'parked'],
      ['SETTING_INVALID', 'stopped'],
    ] as const) {
      let tries = 0;
      const builder = new StreamsBuilder();
      builder.stream('in', strings).mapValuesAsync(
        () => {
          tries++;
          throw new StreamsError(code, 'no');
        },
        { named: 'ask', retries: 5 },
      );
      const input = await open(builder.build());
      if (outcome === 'parked') await input.pipe('a', 'x');
      else await assert.rejects(input.pipe('a', 'x'), fails(code, /no/));
      assert.equal(tries, 1);
      assert.equal(read('in.dlq').length, outcome === 'parked' ? 1 : 0);
      await driver?.close();
    }
    driver = undefined;
  });

  it('work behind new keys, filters, branches and each other, and number the calls of one record', async () => {
    const keys: string[] = [];
    const ask = async (value: string, _key: string, call: AsyncCall): Promise<string> => {
      keys.push(call.idempotencyKey);
      return `${value}!`;
    };
    const builder = new StreamsBuilder();
    const { words } = builder
      .stream('in', strings)
      .filterNot((_key, value) => value === '')
      .flatMap<string, string>((key, value) =>
        value.split(' ').map((word) => [`${key}/${word}`, word] as const),
      )
      .split()
      .branch((_key, word) => word !== 'stop', { name: 'words' })
      .noDefaultBranch();
    words
      .mapValuesAsync(ask, { named: 'first', keySerde: stringSerde })
      .filter((_key, word) => word !== 'drop!')
      .mapValuesAsync(ask, { named: 'second', keySerde: stringSerde })
      .to('out', strings);
    const input = await open(builder.build());
    await input.pipe('a', 'x stop drop y');
    await input.pipe('a', '');
    await input.pipe('b', 'z');
    assert.deepEqual(read(), ['a/x=x!!', 'a/y=y!!', 'b/z=z!!']);
    assert.deepEqual(keys.sort(), [
      'test/first/in/0/0',
      'test/first/in/0/0/1',
      'test/first/in/0/0/2',
      'test/first/in/0/2',
      'test/second/in/0/0',
      'test/second/in/0/0/1',
      'test/second/in/0/2',
    ]);
  });

  it('meet the same state as if their calls had taken no time', async () => {
    const service = new HeldService();
    const builder = new StreamsBuilder();
    const asked = builder.stream('in', strings).mapValuesAsync(service.ask, { named: 'ask' });
    asked
      .groupByKey({ valueSerde: stringSerde })
      .reduce((all, value) => all + value, { materialized: { name: 'all', valueSerde: stringSerde } })
      .toStream()
      .to('out', strings);
    const input = await open(builder.build());
    const piped = ['a1', 'b1', 'a2'].map((value) => input.pipe(value.slice(0, 1), value));
    await until('two calls', () => service.open.length === 2);
    service.answer('b1');
    service.answer('a1');
    await until('the last call', () => service.open.includes('a2'));
    service.answer('a2');
    await Promise.all(piped);
    assert.deepEqual(read(), ['a=A1', 'b=B1', 'a=A1A2']);
  });

  it('let processAsync give none, one or many records', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .processAsync<string, string>(
        async (record) => {
          if (record.value === 'none') return;
          if (record.value === 'one') return record;
          return [record, { ...record, value: 'more' }];
        },
        { named: 'ask', keepsKey: true },
      )
      .to('out', { valueSerde: stringSerde });
    const input = await open(builder.build());
    for (const value of ['none', 'one', 'many']) await input.pipe('a', value);
    assert.deepEqual(read(), ['a=one', 'a=many', 'a=more']);
  });

  it('let a processor call without state and apply with it', async () => {
    class Price implements AsyncProcessor<string, string, number, string, number> {
      #context!: ProcessorContext<string, number>;
      #sums!: KeyValueStore<string, number>;

      init(context: ProcessorContext<string, number>): void {
        this.#context = context;
        this.#sums = context.getStateStore('sums');
      }

      async call(record: Record<string, string>): Promise<number> {
        return record.value.length;
      }

      process(record: Record<string, string>, price: number): void {
        const sum = (this.#sums.get(record.key) ?? 0) + price;
        this.#sums.put(record.key, sum);
        this.#context.forward({ ...record, value: sum });
      }
    }
    const builder = new StreamsBuilder();
    builder.addStateStore({
      name: 'sums',
      kind: 'key-value',
      keySerde: stringSerde,
      valueSerde: longSerde,
      changelog: true,
    });
    builder
      .stream('in', strings)
      .processAsync({ supplier: () => new Price() }, { named: 'price', stores: ['sums'], keepsKey: true })
      .to('out', { valueSerde: longSerde });
    const input = await open(builder.build());
    for (const value of ['xx', 'yyy']) await input.pipe('a', value);
    assert.equal(await driver?.store('sums', 'a'), 5);
  });

  it('leave a record alone that a function above them cannot take: it is parked without a call', async () => {
    let calls = 0;
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .mapValues((value) => {
        if (value === 'bad') throw new Error('no');
        return value;
      })
      .mapValuesAsync(async (value) => `${value}${++calls}`, { named: 'ask' })
      .to('out', { valueSerde: stringSerde });
    const input = await open(builder.build());
    await input.pipe('a', 'bad');
    await input.pipe('a', 'good');
    assert.deepEqual([read('in.dlq'), read(), calls], [['a=bad'], ['a=good1'], 1]);
  });

  it('follow a timestamp extractor that looks at the stream time', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', {
        ...strings,
        timestampExtractor: ({ value, timestamp }, streamTimeMs) =>
          value === 'late' ? streamTimeMs : timestamp,
      })
      .mapValuesAsync(async (value) => value, { named: 'ask' })
      .to('out', { valueSerde: stringSerde });
    const input = await open(builder.build());
    await Promise.all([input.pipe('a', 'late', 1), input.pipe('a', 'first', 7), input.pipe('b', 'late', 1)]);
    const out = driver?.createOutputTopic('out', stringSerde, stringSerde).readAll() ?? [];
    assert.deepEqual(
      out.map(({ key, value, timestamp }) => [key, value, timestamp]),
      [
        ['a', 'first', 7],
        ['b', 'late', 7],
      ],
    );
  });

  it('are refused where their calls cannot be known from the record alone', () => {
    const state = (): void => {
      const counts = new StreamsBuilder().stream('in', strings).groupByKey().count().toStream();
      counts.mapValuesAsync(async (value) => value, { named: 'ask' });
    };
    assert.throws(state, fails('TOPOLOGY_INVALID', /ask must be known .* has state .*repartition\(\)/));
    const handWritten = (): void => {
      const stream = new StreamsBuilder().stream('in', strings);
      const processed = stream.process<string, string>(() => ({ process: () => {} }), { keepsKey: true });
      processed.mapValuesAsync(async (value) => value, { named: 'ask' });
    };
    assert.throws(handWritten, fails('TOPOLOGY_INVALID', /hand-written/));
    const later = (): void => {
      const builder = new StreamsBuilder();
      const table = builder.table('in', { ...strings, named: 'table' });
      table.toStream().mapValuesAsync(async (value) => value, { named: 'ask' });
      // Only now the table needs a store.
      builder.stream('other', strings).join(table, (left) => left);
    };
    assert.throws(later, fails('TOPOLOGY_INVALID', /ask must be known .* is given state/));
  });

  it('stand at the head of a sub-topology of their own behind repartition()', async () => {
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .groupByKey()
      .count()
      .toStream()
      .repartition({ name: 'counted', valueSerde: longSerde })
      .mapValuesAsync(async (count) => `${count} seen`, { named: 'ask' })
      .to('out', { valueSerde: stringSerde });
    const input = await open(builder.build());
    await input.pipe('a', 'x');
    await input.pipe('a', 'y');
    assert.deepEqual(read(), ['a=1 seen', 'a=2 seen']);
  });

  it('are refused without a name, without a serde for their keys, and with bounds that are none', () => {
    const stream = () => new StreamsBuilder().stream('in', strings);
    const ask = async (value: string): Promise<string> => value;
    // @ts-expect-error the name is missing
    assert.throws(() => stream().mapValuesAsync(ask, {}), fails('TOPOLOGY_INVALID', /needs a name/));
    const unkeyed = () => stream().selectKey((_key, value) => value.length);
    assert.throws(
      () => unkeyed().mapValuesAsync(ask, { named: 'ask' }),
      fails('TOPOLOGY_INVALID', /ask has no key serde.*order: 'none'/),
    );
    unkeyed().mapValuesAsync(ask, { named: 'ask', order: 'none' });
    unkeyed().mapValuesAsync(ask, { named: 'ask', keySerde: integerSerde });
    // @ts-expect-error a serde of other keys
    unkeyed().mapValuesAsync(ask, { named: 'ask', keySerde: stringSerde });
    assert.throws(
      () => stream().mapValuesAsync(ask, { named: 'ask', concurrencyMax: 0 }),
      fails('TOPOLOGY_INVALID', /concurrencyMax of ask must be a whole number from 1 on, it is 0/),
    );
  });
});
