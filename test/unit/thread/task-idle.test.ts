/**
 * Goal: records of several inputs meet in the order of their times, as far as `maxTaskIdleMs` promises it. Method: an
 * instance on the embedded broker whose polls bring a record at a time, so that what comes first is chance.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp } from '../../../src/app/streams-app.ts';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker, Consumer, PartitionOffset, RecordBatch } from '../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { InputPatience } from '../../../src/thread/input-patience.ts';
import { withPolls } from '../../support/changed-broker.ts';
import { eventually } from '../../support/eventually.ts';

const early = { topic: 'early', partition: 0 };
const partitions = 4;
const allPartitions = [0, 1, 2, 3];

describe('the patience of a task with an input of which it has no record', () => {
  const cases = [
    { maxTaskIdleMs: -1, notAtEnd: true, atEnd: true, later: true },
    { maxTaskIdleMs: 0, notAtEnd: false, atEnd: true, later: true },
    { maxTaskIdleMs: 50, notAtEnd: false, atEnd: false, later: true },
  ];
  for (const { maxTaskIdleMs, ...expected } of cases) {
    it(`is as max.task.idle.ms = ${maxTaskIdleMs} says`, () => {
      const clock = new ManualClock(0);
      const patience = new InputPatience(maxTaskIdleMs, clock);
      const notAtEnd = patience.mayPass(early, () => false);
      const atEnd = patience.mayPass(early, () => true);
      clock.advance(50);
      const later = patience.mayPass(early, () => true);
      assert.deepEqual({ notAtEnd, atEnd, later }, expected);
    });
  }

  it('begins anew when the input has brought something, or has something again', () => {
    const clock = new ManualClock(0);
    const patience = new InputPatience(50, clock);
    patience.mayPass(early, () => true);
    clock.advance(50);
    assert.equal(
      patience.mayPass(early, () => true),
      true,
    );
    patience.arrived('early');
    assert.equal(
      patience.mayPass(early, () => true),
      false,
    );
    clock.advance(50);
    assert.equal(
      patience.mayPass(early, () => false),
      false,
    );
    assert.equal(
      patience.mayPass(early, () => true),
      false,
    );
  });
});

describe('an instance whose tasks read two inputs', () => {
  let broker: Broker;
  let app: StreamsApp | undefined;
  let seen: string[];
  /** Which inputs polls bring; the other's records stay on the broker. */
  let brings: (topic: string) => boolean;
  let pollRecordsMax: number;

  beforeEach(async () => {
    broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([
      { name: 'early', partitions },
      { name: 'late', partitions },
    ]);
    seen = [];
    brings = () => true;
    pollRecordsMax = 1;
  });
  afterEach(async () => {
    await app?.stop();
    app = undefined;
    await broker.close();
  });

  const send = (topic: string, ...times: number[]): Promise<void> => sendTo(0, topic, times);

  async function sendTo(partition: number, topic: string, times: readonly number[]): Promise<void> {
    const producer = await broker.openProducer({ clientId: 'test' });
    const rest = { topic, partition, key: Buffer.from('k'), headers: [] };
    await producer.send(
      times.map((timestamp) => ({ ...rest, timestamp, value: Buffer.from(String(timestamp)) })),
    );
    await producer.close();
  }

  /** Records of inputs that are brought. */
  async function pollOnly(consumer: Consumer, waitMs: number): Promise<RecordBatch[]> {
    // Decided before the poll: the test may change its mind while the poll is under way.
    const held = ['early', 'late'].filter((topic) => !brings(topic));
    const kept: PartitionOffset[] = [];
    for (const [topic, partition] of held.flatMap((name) => allPartitions.map((p) => [name, p] as const))) {
      const at = { topic, partition };
      try {
        kept.push({ ...at, offset: consumer.position(at) });
      } catch {
        // Not assigned yet, or a reader of something else.
      }
    }
    const batches = await consumer.poll({ recordsMax: pollRecordsMax, waitMs: Math.min(waitMs, 5) });
    for (const at of kept) await consumer.seek(at);
    return batches.filter(({ topic }) => !held.includes(topic));
  }

  async function start(maxTaskIdleMs: number): Promise<StreamsApp> {
    const strings = { keySerde: stringSerde, valueSerde: stringSerde };
    const topology = new Topology()
      .addSource({ name: 'in', topics: ['early', 'late'], ...strings })
      .addProcessor({
        name: 'see',
        supplier: () => ({ process: ({ value }) => void seen.push(String(value)) }),
        parents: ['in'],
      });
    const disk = new MemoryDisk();
    const oneByOne = withPolls(broker, (consumer, { waitMs }) => pollOnly(consumer, waitMs));
    app = new StreamsApp({
      topology,
      settings: { applicationId: 'app', commitIntervalMs: 5, maxTaskIdleMs },
      broker: oneByOne,
      openTaskBackend: disk.open,
      destroyTaskBackend: async (taskId) => disk.remove(taskId),
      clock: wallClock,
    });
    await app.start();
    return app;
  }

  const untilSeen = (count: number) => eventually(() => seen.length === count, { what: `${count} records` });
  const queued = () => app?.status().tasks.reduce((sum, task) => sum + task.queued, 0);

  it('waits for what is on the broker and not yet here, and takes it first', async () => {
    await send('late', 100, 110);
    await send('early', 10, 20);
    brings = (topic) => topic === 'late';
    await start(0);
    await eventually(() => queued() === 2, { what: 'the late records to be queued' });
    assert.deepEqual(seen, []);
    brings = () => true;
    await untilSeen(4);
    assert.deepEqual(seen, ['10', '20', '100', '110']);
  });

  it('does not with -1', async () => {
    await send('late', 100, 110);
    await send('early', 10, 20);
    brings = (topic) => topic === 'late';
    await start(-1);
    await untilSeen(2);
    brings = () => true;
    await untilSeen(4);
    assert.deepEqual(seen, ['100', '110', '10', '20']);
  });

  it('waits for what is still to be sent, as long as it is told to', async () => {
    await send('late', 100);
    await start(600_000);
    await eventually(() => queued() === 1, { what: 'the late record to be queued' });
    await send('early', 10);
    await untilSeen(1);
    assert.deepEqual(seen, ['10']);
    await send('early', 120);
    await untilSeen(2);
    assert.deepEqual(seen, ['10', '100'], 'the next of the early ones is later');
  });

  it('reads on the input that it waits for when the others have filled its buffers', async () => {
    pollRecordsMax = 5_000;
    const many = Array.from({ length: 30_000 }, (_, n) => 1_000 + n);
    await send('late', ...many);
    await send('early', 10);
    brings = (topic) => topic === 'late';
    await start(0);
    // No more are taken: it has enough.
    await eventually(() => (queued() ?? 0) >= pollRecordsMax, { what: 'late records to be queued' });
    brings = () => true;
    await untilSeen(30_001);
    assert.equal(seen[0], '10');
  });

  it('reads on when many tasks that wait have filled the buffers together, none of them its share', async () => {
    pollRecordsMax = 500;
    for (const partition of allPartitions) {
      await sendTo(
        partition,
        'late',
        Array.from({ length: 2_500 }, (_, n) => 1_000 + n),
      );
      await sendTo(partition, 'early', [10]);
    }
    brings = (topic) => topic === 'late';
    await start(0);
    await eventually(() => (queued() ?? 0) >= 8_000, { what: 'the buffers to be full' });
    brings = () => true;
    await untilSeen(4 * 2_501);
  });
});
