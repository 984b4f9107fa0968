/**
 * Goal: what a restore believes, and what it does not: committed records up to the captured end, its own
 * position as a lower bound, the changelog's offsets where the group's are gone. Method: the embedded
 * broker with changelogs written by hand.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { sortableInteger } from '../../../src/base/bytes.ts';
import { StreamsError } from '../../../src/base/errors.ts';
import { silentTelemetry } from '../../../src/base/telemetry-port.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker, Producer } from '../../../src/broker/broker-port.ts';
import { type EmbeddedBroker, openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { deadLetterPolicy } from '../../../src/failure/failure-policy.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { type RestoreResult, restoreTask } from '../../../src/restore/changelog-restorer.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { openMemoryBackend } from '../../../src/store/memory-backend.ts';
import { TaskState } from '../../../src/store/task-state.ts';
import { planApplication, type TaskPlan } from '../../../src/task/task-plan.ts';
import { clockKey, inputClock } from '../../../src/task/timer-index.ts';
import { withPolls } from '../../support/changed-broker.ts';
import { eventually } from '../../support/eventually.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };
const changelog = 'app-kept-changelog';

class Bench {
  readonly broker: EmbeddedBroker;
  readonly plan: TaskPlan;
  readonly state: TaskState;
  readonly progress = { taskId: '0_0', restored: 0, remaining: 0 };
  abandoned = false;
  nowMs = 1_000_000;

  constructor(broker: EmbeddedBroker, plan: TaskPlan, state: TaskState) {
    this.broker = broker;
    this.plan = plan;
    this.state = state;
  }

  static async open(): Promise<Bench> {
    const topology = new Topology()
      .addSource({ name: 'in', topics: ['in'], ...strings })
      .addStateStore({ name: 'kept', kind: 'key-value', ...strings, changelog: true })
      .addProcessor({
        name: 'keep',
        supplier: () => ({ process: () => {} }),
        parents: ['in'],
        stores: ['kept'],
      });
    const planned = planApplication(topology, 'app', new Map([['in', 1]]));
    const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([{ name: 'in', partitions: 1 }, ...planned.internalTopics]);
    const plan = planned.tasks[0] as TaskPlan;
    const state = new TaskState(
      await openMemoryBackend(),
      plan.stores.map(({ spec }) => spec.name),
      10,
    );
    return new Bench(broker, plan, state);
  }

  async producer(id: string): Promise<Producer> {
    const producer = await this.broker.openProducer({ clientId: id, transactionalId: id });
    await producer.init();
    return producer;
  }

  write(producer: Producer, key: string, value: string): Promise<void> {
    return producer.send([record(changelog, Buffer.from(key), Buffer.from(value))]);
  }

  restore(broker: Broker = this.broker): Promise<RestoreResult> {
    return restoreTask({
      broker,
      groupId: 'app',
      plan: this.plan,
      state: this.state,
      log: silentTelemetry.log,
      progress: this.progress,
      abandoned: () => this.abandoned,
      failurePolicy: deadLetterPolicy,
      nowMs: this.nowMs,
    });
  }

  async kept(key: string): Promise<string | undefined> {
    return (await this.state.getCommitted('kept', Buffer.from(key)))?.toString();
  }
}

function record(topic: string, key: Buffer, value: Buffer) {
  return { topic, partition: 0, key, value, timestamp: 1, headers: [] };
}

describe('a restore', () => {
  it('fails, and not the process with it, when reading fails while a batch is being written', async () => {
    const bench = await Bench.open();
    const live = await bench.producer('live');
    await live.begin();
    await bench.write(live, 'a', 'yes');
    await live.commit();
    const open = await bench.producer('open');
    await open.begin();
    await bench.write(open, 'b', 'not yet');
    let polls = 0;
    const failing = withPolls(bench.broker, (consumer, how) =>
      ++polls === 1
        ? consumer.poll(how)
        : Promise.reject(new StreamsError('BROKER_UNAVAILABLE', 'gone (injected)')),
    );
    // Slow enough for the rejection to come first.
    const beforeWrite = async () => {
      for (let turn = 0; turn < 5; turn++) await wallClock.yield();
    };
    const slow = new TaskState(
      await openMemoryBackend({ beforeWrite }),
      bench.plan.stores.map(({ spec }) => spec.name),
      10,
    );
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on('unhandledRejection', note);
    const restored = restoreTask({
      broker: failing,
      groupId: 'app',
      plan: bench.plan,
      state: slow,
      log: silentTelemetry.log,
      progress: bench.progress,
      abandoned: () => false,
      failurePolicy: deadLetterPolicy,
      nowMs: bench.nowMs,
    });
    try {
      await assert.rejects(
        restored,
        (error) => error instanceof StreamsError && error.code === 'BROKER_UNAVAILABLE',
      );
    } finally {
      process.off('unhandledRejection', note);
    }
    assert.deepEqual(unhandled, []);
    assert.equal(polls, 2);
    await open.abort();
  });

  it('that a compaction overtakes on its way ends with the last value of every key', async () => {
    const bench = await Bench.open();
    const producer = await bench.producer('p');
    const keys = 20;
    for (let round = 0; round < 10; round++) {
      await producer.begin();
      for (let key = 0; key < keys; key++) await bench.write(producer, `k${key}`, `${round}`);
      await producer.commit();
    }
    const at = [{ topic: changelog, partition: 0 }];
    const records = async () => {
      const consumer = await bench.broker.openConsumer({ isolation: 'read_committed', clientId: 'count' });
      await consumer.assign([{ topic: changelog, partition: 0, offset: 0 }]);
      const batches = await consumer.poll({ recordsMax: 10_000, waitMs: 0 });
      await consumer.close();
      return batches.reduce((sum, batch) => sum + batch.count, 0);
    };
    assert.equal(await records(), 10 * keys);
    let polls = 0;
    const small = withPolls(bench.broker, async (consumer, { waitMs }) => {
      if (++polls === 3) await bench.broker.maintain();
      return consumer.poll({ recordsMax: 30, waitMs });
    });
    assert.equal((await bench.restore(small)).outcome, 'restored');
    const left = await records();
    assert.ok(left < 5 * keys, `the log was compacted while it was read: ${left} records are left`);
    assert.ok(bench.progress.restored < 10 * keys, 'what was compacted away was not read');
    for (let key = 0; key < keys; key++) assert.equal(await bench.kept(`k${key}`), '9');
    // Its position is behind all of it: the next restore reads on from there.
    const { restored } = bench.progress;
    assert.equal((await bench.restore()).outcome, 'restored');
    assert.equal(bench.progress.restored, restored);
    assert.deepEqual(await bench.broker.admin.endOffsets(at, 'read_committed'), [10 * (keys + 1)]);
    await bench.broker.close();
  });

  it('waits for the open transaction of a dead member that lies below the captured end', async () => {
    const bench = await Bench.open();
    const dead = await bench.producer('dead');
    await dead.begin();
    await bench.write(dead, 'a', 'never');
    await dead.flush();
    const live = await bench.producer('live');
    await live.begin();
    await bench.write(live, 'b', 'yes');
    await live.commit();
    let ended = false;
    const result = bench.restore().then((outcome) => {
      ended = true;
      return outcome;
    });
    await eventually(() => bench.progress.remaining > 0, { what: 'the restore to begin' });
    assert.equal(ended, false);
    await bench.producer('dead');
    assert.equal((await result).outcome, 'restored');
    assert.deepEqual([await bench.kept('a'), await bench.kept('b')], [undefined, 'yes']);
    await bench.broker.close();
  });

  it('gives up when the task is taken away meanwhile', async () => {
    const bench = await Bench.open();
    const dead = await bench.producer('dead');
    await dead.begin();
    await bench.write(dead, 'a', 'never');
    await dead.flush();
    const result = bench.restore();
    bench.abandoned = true;
    assert.equal((await result).outcome, 'abandoned');
    await bench.broker.close();
  });

  it('replays only what lies above the position in the store', async () => {
    const bench = await Bench.open();
    const producer = await bench.producer('p');
    for (const value of ['1', '2', '3']) {
      await producer.begin();
      await bench.write(producer, `k${value}`, value);
      await producer.commit();
    }
    assert.equal((await bench.restore()).outcome, 'restored');
    assert.equal(bench.progress.restored, 3);
    await producer.begin();
    await bench.write(producer, 'k4', '4');
    await producer.commit();
    await bench.restore();
    assert.equal(bench.progress.restored, 4);
    assert.equal(await bench.kept('k4'), '4');
    await bench.broker.close();
  });

  it('asks for a rebuild when the position lies beyond the end', async () => {
    const bench = await Bench.open();
    await bench.state.applyChangelog('kept', [], new Map([[`changelog/${changelog}`, '7']]));
    assert.equal((await bench.restore()).outcome, 'rebuild');
    await bench.broker.close();
  });

  it('asks for a rebuild when the changelog was deleted and created again, though the offsets would fit', async () => {
    const bench = await Bench.open();
    const fill = async (id: string) => {
      const producer = await bench.producer(id);
      await producer.begin();
      await bench.write(producer, 'k', id);
      await producer.commit();
      await producer.close();
    };
    await fill('first');
    assert.equal((await bench.restore()).outcome, 'restored');
    await bench.broker.admin.deleteTopics([changelog]);
    await bench.broker.admin.createTopics([
      { name: changelog, partitions: 1, config: { 'cleanup.policy': 'compact' } },
    ]);
    await fill('second');
    assert.equal((await bench.restore()).outcome, 'rebuild');
    await bench.broker.close();
  });

  it('asks for a rebuild when the position is so old that tombstones may be gone, and only if there is more', async () => {
    const bench = await Bench.open();
    const producer = await bench.producer('p');
    await producer.begin();
    await bench.write(producer, 'k', '1');
    await producer.commit();
    await bench.restore();
    bench.nowMs += 13 * 3_600_000;
    assert.equal((await bench.restore()).outcome, 'restored', 'nothing was written since');
    await producer.begin();
    await bench.write(producer, 'k', '2');
    await producer.commit();
    bench.nowMs += 13 * 3_600_000;
    assert.equal((await bench.restore()).outcome, 'rebuild');
    await bench.broker.close();
  });

  it('refuses an input that ends below what the group has read of it', async () => {
    const bench = await Bench.open();
    const producer = await bench.producer('p');
    const topic = bench.plan.stores.find(({ spec }) => spec.name === bench.plan.taskStore)?.changelog;
    await producer.begin();
    await producer.send([record(topic as string, clockKey(inputClock('in')), sortableInteger(12))]);
    await producer.commit();
    await assert.rejects(bench.restore(), { code: 'TOPIC_MISMATCH' });
    await bench.broker.close();
  });

  it("goes on from the changelog's offset when the group's is gone and the disk is new", async () => {
    const bench = await Bench.open();
    const producer = await bench.producer('p');
    await producer.begin();
    await producer.send(Array.from({ length: 20 }, () => record('in', Buffer.from('k'), Buffer.from('v'))));
    const topic = bench.plan.stores.find(({ spec }) => spec.name === bench.plan.taskStore)?.changelog;
    await producer.send([record(topic as string, clockKey(inputClock('in')), sortableInteger(12))]);
    await producer.commit();
    const result = await bench.restore();
    assert.deepEqual(result, { outcome: 'restored', committed: [{ topic: 'in', offset: 12 }] });
    await bench.broker.close();
  });
});
