/**
 * Goal: tasks move no more than they have to: a third instance takes a third, and a rolling restart with static
 * ids stops each task once. Method: twelve tasks on the embedded broker under load; the instances' logs say what
 * was assigned, revoked and started. The figures are those of docs/adr/0013-task-ownership.md.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { StreamsSettings } from '../../../src/app/streams-app.ts';
import { eventually } from '../../support/eventually.ts';
import { CountingCluster, type Instance } from './support/counting.ts';

const tasks = 12;

/** How often each task was the subject of such a line. */
function countsOf(
  lines: readonly string[],
  what: 'tasks revoked' | 'tasks assigned' | 'task runs',
): number[] {
  const counts = new Map<string, number>();
  for (const line of lines) {
    if (!line.startsWith(`info ${what} `)) continue;
    const fields = JSON.parse(line.slice(line.indexOf('{'))) as { tasks?: string; taskId?: string };
    for (const id of (fields.tasks ?? fields.taskId ?? '').split(' '))
      if (id.includes('_')) counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  return [...counts.values()];
}

function most(counts: readonly number[]): number {
  return Math.max(0, ...counts);
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

describe('the ownership of tasks', () => {
  let cluster: CountingCluster;
  beforeEach(async () => {
    cluster = await CountingCluster.open(tasks);
  });
  afterEach(() => cluster.close());

  function settingsOf(name: string, isStatic: boolean): Partial<StreamsSettings> {
    return { sessionTimeoutMs: 30_000, ...(isStatic ? { instanceId: `pod-${name}` } : {}) };
  }

  async function start(name: string, isStatic: boolean, before?: Instance): Promise<Instance> {
    const instance = cluster.newInstance(name, {
      settings: settingsOf(name, isStatic),
      ...(before === undefined ? {} : { disk: before.disk }),
    });
    await instance.app.start();
    return instance;
  }

  async function untilShared(instances: readonly Instance[]): Promise<void> {
    await eventually(
      () => instances.every(({ app }) => app.ready && app.status().tasks.length === tasks / instances.length),
      { timeoutMs: 20_000, what: `${instances.length} instances to share the tasks` },
    );
  }

  it('goes for a third to a third instance, and the rest stays where it runs', async () => {
    const two = [await start('1', false), await start('2', false)];
    await untilShared(two);
    await cluster.produce(600, 60);
    await cluster.expectExactlyOnce(60);
    const linesBefore = two.map(({ lines }) => lines.length);
    const third = await start('3', false);
    await cluster.produce(600, 60);
    await untilShared([...two, third]);
    await cluster.expectExactlyOnce(60);
    const lines = two.flatMap((instance, index) => instance.lines.slice(linesBefore[index]));
    assert.equal(sum(countsOf(lines, 'tasks revoked')), tasks / 3);
    assert.equal(sum(countsOf(lines, 'task runs')), 0, 'nothing that stayed was started again');
    assert.equal(sum(countsOf(third.lines, 'task runs')), tasks / 3);
  });

  /** Stops and starts three instances one after the other, under load; what the logs say from then on. */
  async function rollingRestart(isStatic: boolean): Promise<string[]> {
    let instances: Instance[] = [];
    for (const name of ['1', '2', '3']) instances.push(await start(name, isStatic));
    await untilShared(instances);
    await cluster.produce(600, 60);
    await cluster.expectExactlyOnce(60);
    const before = new Map(cluster.instances.map((instance) => [instance, instance.lines.length]));
    for (const old of [...instances]) {
      await old.app.stop();
      await cluster.produce(120, 60);
      const fresh = await start(old.name, isStatic, old);
      instances = instances.map((each) => (each === old ? fresh : each));
      await untilShared(instances);
    }
    await cluster.expectExactlyOnce(60);
    for (const { destroyed } of cluster.instances) assert.deepEqual(destroyed, []);
    return cluster.instances.flatMap((instance) => instance.lines.slice(before.get(instance) ?? 0));
  }

  it('stays through a rolling restart of three static members: each task stops once and is not revoked', async () => {
    const lines = await rollingRestart(true);
    const revoked = countsOf(lines, 'tasks revoked');
    assert.ok(most(revoked) <= 2, `a task was revoked ${most(revoked)} times`);
    assert.deepEqual(countsOf(lines, 'task runs'), new Array(tasks).fill(1), 'and each was started once');
  });

  it('comes back in a rolling restart of three dynamic members, a third of it at a time', async () => {
    const lines = await rollingRestart(false);
    // Four tasks go to the others and four come back, three times.
    assert.equal(sum(countsOf(lines, 'tasks revoked')), tasks);
    assert.equal(sum(countsOf(lines, 'task runs')), 2 * tasks);
  });
});
