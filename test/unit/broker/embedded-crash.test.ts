/**
 * Goal: any crash between two writes of the embedded broker is safe.
 * Method: a workload of steps on a simulated disk is cut short before its n-th write, for every n. What a
 * reopened broker shows must be what it was before the step under way or after it, never a part of it.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { EmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { DiskBroker, keyed, readAll } from './embedded-support.ts';

const groupId = 'group';
const day = 24 * 60 * 60 * 1000;

/** Everything that a reader could tell, with the compacted topic folded to its last values. */
async function observe(broker: EmbeddedBroker): Promise<string> {
  const names = ['in', 'out', 'table', 'old', 'gone'];
  const topics = await broker.admin.describeTopics(names);
  const seen: Record<string, unknown> = {};
  for (const [i, topic] of topics.entries()) {
    const name = names[i] as string;
    if (topic === undefined) continue;
    const logs: unknown[] = [];
    for (let partition = 0; partition < topic.partitions; partition++) {
      const records = await readAll(broker, name, partition);
      const [end] = await broker.admin.endOffsets([{ topic: name, partition }], 'read_uncommitted');
      for (const record of records)
        assert.ok(Number(record.split('@')[1]) < (end as number), 'beyond the end');
      // Offsets may differ between a commit that was cut short and one that was never begun: values may not.
      const values = records.map((record) => record.split('@')[0] as string);
      logs.push(
        name === 'table' ? [...new Map(values.map((value) => value.split('=') as [string, string]))] : values,
      );
    }
    seen[name] = { id: topic.topicId, logs };
  }
  if (topics[0] !== undefined) {
    const at = [{ topic: 'in', partition: 0 }];
    const [offset] = await broker.admin.committedOffsets(groupId, at);
    const [end] = await broker.admin.endOffsets(at, 'read_uncommitted');
    assert.ok((offset ?? 0) <= (end as number), `the group stands at ${offset}, beyond the end ${end}`);
    Object.assign(seen, { offset });
  }
  return JSON.stringify(seen);
}

type Step = (broker: EmbeddedBroker, at: DiskBroker) => Promise<void>;

const config = (more: Record<string, string> = {}): Record<string, string> => ({
  'retention.ms': '-1',
  ...more,
});

function workload(): Step[] {
  const steps: Step[] = [
    (broker) =>
      broker.admin.createTopics([
        { name: 'in', partitions: 1, config: config() },
        { name: 'out', partitions: 2, config: config() },
        { name: 'old', partitions: 1, config: config({ 'retention.ms': `${day}` }) },
      ]),
    (broker) =>
      broker.admin.createTopics([
        {
          name: 'table',
          partitions: 1,
          config: config({
            'cleanup.policy': 'compact',
            'min.cleanable.dirty.ratio': '0',
            'delete.retention.ms': '0',
          }),
        },
        { name: 'gone', partitions: 1, config: config() },
      ]),
    async (broker) => {
      const producer = await broker.openProducer({ clientId: 'plain' });
      await producer.send([keyed('old', 'a', '1', 0, 3 * day), keyed('gone', 'g', '1')]);
      await producer.flush();
    },
  ];
  for (let round = 0; round < 4; round++)
    steps.push(consumeAndProduce(round), aborted(round), interleaved(round));
  steps.push(
    (broker) => broker.maintain(),
    async (_, at) => at.clock.advance(1),
    (broker) => broker.maintain(),
    (broker) => broker.admin.deleteTopics(['gone']),
    (broker) => broker.admin.createTopics([{ name: 'gone', partitions: 3, config: config() }]),
    consumeAndProduce(9),
    (broker) => broker.maintain(),
  );
  return steps;
}

/** Input without a transaction and not flushed, its result in one: never the result without the input. */
function consumeAndProduce(round: number): Step {
  return async (broker) => {
    const producer = await broker.openProducer({ clientId: 'p', transactionalId: 'p' });
    await producer.init();
    // From here on the only write is the commit's, which takes the unflushed input with it.
    const input = await broker.openProducer({ clientId: 'input' });
    await input.send([keyed('in', `k${round}`, `${round}`)]);
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
    const at = { topic: 'in', partition: 0 };
    await consumer.assign([{ ...at, offset: 0 }]);
    while ((await consumer.poll({ recordsMax: 100, waitMs: 0 })).length > 0);
    const member = await broker.joinGroup({ groupId, topic: 'in', sessionTimeoutMs: 10_000 });
    await producer.begin();
    await producer.send([
      keyed('out', `k${round}`, `a${round}`, 0),
      keyed('out', `k${round}`, `b${round}`, 1),
      keyed('table', `k${round % 2}`, round === 3 ? null : `v${round}`),
    ]);
    await producer.sendOffsets([{ ...at, offset: consumer.position(at) }], member);
    await producer.commit();
    await member.close();
  };
}

function aborted(round: number): Step {
  return async (broker) => {
    const producer = await broker.openProducer({ clientId: 'q', transactionalId: `q${round}` });
    await producer.init();
    await producer.begin();
    await producer.send([keyed('out', 'never', `${round}`), keyed('in', 'never', `${round}`)]);
    await producer.abort();
  };
}

