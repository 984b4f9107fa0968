/** The rules of time (docs/spec/rules.md, T), each in a test that begins with its id. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { StreamsApp } from '../../src/app/streams-app.ts';
import type { Clock } from '../../src/base/clock-port.ts';
import { StreamsError } from '../../src/base/errors.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import type { Processor, ProcessorContext, Record, Timer, TimerClock } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { longSerde, stringSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { withPolls } from '../support/changed-broker.ts';
import { CommitBench, type CommitBenchOptions } from '../support/commit-bench.ts';
import { eventually } from '../support/eventually.ts';

/**
 * `wall:500` sets a timer of the key at 500; `pay` cancels it; one that fires forwards its due time. What ends in
 * `!` throws when it is done.
 */
class Waits implements Processor<string, string, string, number> {
  #context!: ProcessorContext<string, number>;

  init(context: ProcessorContext<string, number>): void {
    this.#context = context;
  }

  process({ key, value }: Record<string, string>): void {
    const [clock, at] = value.replace('!', '').split(':');
    if (clock === 'pay') this.#context.timers.cancel(key, 'wait');
    else if (at !== undefined)
      this.#context.timers.schedule({ key, name: 'wait', dueMs: Number(at), clock: clock as TimerClock });
    if (value.endsWith('!')) throw new Error('this record cannot be processed');
  }

  onTimer({ key, dueMs }: Timer<string>, context: ProcessorContext<string, number>): void {
    context.forward({ key, value: dueMs, timestamp: Math.max(1, dueMs), headers: [] });
  }
}

function waiting(): Topology {
  const strings = { keySerde: stringSerde, valueSerde: stringSerde };
  return new Topology()
    .addSource({ name: 'in', topics: ['words'], ...strings })
    .addProcessor({ name: 'wait', supplier: () => new Waits(), parents: ['in'] })
    .addSink({
      name: 'out',
      topic: 'totals',
      keySerde: stringSerde,
      valueSerde: longSerde,
      parents: ['wait'],
    });
}

