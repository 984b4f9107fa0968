/**
 * Goal: when an instance dies, the holder of a standby goes on with a catch-up of the gap, and nothing is lost or
 * doubled; without standbys nothing is made for them. Method: several applications on one embedded broker, each
 * with a disk of its own; a kill is one as by `kill -9`.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp, type StreamsSettings } from '../../../src/app/streams-app.ts';
import { seededRandom } from '../../../src/base/seeded-random.ts';
import type { Broker } from '../../../src/broker/broker-port.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { eventually } from '../../support/eventually.ts';
import { CountingCluster, type Instance } from './support/counting.ts';

const withStandbys: Partial<StreamsSettings> = {
  numStandbyReplicas: 1,
  instanceHeartbeatMs: 100,
  sessionTimeoutMs: 1_000,
  transactionTimeoutMs: 1_000,
};

function owned({ app }: Instance): string[] {
  const { tasks, restoring } = app.status();
  return [...tasks, ...restoring].map(({ taskId }) => taskId).sort();
}

function followed({ app }: Instance): string[] {
  return app
    .status()
    .standbys.map(({ taskId }) => taskId)
    .sort();
}

/** Each task runs on one of them and is followed, without lag, by another. */
function isWhole(instances: readonly Instance[], tasks: number): boolean {
  const running = instances.flatMap(({ app }) => app.status().tasks.map(({ taskId }) => taskId));
  const standbys = instances.flatMap(({ app }) => app.status().standbys);
  return (
    instances.every(({ app }) => app.ready) &&
    new Set(running).size === tasks &&
    running.length === tasks &&
    new Set(standbys.map(({ taskId }) => taskId)).size === tasks &&
    standbys.length === tasks &&
    standbys.every(({ lag }) => lag === 0) &&
    instances.every((instance) => !followed(instance).some((taskId) => owned(instance).includes(taskId)))
  );
}

/** What the last start of a task on this instance replayed. */
function takeOver({ lines }: Instance, taskId: string): { restored: number; recycled: boolean } {
  const line = lines.findLast((each) => each.startsWith('info task runs') && each.includes(`"${taskId}"`));
  assert.ok(line !== undefined, `task ${taskId} never ran here`);
  return JSON.parse(line.slice(line.indexOf('{'))) as { restored: number; recycled: boolean };
}

