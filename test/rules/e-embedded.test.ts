/**
 * The rules of the embedded broker (docs/spec/rules.md, E), each in a test that begins with its id. Its whole
 * contract is test/contract/broker-contract.ts, which Kafka fulfils too.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { StreamsError } from '../../src/base/errors.ts';
import type { OutgoingRecord, Producer } from '../../src/broker/broker-port.ts';
import { type EmbeddedBroker, openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { CommitBench, EagerClock } from '../support/commit-bench.ts';

function failsWith(code: string): (error: unknown) => boolean {
  return (error) => error instanceof StreamsError && error.code === code;
}

const at = [{ topic: 't', partition: 0 }];

function record(key: string, value: string | null): OutgoingRecord {
  return {
    topic: 't',
    partition: 0,
    key: Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestamp: 1_000_000,
    headers: [],
  };
}

describe('rules of the embedded broker', () => {
  let broker: EmbeddedBroker | undefined;
  const clock = new EagerClock();
  const open = async (config: { [name: string]: string } = {}): Promise<EmbeddedBroker> => {
    broker = await openEmbeddedBroker({ backend: undefined, clock });
    await broker.admin.createTopics([{ name: 't', partitions: 1, config }]);
    return broker;
  };
  afterEach(async () => {
    await broker?.close();
    broker = undefined;
  });

  const transactional = async (id: string, timeoutMs = 60_000): Promise<Producer> => {
    const producer = await (broker as EmbeddedBroker).openProducer({
      clientId: id,
      transactionalId: id,
      transactionTimeoutMs: timeoutMs,
    });
    await producer.init();
    return producer;
  };

  const readAll = async (isolation: 'read_committed' | 'read_uncommitted'): Promise<string[]> => {
    const { admin } = broker as EmbeddedBroker;
    const [end] = await admin.endOffsets(at, isolation);
    const consumer = await (broker as EmbeddedBroker).openConsumer({ isolation, clientId: 'judge' });
    await consumer.assign([{ topic: 't', partition: 0, offset: 0 }]);
    const found: string[] = [];
    while (consumer.position({ topic: 't', partition: 0 }) < (end as number)) {
      for (const batch of await consumer.poll({ recordsMax: 100, waitMs: 0 }))
        for (let i = 0; i < batch.count; i++) found.push(`${batch.key(i)}=${batch.value(i)}`);
    }
    await consumer.close();
    return found;
  };

  it('E1 a commit is one synced write, done before any store is written', async () => {
    const writes: string[] = [];
    let noting = false;
    const disk = new MemoryDisk({
      beforeWrite: (_, sync) => {
        if (noting) writes.push(sync ? 'synced' : 'store');
      },
    });
    const bench = await CommitBench.open({ durable: true, disk, partitions: 2 });
    try {
      await bench.feed(['a'], 0);
      await bench.feed(['b'], 1);
      await bench.cycle.open();
      noting = true;
      await bench.commit();
      assert.deepEqual(writes, ['synced', 'store', 'store']);
    } finally {
      await bench.close();
    }
  });

  it('E2 a store beyond its broker’s end is refused, to be rebuilt', async () => {
    const bench = await CommitBench.open();
    try {
      for (let turn = 0; turn < 2; turn++) {
        await bench.feed(['a']);
        await bench.commit();
      }
      // The broker's folder is lost, the store's is not.
      const { disk } = bench;
      disk.kill();
      await assert.rejects(CommitBench.open({ disk }), /the restore ended with rebuild/);
    } finally {
      await bench.close();
    }
  });

  it('E3 the simulated disk keeps everything at a kill and loses what was not synced at a power loss', async () => {
    const disk = new MemoryDisk();
    const write = async (key: string, sync: boolean): Promise<void> => {
      const backend = await disk.open('d');
      await backend.write([{ key: Buffer.from(key), value: Buffer.from('1') }], { sync });
      disk.kill();
    };
    const keys = async (): Promise<string[]> => {
      const backend = await disk.open('d');
      const found = (await backend.range({ from: Buffer.from('a') })).map(({ key }) => key.toString());
      await backend.close();
      return found;
    };
    await write('a', true);
    await write('b', false);
    assert.deepEqual(await keys(), ['a', 'b']);
    disk.powerLoss();
    assert.deepEqual(await keys(), ['a']);
  });

  it('E4 an open transaction holds back the last stable offset', async () => {
    const { admin } = await open();
    const first = await transactional('first');
    const second = await transactional('second');
    await first.begin();
    await first.send([record('a', '1')]);
    await second.begin();
    await second.send([record('b', '1')]);
    await second.commit();
    assert.deepEqual(await admin.endOffsets(at, 'read_committed'), [0]);
    await first.commit();
    assert.deepEqual(await admin.endOffsets(at, 'read_committed'), [4]);
    assert.deepEqual(await readAll('read_committed'), ['a=1', 'b=1']);
  });

  it('E5 aborted records are filtered', async () => {
    await open();
    const producer = await transactional('p');
    await producer.begin();
    await producer.send([record('a', 'aborted')]);
    await producer.abort();
    await producer.begin();
    await producer.send([record('a', 'committed')]);
    await producer.commit();
    assert.deepEqual(await readAll('read_committed'), ['a=committed']);
    assert.deepEqual(await readAll('read_uncommitted'), ['a=aborted', 'a=committed']);
  });

  it('E6 it fences by the producer’s epoch and by the group’s generation', async () => {
    const opened = await open();
    const older = await transactional('p');
    await older.begin();
    await older.send([record('a', 'older')]);
    const newer = await transactional('p');
    await assert.rejects(older.commit(), failsWith('PRODUCER_FENCED'));
    assert.deepEqual(await readAll('read_committed'), []);
    const options = { groupId: 'g', topic: 't', instanceId: 'same', sessionTimeoutMs: 10_000 };
    const first = await opened.joinGroup(options);
    await opened.joinGroup(options);
    await newer.begin();
    await assert.rejects(
      newer.sendOffsets([{ topic: 't', partition: 0, offset: 1 }], first),
      failsWith('MEMBER_FENCED'),
    );
    await assert.rejects(
      first.commitOffsets([{ topic: 't', partition: 0, offset: 1 }]),
      failsWith('MEMBER_FENCED'),
    );
  });

  it('E7 a transaction that takes too long is aborted, and its producer fenced', async () => {
    const { admin } = await open();
    const producer = await transactional('p', 1_000);
    await producer.begin();
    await producer.send([record('a', '1')]);
    clock.advance(1_001);
    assert.deepEqual(await admin.endOffsets(at, 'read_committed'), [2]);
    await assert.rejects(producer.commit(), failsWith('PRODUCER_FENCED'));
    assert.deepEqual(await readAll('read_committed'), []);
  });

  it('E8 committed offsets are told when they are stable', async () => {
    const opened = await open();
    const member = await opened.joinGroup({ groupId: 'g', topic: 't', sessionTimeoutMs: 1_000_000 });
    await member.commitOffsets([{ topic: 't', partition: 0, offset: 3 }]);
    const producer = await transactional('p');
    await producer.begin();
    await producer.sendOffsets([{ topic: 't', partition: 0, offset: 7 }], member);
    // Waits, and then says that the same call may be made again.
    await assert.rejects(opened.admin.committedOffsets('g', at), failsWith('BROKER_UNAVAILABLE'));
    await producer.commit();
    assert.deepEqual(await opened.admin.committedOffsets('g', at), [7]);
  });

  it('E9 compaction keeps the last committed value of a key', async () => {
    const opened = await open({ 'cleanup.policy': 'compact' });
    const producer = await transactional('p');
    for (const [value, commits] of [
      ['1', true],
      ['2', true],
      ['3', false],
    ] as const) {
      await producer.begin();
      await producer.send([record('a', value), record(`other${value}`, value)]);
      await (commits ? producer.commit() : producer.abort());
    }
    await opened.maintain();
    assert.deepEqual(await readAll('read_committed'), ['other1=1', 'a=2', 'other2=2']);
  });

  it('E10 several members share out the partitions and hand them over when one leaves', async () => {
    broker = await openEmbeddedBroker({ backend: undefined, clock });
    await broker.admin.createTopics([{ name: 'tokens', partitions: 4 }]);
    const join = { groupId: 'g', topic: 'tokens', sessionTimeoutMs: 1_000_000 };
    const first = await broker.joinGroup(join);
    const second = await broker.joinGroup(join);
    const owned = new Map([
      [first, new Set<number>()],
      [second, new Set<number>()],
    ]);
    const turn = async (): Promise<void> => {
      for (const [member, partitions] of owned) {
        for (const event of await member.poll(0)) {
          for (const partition of event.partitions) {
            if (event.type === 'assigned') partitions.add(partition);
            else partitions.delete(partition);
          }
          await member.acknowledge(event);
        }
      }
    };
    for (let i = 0; i < 4; i++) await turn();
    assert.deepEqual(
      [...owned.values()].map(({ size }) => size),
      [2, 2],
    );
    owned.delete(first);
    await first.close();
    for (let i = 0; i < 4; i++) await turn();
    assert.deepEqual([...(owned.get(second) ?? [])].sort(), [0, 1, 2, 3]);
  });

  for (const how of ['kill', 'powerLoss'] as const) {
    it(`E11 a ${how} before any write of broker or stores loses and doubles nothing`, async () => {
      let crashed = 0;
      for (let n = 1; ; n++) {
        let writes = 0;
        let crashes = true;
        const disk = new MemoryDisk({
          beforeWrite: () => {
            if (crashes && ++writes >= n) throw new Error('the machine is gone (injected)');
          },
        });
        const finished = await life(disk, ['a', 'b', 'a', 'c', 'a']);
        if (finished && writes < n) break;
        crashed++;
        crashes = false;
        disk[how]();
        assert.equal(await life(disk, ['a', 'd']), true, `the life after crash ${n}`);
        await judge(disk, n);
      }
      assert.ok(crashed > 15, `${crashed} crashes`);
    });
  }
});

/** One life of a machine: a commit per record. False when it was cut short. */
async function life(disk: MemoryDisk, keys: readonly string[]): Promise<boolean> {
  let bench: CommitBench | undefined;
  try {
    bench = await CommitBench.open({ durable: true, disk });
    await bench.cycle.open();
    await bench.startTasks();
    for (const key of keys) {
      await bench.feed([key]);
      await bench.commit();
    }
    await bench.close();
    return true;
  } catch {
    await bench?.close().catch(() => {});
    return false;
  }
}

/** The outputs and the store are the fold of the input that is there. */
async function judge(disk: MemoryDisk, n: number): Promise<void> {
  const bench = await CommitBench.open({ durable: true, disk });
  try {
    const inputs = await bench.read('words', 'read_committed', String);
    const counts = new Map<string, number>();
    const expected = inputs.map((input) => {
      const key = input.split('=')[0] as string;
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return `${key}=${counts.get(key)}`;
    });
    assert.deepEqual(await bench.outputs(), expected, `outputs after crash ${n}`);
    for (const [key, count] of counts)
      assert.equal(await bench.stored(key), count, `${key} after crash ${n}`);
  } finally {
    await bench.close();
  }
}