describe('rules of time', () => {
  let closing: { close(): Promise<void> } | undefined;
  const open = async (options: CommitBenchOptions = {}): Promise<CommitBench> => {
    const bench = await CommitBench.open({ topology: waiting(), ...options });
    closing = bench;
    return bench;
  };
  /** Writes, reads and processes one record. */
  const take = async (bench: CommitBench, key: string, value: string): Promise<void> => {
    await bench.produce([key], 0, value);
    await bench.poll();
    await bench.task.processRound(10);
  };
  afterEach(async () => {
    await closing?.close();
    closing = undefined;
  });

  it('T1 a wall-clock timer fires only after the inputs are read up to ends fetched when it was due', async () => {
    const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    const apps: StreamsApp[] = [];
    closing = {
      close: async () => {
        for (const app of apps) await app.stop();
        await broker.close();
      },
    };
    await broker.admin.createTopics([
      { name: 'words', partitions: 1 },
      { name: 'totals', partitions: 1 },
    ]);
    const disk = new MemoryDisk();
    let skewMs = 0;
    const clock: Clock = {
      nowMs: () => wallClock.nowMs() + skewMs,
      monotonicMs: () => wallClock.monotonicMs(),
      sleep: (delayMs, signal) => wallClock.sleep(delayMs, signal),
      yield: () => wallClock.yield(),
    };
    const start = async (on: Broker): Promise<StreamsApp> => {
      const app = new StreamsApp({
        topology: waiting(),
        settings: { applicationId: 'app', commitIntervalMs: 5 },
        broker: on,
        openTaskBackend: disk.open,
        destroyTaskBackend: async (taskId) => disk.remove(taskId),
        clock,
      });
      apps.push(app);
      await app.start();
      return app;
    };
    const write = async (key: string, value: string): Promise<void> => {
      const producer = await broker.openProducer({ clientId: 'shop' });
      await producer.send([
        {
          topic: 'words',
          partition: 0,
          key: Buffer.from(key),
          value: Buffer.from(value),
          timestamp: 1_000,
          headers: [],
        },
      ]);
      await producer.flush();
      await producer.close();
    };
    const dueMs = clock.nowMs() + 3_600_000;
    await write('paid', `wall:${dueMs}`);
    await write('unpaid', `wall:${dueMs}`);
    const first = await start(broker);
    await eventually(() => first.status().tasks[0]?.timers === 2, { what: 'both to wait' });
    await first.stop();
    // The instance is away while the payment comes and the time runs out.
    await write('paid', 'pay');
    skewMs = 7_200_000;
    assert.ok(clock.nowMs() > dueMs, 'the timers are due');
    let emptyPolls = 0;
    const slow = withPolls(broker, async (consumer, how) => (emptyPolls++ < 20 ? [] : consumer.poll(how)));
    const second = await start(slow);
    await eventually(() => second.status().ready && second.status().tasks[0]?.timers === 0, {
      what: 'no timer to be left',
    });
    assert.ok(emptyPolls > 20, 'the payment was read long after the timers were due');
    const totals = { topic: 'totals', partition: 0 };
    await eventually(async () => (await broker.admin.endOffsets([totals], 'read_committed'))[0] === 2, {
      what: 'one output and its marker',
    });
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    await consumer.assign([{ ...totals, offset: 0 }]);
    const [batch] = await consumer.poll({ recordsMax: 10, waitMs: 0 });
    assert.equal(batch?.count, 1);
    assert.equal(batch?.key(0)?.toString(), 'unpaid');
    await consumer.close();
  });

  it('T2 clocks are committed with the state and found again on an empty disk', async () => {
    const bench = await open();
    await take(bench, 'a', 'x');
    await take(bench, 'a', 'x');
    const { streamTimeMs } = bench.task;
    assert.ok(streamTimeMs > 0);
    await bench.commit();
    await take(bench, 'a', 'x');
    assert.ok(bench.task.streamTimeMs > streamTimeMs);
    bench.disk.kill();
    bench.disk.remove('');
    await bench.startTasks();
    assert.equal(bench.task.streamTimeMs, streamTimeMs, 'what was not committed is not remembered');
  });

  it('T3 a timer that is set, fired or cancelled is committed, aborted and restored with the state', async () => {
    let fails = false;
    const bench = await open({
      change: (producer) => ({
        commit: async () => {
          if (fails) throw new StreamsError('TRANSACTION_ABORT_REQUIRED', 'injected');
          await producer.commit();
        },
      }),
    });
    const failAndRestore = async (): Promise<void> => {
      fails = true;
      await assert.rejects(bench.commit());
      fails = false;
      await bench.cycle.open();
      await bench.startTasks();
    };
    await take(bench, 'a', 'wall:500');
    await failAndRestore();
    assert.equal(bench.task.timerCount, 0, 'set: taken back');
    await bench.feed([]);
    assert.equal(bench.task.timerCount, 1, 'and set again');
    await bench.commit();
    bench.disk.kill();
    bench.disk.remove('');
    await bench.startTasks();
    assert.equal(bench.task.timerCount, 1, 'found on an empty disk');
    assert.equal(await bench.task.fireWallTimers(500), 1);
    await failAndRestore();
    assert.equal(bench.task.timerCount, 1, 'fired: taken back');
    assert.deepEqual(await bench.outputs(), []);
    await take(bench, 'a', 'pay');
    assert.equal(bench.task.timerCount, 0);
    await failAndRestore();
    assert.equal(bench.task.timerCount, 1, 'cancelled: taken back');
    assert.equal(await bench.task.fireWallTimers(500), 1);
    await bench.commit();
    await bench.startTasks();
    assert.equal(bench.task.timerCount, 0);
    assert.deepEqual(await bench.outputs(), ['a=500']);
  });

  it('G13 a record that fails takes back the timers that it set, moved and cancelled', async () => {
    const bench = await open();
    await take(bench, 'moved', 'wall:100');
    await take(bench, 'cancelled', 'wall:200');
    for (const [key, value] of [
      ['set', 'wall:50!'],
      ['moved', 'wall:900!'],
      ['cancelled', 'pay!'],
    ] as const)
      await take(bench, key, value);
    assert.equal(bench.task.counters.deadLettered, 3, 'the fault really happened');
    assert.equal(bench.task.timerCount, 2);
    // In this life of the task: its index in memory has to go back too.
    assert.equal(await bench.task.fireWallTimers(500), 2);
    await bench.commit();
    assert.deepEqual(await bench.outputs(), ['moved=100', 'cancelled=200']);
  });

  it('T4 a record too far ahead of the clock is processed and does not move stream time', async () => {
    const bench = await open({ timestampAheadMsMax: 1_000 });
    const send = async (timestamp: number): Promise<void> => {
      const producer = await bench.broker.openProducer({ clientId: 'test' });
      await producer.send([
        {
          topic: 'words',
          partition: 0,
          key: Buffer.from('a'),
          value: Buffer.from('x'),
          timestamp,
          headers: [],
        },
      ]);
      await producer.flush();
      await producer.close();
      await bench.poll();
      await bench.task.processRound(10);
    };
    const nowMs = bench.clock.nowMs();
    await take(bench, 'a', 'stream:2000000');
    await send(nowMs + 1_000);
    assert.equal(bench.task.streamTimeMs, nowMs + 1_000);
    await send(nowMs + 5_000_000);
    assert.equal(bench.task.streamTimeMs, nowMs + 1_000);
    assert.equal(bench.task.counters.processed, 3);
    assert.equal(await bench.task.fireEventTimers(), 0, 'one bad clock would fire every timer');
  });

  it('T5 each timer waits for the clock it declares, and for no other', async () => {
    const bench = await open();
    await take(bench, 'wall', 'wall:500');
    await take(bench, 'stream', 'stream:500');
    await take(bench, 'watermark', 'watermark:500');
    assert.equal(bench.task.timerCount, 3);
    assert.equal(await bench.task.fireEventTimers(), 1, 'stream time is past 500');
    assert.equal(await bench.task.fireWallTimers(1_000), 1);
    assert.equal(bench.task.timerCount, 1, 'no watermark has come');
    await bench.commit();
    assert.deepEqual(await bench.outputs(), ['stream=500', 'wall=500']);
  });

  it('T8 the index gives what is due in the order of due times, without what was cancelled, after a restore too', async () => {
    const bench = await open();
    for (const [key, value] of [
      ['c', 'wall:300'],
      ['a', 'wall:100'],
      ['gone', 'wall:150'],
      ['b', 'wall:400'],
      ['b', 'wall:200'],
      ['gone', 'pay'],
    ] as const)
      await take(bench, key, value);
    await bench.commit();
    await bench.startTasks();
    assert.equal(bench.task.hasDueWallTimers(99), false);
    assert.equal(await bench.task.fireWallTimers(250), 2);
    assert.equal(await bench.task.fireWallTimers(10_000), 1);
    await bench.commit();
    assert.deepEqual(await bench.outputs(), ['a=100', 'b=200', 'c=300']);
  });
});