describe('instances with standbys', () => {
  let cluster: CountingCluster;
  beforeEach(async () => {
    cluster = await CountingCluster.open(4);
  });
  afterEach(() => cluster.close());

  async function startAll(
    names: readonly string[],
    more: Partial<StreamsSettings> = {},
  ): Promise<Instance[]> {
    const instances = names.map((name) =>
      cluster.newInstance(name, { settings: { ...withStandbys, ...more } }),
    );
    for (const { app } of instances) await app.start();
    return instances;
  }

  it('take over from a killed one by replaying the gap alone', async () => {
    const [first, second] = (await startAll(['1', '2'])) as [Instance, Instance];
    for (let turn = 0; turn < 20; turn++) {
      await cluster.produce(400, 200);
      await cluster.expectExactlyOnce(200);
    }
    await eventually(() => isWhole([first, second], 4), { what: 'every task to be followed' });
    assert.deepEqual(followed(second), owned(first), 'each follows what the other owns');
    const all = await cluster.changelogRecords();
    assert.ok(all > 2_000, `${all} records would have to be replayed without a standby`);
    await cluster.produce(40, 200);
    const orphans = owned(first);
    first.kill();
    await cluster.produce(360, 200);
    await cluster.expectExactlyOnce(200);
    assert.deepEqual(owned(second), ['0_0', '0_1', '0_2', '0_3']);
    for (const taskId of orphans) {
      const { restored, recycled } = takeOver(second, taskId);
      assert.equal(recycled, true, `${taskId} was a standby`);
      assert.ok(restored < 200, `${restored} of ${all} records were replayed for ${taskId}`);
    }
    assert.deepEqual(second.destroyed, []);
    assert.deepEqual(followed(second), [], 'there is nobody whose tasks it could follow');
  });

  it('place new standbys when one of three dies, and again when it is back on its disk', async () => {
    const [first, second, third] = (await startAll(['1', '2', '3'])) as [Instance, Instance, Instance];
    await cluster.produce(1_000);
    await cluster.expectExactlyOnce();
    await eventually(() => isWhole([first, second, third], 4), { what: 'every task to be followed' });
    const gone = owned(first);
    const heirs = new Map(
      gone.map((taskId) => [taskId, [second, third].find((each) => followed(each).includes(taskId))]),
    );
    first.kill();
    await cluster.produce(1_000);
    await cluster.expectExactlyOnce();
    await eventually(() => isWhole([second, third], 4), { what: 'the two to follow each other' });
    for (const [taskId, heir] of heirs) {
      assert.ok(heir !== undefined, `${taskId} had a standby`);
      if (owned(heir).includes(taskId)) assert.equal(takeOver(heir, taskId).recycled, true);
    }
    const again = cluster.newInstance('1', { disk: first.disk, settings: withStandbys });
    await again.app.start();
    await cluster.produce(1_000);
    await eventually(() => isWhole([again, second, third], 4), { what: 'all three to share again' });
    await cluster.expectExactlyOnce();
    for (const { app, destroyed } of [again, second, third]) {
      assert.equal(app.state, 'RUNNING');
      assert.deepEqual(destroyed, []);
    }
  });

  it('lose and double nothing while instances are killed, stopped and started at random', async () => {
    const random = seededRandom(11);
    const names = ['1', '2', '3'];
    const running = new Map<string, Instance>();
    const disks = new Map(names.map((name) => [name, new MemoryDisk()]));
    let kills = 0;
    for (let turn = 0; turn < 12; turn++) {
      const name = names[random.integer(names.length)] as string;
      const instance = running.get(name);
      if (instance === undefined) {
        const disk = disks.get(name) as MemoryDisk;
        const fresh = cluster.newInstance(name, { disk, settings: withStandbys });
        running.set(name, fresh);
        await fresh.app.start();
      } else if (running.size > 1) {
        running.delete(name);
        if (random.next() < 0.6) {
          kills++;
          instance.kill();
        } else await instance.app.stop();
      }
      await cluster.produce(200);
      if (random.next() < 0.5) await cluster.expectExactlyOnce();
    }
    await cluster.expectExactlyOnce();
    assert.ok(kills > 1, 'some were killed');
    for (const { app, destroyed } of running.values()) {
      assert.notEqual(app.state, 'ERROR');
      assert.deepEqual(destroyed, [], 'a crash never wipes state');
    }
  });

  it('put no standby on the host of the owner', async () => {
    const [first, second] = (await startAll(['1', '2'], { host: 'node-a' })) as [Instance, Instance];
    await cluster.produce(400);
    await cluster.expectExactlyOnce();
    const third = cluster.newInstance('3', { settings: { ...withStandbys, host: 'node-b' } });
    await third.app.start();
    await cluster.produce(400);
    await cluster.expectExactlyOnce();
    await eventually(() => isWhole([first, second, third], 4), { what: 'every task to be followed' });
    assert.deepEqual(followed(third), [...owned(first), ...owned(second)].sort());
  });

  it('go on when a standby cannot write, and follow again', async () => {
    const [first] = (await startAll(['1'])) as [Instance];
    await cluster.produce(400);
    await cluster.expectExactlyOnce();
    let failures = 0;
    const disk = new MemoryDisk({
      beforeWrite: () => {
        if (second.app.status().standbys.length > 0 && failures < 3) {
          failures++;
          throw new Error('no space');
        }
      },
    });
    const second: Instance = cluster.newInstance('2', { disk, settings: withStandbys });
    await second.app.start();
    await cluster.produce(400);
    await cluster.expectExactlyOnce();
    await eventually(() => isWhole([first, second], 4), { what: 'every task to be followed' });
    assert.equal(failures, 3, 'the fault really happened');
    assert.equal(second.app.state, 'RUNNING');
    assert.deepEqual(second.destroyed, [], 'a failed write proves no damage');
  });
});

describe('an instance without standbys', () => {
  /** The names of all clients that are opened. */
  function listening(broker: Broker, clients: string[]): Broker {
    return {
      kind: broker.kind,
      admin: broker.admin,
      openConsumer: (options) => {
        clients.push(options.clientId);
        return broker.openConsumer(options);
      },
      joinGroup: (options) => broker.joinGroup(options),
      openProducer: (options) => {
        clients.push(options.clientId);
        return broker.openProducer(options);
      },
      close: () => broker.close(),
    };
  }

  it('makes no topic and opens no client for them', async () => {
    const cluster = await CountingCluster.open(2);
    const clients: string[] = [];
    const { app } = cluster.newInstance('1', { broker: listening(cluster.broker, clients) });
    await app.start();
    await cluster.produce(100);
    await cluster.expectExactlyOnce();
    assert.deepEqual(clients.sort(), ['app', 'app']);
    assert.deepEqual(await cluster.broker.admin.describeTopics(['app-instances']), [undefined]);
    await cluster.close();
  });

  it('is what a topology without stores gets, whatever is asked for', async () => {
    const cluster = await CountingCluster.open(2);
    const clients: string[] = [];
    const strings = { keySerde: stringSerde, valueSerde: stringSerde };
    const app = new StreamsApp({
      topology: new Topology()
        .addSource({ name: 'in', topics: ['words'], ...strings })
        .addSink({ name: 'out', topic: 'totals', ...strings, parents: ['in'] }),
      settings: { applicationId: 'plain', numStandbyReplicas: 1 },
      broker: listening(cluster.broker, clients),
      openTaskBackend: new MemoryDisk().open,
      destroyTaskBackend: async () => {},
    });
    await app.start();
    await eventually(() => app.ready, { what: 'it to run' });
    assert.deepEqual(clients.sort(), ['plain', 'plain']);
    assert.deepEqual(await cluster.broker.admin.describeTopics(['plain-instances']), [undefined]);
    await app.stop();
    await cluster.close();
  });
});
