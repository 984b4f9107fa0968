/**
 * Goal: a restore under way is given up at once when its task goes or the instance stops, and leaves nothing
 * behind that would keep the next owner out. Method: an open transaction of a dead writer below the end of a
 * changelog holds every restore up for as long as the test wants.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { Producer } from '../../../src/broker/broker-port.ts';
import { eventually } from '../../support/eventually.ts';
import { CountingCluster } from './support/counting.ts';

const changelog = 'app-counts-changelog';

describe('an instance that restores', () => {
  let cluster: CountingCluster;
  let dead: Producer;

  /** Every changelog gets an open transaction, so that no restore can end. */
  async function holdRestores(): Promise<void> {
    dead = await openDead();
    await dead.begin();
    await dead.send(
      Array.from({ length: cluster.partitions }, (_, partition) => ({
        topic: changelog,
        partition,
        key: Buffer.from('never'),
        value: Buffer.alloc(8),
        timestamp: 1,
        headers: [],
      })),
    );
    await dead.flush();
  }

  async function openDead(): Promise<Producer> {
    const producer = await cluster.broker.openProducer({
      clientId: 'dead',
      transactionalId: 'dead',
      transactionTimeoutMs: 600_000,
    });
    await producer.init();
    return producer;
  }

  /** Aborts it, as the broker does when the writer's successor comes. */
  async function letGo(): Promise<void> {
    const successor = await openDead();
    await successor.close();
    await dead.close();
  }

  beforeEach(async () => {
    cluster = await CountingCluster.open(4);
    const first = cluster.newInstance('1');
    await first.app.start();
    await cluster.produce(400);
    await cluster.expectExactlyOnce();
    await first.app.stop();
    await holdRestores();
  });
  afterEach(() => cluster.close());

  it('gives a task away whose restore is under way, and the next owner restores it', async () => {
    const second = cluster.newInstance('2');
    await second.app.start();
    await eventually(() => second.app.status().restoring.length === 4, { what: 'four restores' });
    await eventually(() => second.app.status().restoring.every(({ restored }) => restored > 0), {
      what: 'what is committed to be replayed',
    });
    const third = cluster.newInstance('3');
    await third.app.start();
    await eventually(() => third.app.status().restoring.length === 2, { what: 'two of them to move' });
    const states = [second, third].map(({ app }) => app.status());
    assert.deepEqual(
      states.flatMap(({ restoring }) => restoring.map(({ taskId }) => taskId)).sort(),
      ['0_0', '0_1', '0_2', '0_3'],
      'each is restored in one place',
    );
    for (const { ready, restoring } of states) {
      assert.equal(ready, false);
      for (const { remaining } of restoring) assert.ok(remaining > 0, 'the open transaction is still ahead');
    }
    await letGo();
    await cluster.produce(400);
    await cluster.expectExactlyOnce();
    assert.deepEqual([...second.destroyed, ...third.destroyed], []);
    assert.ok(
      second.lines.some((line) => line.startsWith('info restore begins')),
      'and it was said',
    );
  });

  it('stops although no restore can end, and goes on from what it had when started again', async () => {
    const second = cluster.newInstance('2');
    await second.app.start();
    await eventually(() => second.app.status().restoring.length === 4, { what: 'four restores' });
    await eventually(() => second.app.status().restoring.every(({ restored }) => restored > 0), {
      what: 'what is committed to be replayed',
    });
    await second.app.stop();
    assert.equal(second.app.state, 'NOT_RUNNING');
    assert.ok(
      !second.lines.some((line) => line.includes('SHUTDOWN_TIMEOUT')),
      'it did not have to be cut short',
    );
    await letGo();
    const again = cluster.newInstance('2', { disk: second.disk });
    await again.app.start();
    await cluster.produce(400);
    await cluster.expectExactlyOnce();
    assert.deepEqual(again.destroyed, []);
    const replayed = again.lines.filter((line) => line.startsWith('info task runs'));
    assert.equal(replayed.length, 4);
    for (const line of replayed) assert.match(line, /"restored":0,/, 'the records are on the disk already');
  });
});
