/**
 * F14: the wall clock jumps two hours ahead or back, or differs between two instances. What is measured goes on
 * (commits, polls, waits are monotonic); a wall-clock timer fires once, when the wall says so, and never before
 * the inputs have been read up to then (T1); a record far ahead does not move stream time (T4), and nothing is lost.
 * Method: instances with a clock whose wall the test moves, on the embedded broker.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp, type StreamsSettings } from '../../src/app/streams-app.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import type { Processor, ProcessorContext, Record, Timer } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { stringSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { withPolls } from '../support/changed-broker.ts';
import { eventually } from '../support/eventually.ts';
import { LedgerBench } from '../support/ledger-bench.ts';
import { LogRecorder } from '../support/log-recorder.ts';
import { ShiftedClock } from '../support/shifted-clock.ts';

const hourMs = 3_600_000;
const strings = { keySerde: stringSerde, valueSerde: stringSerde };

/** `place` schedules a cancellation an hour ahead, `pay` stops it: an order that is not paid in time. */
class Deadline implements Processor<string, string, string, string> {
  #context!: ProcessorContext<string, string>;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
    context.schedule(20, 'wall-clock-time', (nowMs) =>
      context.forward({ key: 'tick', value: String(nowMs), timestamp: 1, headers: [] }, 'ticks'),
    );
  }

  process({ key, value }: Record<string, string>): void {
    const { timers } = this.#context;
    const dueMs = this.#context.currentSystemTimeMs() + hourMs;
    if (value === 'place') timers.schedule({ key, name: 'deadline', dueMs, clock: 'wall' });
    else timers.cancel(key, 'deadline');
  }

  onTimer({ key }: Timer<string>): void {
    this.#context.forward({ key, value: 'cancelled', timestamp: 1, headers: [] }, 'out');
  }
}

describe('F14: a wall clock that jumps', () => {
  let broker: Broker;
  let clock: ShiftedClock;
  let app: StreamsApp | undefined;

  beforeEach(async () => {
    broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics(['orders', 'ends', 'ticks'].map((name) => ({ name, partitions: 1 })));
    clock = new ShiftedClock();
  });
  afterEach(async () => {
    await app?.stop();
    app = undefined;
    await broker.close();
  });

  async function start(on: Broker = broker, settings: Partial<StreamsSettings> = {}): Promise<StreamsApp> {
    app = new StreamsApp({
      topology: new Topology()
        .addSource({ name: 'in', topics: ['orders'], ...strings })
        .addProcessor({ name: 'deadline', supplier: () => new Deadline(), parents: ['in'] })
        .addSink({ name: 'out', topic: 'ends', ...strings, parents: ['deadline'] })
        .addSink({ name: 'ticks', topic: 'ticks', ...strings, parents: ['deadline'] }),
      settings: { applicationId: 'app', commitIntervalMs: 5, ...settings },
      broker: on,
      openTaskBackend: new MemoryDisk().open,
      destroyTaskBackend: async () => {},
      clock,
    });
    await app.start();
    await eventually(() => app?.ready, { what: 'the instance to be ready' });
    return app;
  }

  async function send(key: string, value: string): Promise<void> {
    const producer = await broker.openProducer({ clientId: 'test' });
    await producer.send([
      {
        topic: 'orders',
        partition: 0,
        key: Buffer.from(key),
        value: Buffer.from(value),
        timestamp: 1,
        headers: [],
      },
    ]);
    await producer.flush();
    await producer.close();
  }

  async function read(topic: string): Promise<string[]> {
    const input = { topic, partition: 0 };
    const [end = 0] = await broker.admin.endOffsets([input], 'read_committed');
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    await consumer.assign([{ ...input, offset: 0 }]);
    const keys: string[] = [];
    while (consumer.position(input) < end) {
      for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 10 }))
        for (let index = 0; index < batch.count; index++) keys.push(String(batch.key(index)));
    }
    await consumer.close();
    return keys;
  }

  const timers = () => app?.status().tasks[0]?.timers ?? 0;

  /** Two more commits, so that whatever was to happen has been committed. */
  async function settled(): Promise<void> {
    const before = app?.status().commits ?? 0;
    await eventually(() => (app?.status().commits ?? 0) >= before + 2, { what: 'commits to go on' });
  }

  it('does not cancel what is paid for already, when it jumps ahead while the payment waits in the topic', async () => {
    let blocked = false;
    let polls = 0;
    await start(
      withPolls(broker, async (consumer, how) => {
        polls++;
        if (!blocked) return consumer.poll(how);
        await wallClock.sleep(5);
        return [];
      }),
    );
    await send('o1', 'place');
    await send('o2', 'place');
    await eventually(() => timers() === 2, { what: 'two deadlines' });
    blocked = true;
    let before = polls;
    await eventually(() => polls > before + 1, { what: 'the poll under way to end' });
    await send('o1', 'pay');
    clock.shiftMs = 2 * hourMs;
    before = polls;
    await eventually(() => polls > before + 20, { what: 'the instance to look in vain' });
    assert.deepEqual(await read('ends'), [], 'nothing fires before the inputs are read');
    assert.equal(timers(), 2);
    blocked = false;
    await eventually(async () => (await read('ends')).length > 0, { what: 'the deadline of o2' });
    await settled();
    assert.deepEqual(await read('ends'), ['o2'], 'o1 was paid in time');
  });

  it('fires a timer once, however the wall goes back and ahead afterwards', async () => {
    await start();
    await send('o1', 'place');
    await eventually(() => timers() === 1, { what: 'a deadline' });
    clock.shiftMs = -2 * hourMs;
    await settled();
    assert.deepEqual(await read('ends'), [], 'an hour has not passed');
    for (const shiftMs of [2 * hourMs, -2 * hourMs, 2 * hourMs, 0]) {
      clock.shiftMs = shiftMs;
      await settled();
      await eventually(async () => (await read('ends')).length === 1, { what: 'the deadline' });
    }
    assert.deepEqual(await read('ends'), ['o1']);
    assert.ok(clock.leastSleepMs >= 0, `it waited ${clock.leastSleepMs} ms`);
    assert.ok(clock.mostSleepMs <= 60_000, `it waited ${clock.mostSleepMs} ms`);
  });

  it('goes on calling wall-clock punctuators after the wall went back', async () => {
    await start();
    for (const shiftMs of [0, 2 * hourMs, 0, -2 * hourMs]) {
      clock.shiftMs = shiftMs;
      const before = (await read('ticks')).length;
      await eventually(async () => (await read('ticks')).length >= before + 3, {
        what: `ticks with the wall at ${shiftMs} ms`,
      });
    }
  });
});