/** A commit in the middle of another transaction, which is left open. */
function interleaved(round: number): Step {
  return async (broker) => {
    const left = await broker.openProducer({ clientId: 'left', transactionalId: 'left' });
    await left.init();
    await left.begin();
    await left.send([keyed('out', 'open', `${round}`, 1)]);
    const producer = await broker.openProducer({ clientId: 'r', transactionalId: 'r' });
    await producer.init();
    await producer.begin();
    await producer.send([keyed('out', 'r', `${round}`, 1), keyed('out', 'r', `${round}`, 0)]);
    await left.send([keyed('out', 'open', `${round}`, 1)]);
    await producer.send([keyed('out', 'r', `again${round}`, 1)]);
    await producer.commit();
    await left.abort();
  };
}

/** Runs the workload; returns what was seen after each step, and where it stopped. */
async function run(at: DiskBroker, observed: string[] | undefined): Promise<number> {
  for (const [i, step] of workload().entries()) {
    try {
      await step(at.broker, at);
    } catch {
      return i;
    }
    if (observed !== undefined) observed.push(await observe(at.broker));
  }
  return workload().length;
}

describe('embedded broker: crashes', () => {
  for (const how of ['kill', 'powerLoss'] as const) {
    for (const chunkBytesMax of [64, 256 * 1024]) {
      it(`shows whole steps only after a ${how} before any write (chunks of ${chunkBytesMax} bytes)`, async () => {
        let writes = 0;
        let crashBefore = Number.POSITIVE_INFINITY;
        const disk = (): MemoryDisk =>
          new MemoryDisk({
            beforeWrite: () => {
              writes += 1;
              if (writes >= crashBefore) throw new Error('crash');
            },
          });
        const options = { chunkBytesMax, cacheBytesMax: 1000 };
        const whole = await DiskBroker.open(options, disk());
        const observed = ['{}'];
        assert.equal(await run(whole, observed), workload().length);
        const total = writes;
        assert.ok(total > 25, `${total} writes`);
        for (let n = 1; n <= total; n++) {
          writes = 0;
          crashBefore = n;
          const at = await DiskBroker.open(options, disk());
          const stoppedIn = await run(at, undefined);
          crashBefore = Number.POSITIVE_INFINITY;
          await at.crash(how);
          const seen = await observe(at.broker);
          const allowed = [observed[stoppedIn], observed[Math.min(stoppedIn + 1, observed.length - 1)]];
          assert.ok(
            allowed.includes(seen),
            `before write ${n}, step ${stoppedIn}: ${seen} is none of ${allowed}`,
          );
          await goesOn(at, seen);
        }
      });
    }
  }

  it('takes up where it was: the same workload after a crash ends as it does without one', async () => {
    const at = await DiskBroker.open();
    await at.topic('out', 2);
    for (let i = 0; i < 10; i++) {
      await at.commit(await at.producer('p'), [keyed('out', 'k', `${i}`)]);
      await at.crash(i % 2 === 0 ? 'kill' : 'powerLoss');
    }
    const values = (await at.read('out')).map((record) => record.split('@')[0]);
    assert.deepEqual(
      values,
      Array.from({ length: 10 }, (_, i) => `k=${i}`),
    );
  });

  it('ends with a clear error when a write fails, and knows nothing of the outcome', async () => {
    let fail = false;
    const at = await DiskBroker.open(
      {},
      new MemoryDisk({
        beforeWrite: () => {
          if (fail) throw new Error('no space left on device');
        },
      }),
    );
    await at.topic('out');
    const producer = await at.producer('p');
    await producer.begin();
    await producer.send([keyed('out', 'k', '1')]);
    fail = true;
    await assert.rejects(producer.commit(), { code: 'TRANSACTION_OUTCOME_UNKNOWN', kind: 'fenced' });
    await assert.rejects(producer.begin(), { code: 'BROKER_REQUEST_FAILED' });
    const consumer = await at.broker.openConsumer({ isolation: 'read_committed', clientId: 'c' });
    await assert.rejects(consumer.poll({ recordsMax: 1, waitMs: 0 }), { code: 'BROKER_REQUEST_FAILED' });
    await at.broker.close();
    fail = false;
    await at.reopen();
    assert.deepEqual(await at.read('out'), []);
  });
});

/** A reopened broker works, and keeps what it showed. */
async function goesOn(at: DiskBroker, seen: string): Promise<void> {
  if ((await at.broker.admin.describeTopics(['out']))[0] === undefined) return;
  await at.crash();
  assert.equal(await observe(at.broker), seen);
  const before = await at.ends('out', 1);
  const producer = await at.producer('p');
  await at.commit(producer, [keyed('out', 'next', 'x', 1)]);
  const records = await at.read('out', 1);
  assert.equal(records.at(-1), `next=x@${before.end}`);
  assert.deepEqual(await at.ends('out', 1), { start: 0, stable: before.end + 2, end: before.end + 2 });
  await at.broker.close();
}