describe('F14: instances whose walls differ', () => {
  let bench: LedgerBench;
  afterEach(() => bench.close());

  it('share and hand over tasks as if they did not', async () => {
    bench = await LedgerBench.open({ seed: 14 });
    const logs = [new LogRecorder(), new LogRecorder()] as const;
    const clocks = [new ShiftedClock(2 * hourMs), new ShiftedClock(-2 * hourMs)] as const;
    const disks = [new MemoryDisk(), new MemoryDisk()] as const;
    const start = (index: 0 | 1) =>
      bench.start({
        open: disks[index].open,
        clock: clocks[index],
        telemetry: logs[index].telemetry,
        settings: { transactionalId: `ledger-${index}`, sessionTimeoutMs: 6_000 },
      });
    let first = await start(0);
    const second = await start(1);
    await eventually(() => first.status().tasks.length === 2 && second.status().tasks.length === 2, {
      what: 'both to own tasks',
    });
    for (let turn = 0; turn < 3; turn++) {
      await bench.produce(200);
      await first.stop();
      await bench.produce(200);
      first = await start(0);
      await eventually(() => first.status().tasks.length === 2 && first.ready, { what: 'a share again' });
      // The clocks cross: what one has written is in the future of the other, and then in its past.
      clocks[0].shiftMs *= -1;
      clocks[1].shiftMs *= -1;
    }
    await bench.finish();
    await bench.assertSound();
    assert.deepEqual([...logs[0].rebuilds, ...logs[1].rebuilds], [], 'no skew of hours wipes a store');
    for (const { leastSleepMs } of clocks) assert.ok(leastSleepMs >= 0);
  });

  it('keep stream time from records that are too far ahead of the wall, and lose none of them', async () => {
    bench = await LedgerBench.open({ seed: 15, partitions: 1 });
    const clock = new ShiftedClock();
    const disk = new MemoryDisk();
    const app = await bench.start({ open: disk.open, clock });
    await bench.produce(300);
    await bench.settle();
    const streamTimes = () => app.status().tasks.map(({ streamTimeMs }) => streamTimeMs);
    const before = streamTimes();
    const late = (await bench.read(bench.names.reminders)).length;
    // One producer with a bad clock: without the guard every reminder would fire at once.
    const ahead = bench.entries.closing(0);
    await bench.send([{ ...ahead, timestamp: clock.nowMs() + 2 * hourMs }], 0);
    await bench.settle();
    assert.deepEqual(streamTimes(), before, 'stream time did not move');
    assert.equal((await bench.read(bench.names.reminders)).length, late, 'no reminder was early');
    // The instance's own wall goes back past everything: stream time waits, records do not.
    clock.shiftMs = 1_500_000_000_000 - 2 * hourMs - wallClock.nowMs();
    await bench.produce(300);
    await bench.settle();
    assert.deepEqual(streamTimes(), before);
    clock.shiftMs = 0;
    await bench.finish();
    await bench.assertQueries(app);
    await app.stop();
    await bench.assertSound(disk.open);
  });
});
