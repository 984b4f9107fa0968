/** The broker contract: transactions, isolation, fencing by epoch, offsets in a transaction, time-outs. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Producer } from '../../src/broker/broker-port.ts';
import {
  type BrokerBench,
  type BrokerSupports,
  failsAs,
  failsWith,
  Members,
  poll,
  record,
} from './broker-contract-support.ts';

export function transactionContract(bench: () => BrokerBench, supports: BrokerSupports): void {
  const isolationContracts = (): void => {
    it('shows its records to read_committed when it has committed, all partitions at once', async () => {
      const topic = await bench().topic('commit', 2);
      const producer = await bench().producer(bench().name('tx'));
      await producer.begin();
      await producer.send([record(topic, 'a', 0), record(topic, 'x', 1)]);
      await producer.flush();
      await bench().shows([], topic);
      await producer.commit();
      await bench().shows(['a'], topic, 'read_committed', 0);
      await bench().shows(['x'], topic, 'read_committed', 1);
      await producer.close();
    });

    it('shows its records to read_uncommitted as soon as they are flushed', async () => {
      const topic = await bench().topic('dirty');
      const producer = await bench().producer(bench().name('tx'));
      await producer.begin();
      await producer.send([record(topic, 'a')]);
      await producer.flush();
      await bench().shows(['a'], topic, 'read_uncommitted');
      await producer.abort();
      await producer.close();
    });

    it('takes one offset more in each partition when it ends: the marker', async () => {
      const topic = await bench().topic('marker', 3);
      const producer = await bench().producer(bench().name('tx'));
      await producer.begin();
      await producer.send([record(topic, 'a', 0), record(topic, 'b', 0), record(topic, 'x', 1)]);
      await producer.commit();
      const partitions = [0, 1, 2].map((partition) => ({ topic, partition }));
      await bench().eventually('the markers', async () => {
        const ends = await bench().broker.admin.endOffsets(partitions, 'read_committed');
        return ends.join() === '3,2,0';
      });
      await producer.close();
    });

    it('is passed over by the position of a reader, marker and aborted records included', async () => {
      const topic = await bench().topic('passed');
      const producer = await bench().producer(bench().name('tx'));
      await producer.begin();
      await producer.send([record(topic, 'a')]);
      await producer.commit();
      await producer.begin();
      await producer.send([record(topic, 'never'), record(topic, 'never')]);
      await producer.flush();
      await producer.abort();
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 0 }]);
      await bench().take(consumer, 1);
      await bench().eventually('position 5', async () => {
        assert.deepEqual(await poll(consumer), []);
        return consumer.position({ topic, partition: 0 }) === 5;
      });
      await consumer.close();
      await producer.close();
    });

    it('hides aborted records from read_committed for ever, between committed ones too', async () => {
      const topic = await bench().topic('abort');
      const producer = await bench().producer(bench().name('tx'));
      for (const [value, commits] of [
        ['a', true],
        ['b', false],
        ['c', true],
        ['d', false],
      ] as const) {
        await producer.begin();
        await producer.send([record(topic, value)]);
        await producer.flush();
        await (commits ? producer.commit() : producer.abort());
      }
      await bench().shows(['a', 'c'], topic);
      await producer.close();
    });

    it('holds back what was written after its first record: the last stable offset', async () => {
      const topic = await bench().topic('stable');
      await bench().write(topic, ['before']);
      const producer = await bench().producer(bench().name('tx'));
      await producer.begin();
      await producer.send([record(topic, 'inside')]);
      await producer.flush();
      await bench().write(topic, ['after']);
      const ends = async () => {
        const at = [{ topic, partition: 0 }];
        const [committed] = await bench().broker.admin.endOffsets(at, 'read_committed');
        const [uncommitted] = await bench().broker.admin.endOffsets(at, 'read_uncommitted');
        return `${committed} ${uncommitted}`;
      };
      await bench().eventually('ends 1 and 3', async () => (await ends()) === '1 3');
      await bench().shows(['before'], topic);
      await producer.commit();
      await bench().eventually('ends 4 and 4', async () => (await ends()) === '4 4');
      await bench().shows(['before', 'inside', 'after'], topic);
      await producer.close();
    });

    it('is held back by an older one that is still open, and shown in the order of the offsets', async () => {
      const topic = await bench().topic('overlap');
      const older = await bench().producer(bench().name('tx'));
      const newer = await bench().producer(bench().name('tx'));
      await older.begin();
      await older.send([record(topic, 'older')]);
      await older.flush();
      await newer.begin();
      await newer.send([record(topic, 'newer')]);
      await newer.commit();
      await bench().shows([], topic);
      await older.commit();
      await bench().shows(['older', 'newer'], topic);
      await older.close();
      await newer.close();
    });

    it('wakes a waiting reader when it commits', async () => {
      const topic = await bench().topic('wake');
      const producer = await bench().producer(bench().name('tx'));
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 0 }]);
      await producer.begin();
      await producer.send([record(topic, 'a')]);
      await producer.flush();
      const pending = bench().eventually('a batch', async () => {
        return (await consumer.poll({ recordsMax: 10, waitMs: bench().supports.deadlineMs }))[0];
      });
      await producer.commit();
      assert.equal((await pending).value(0)?.toString(), 'a');
      await consumer.close();
      await producer.close();
    });

    it('may be empty, and may follow another one at once', async () => {
      const topic = await bench().topic('many');
      const producer = await bench().producer(bench().name('tx'));
      for (let i = 0; i < 12; i++) {
        await producer.begin();
        if (i % 3 !== 0) await producer.send([record(topic, `${i}`)]);
        await (i % 4 === 1 ? producer.abort() : producer.commit());
      }
      await bench().shows(['2', '4', '7', '8', '10', '11'], topic);
      assert.equal(typeof producer.mayHaveRetried(), 'boolean');
      await producer.close();
    });

    it('has every record of a batch too large refused and can still commit or abort', async () => {
      const topic = await bench().topic('large');
      const producer = await bench().producer(bench().name('tx'));
      await producer.begin();
      const large = { ...record(topic, null), value: Buffer.alloc(2 * 1024 * 1024) };
      await assert.rejects(
        producer.send([large]).then(() => producer.flush()),
        failsWith('RECORD_TOO_LARGE'),
      );
      await producer.abort();
      await producer.begin();
      await producer.send([record(topic, 'small')]);
      await producer.commit();
      await bench().shows(['small'], topic);
      await producer.close();
    });
  };

  const stateContracts = (): void => {
    it('refuses calls out of order', async () => {
      const topic = await bench().topic('state');
      const producer = await bench().broker.openProducer({
        clientId: 'c',
        transactionalId: bench().name('tx'),
      });
      const invalid = failsWith('TRANSACTION_STATE_INVALID');
      await assert.rejects(producer.begin(), invalid);
      await producer.init();
      await assert.rejects(producer.commit(), invalid);
      await assert.rejects(producer.abort(), invalid);
      await assert.rejects(producer.send([record(topic, 'a')]), invalid);
      await producer.begin();
      await assert.rejects(producer.begin(), invalid);
      await producer.commit();
      await producer.close();
      await producer.close();
    });

    it('is ended by the init of a successor, and shows nothing of it', async () => {
      const topic = await bench().topic('successor');
      const id = bench().name('tx');
      const older = await bench().producer(id);
      await older.begin();
      await older.send([record(topic, 'lost')]);
      await older.flush();
      const newer = await bench().producer(id);
      await newer.begin();
      await newer.send([record(topic, 'kept')]);
      await newer.commit();
      await bench().shows(['kept'], topic);
      await older.close();
      await newer.close();
    });

    for (const [call, run] of [
      ['commit', (producer: Producer) => producer.commit()],
      ['send', (producer: Producer, topic: string) => sendAndEnd(producer, topic)],
      ['abort', (producer: Producer) => producer.abort()],
    ] as const) {
      it(`fences the older producer when it calls ${call}`, async () => {
        const topic = await bench().topic('fenced');
        const id = bench().name('tx');
        const older = await bench().producer(id);
        await older.begin();
        await older.send([record(topic, 'lost')]);
        await older.flush();
        const newer = await bench().producer(id);
        await assert.rejects(run(older, topic), failsWith('PRODUCER_FENCED'));
        await assert.rejects(older.begin(), failsAs('fenced', 'fatal'));
        await bench().shows([], topic);
        await older.close();
        await newer.close();
      });
    }

    it('fences an older producer that begins only afterwards', async () => {
      const topic = await bench().topic('fenced');
      const id = bench().name('tx');
      const older = await bench().producer(id);
      const newer = await bench().producer(id);
      await assert.rejects(
        older.begin().then(() => sendAndEnd(older, topic)),
        failsWith('PRODUCER_FENCED'),
      );
      await newer.begin();
      await newer.send([record(topic, 'kept')]);
      await newer.commit();
      await bench().shows(['kept'], topic);
      await older.close();
      await newer.close();
    });

    it('is left open by close and ended by the successor', async () => {
      const topic = await bench().topic('closed');
      const id = bench().name('tx');
      const older = await bench().producer(id);
      await older.begin();
      await older.send([record(topic, 'lost')]);
      await older.flush();
      await older.close();
      const newer = await bench().producer(id);
      await bench().write(topic, ['after']);
      await bench().shows(['after'], topic);
      await newer.close();
    });

    it('is aborted when its time is out, and its producer can commit nothing more', async () => {
      const topic = await bench().topic('timeout');
      const timeoutMs = 2000;
      const producer = await bench().producer(bench().name('tx'), timeoutMs);
      await producer.begin();
      await producer.send([record(topic, 'late')]);
      await producer.flush();
      await bench().write(topic, ['after']);
      await bench().shows([], topic);
      await supports.passTime?.(timeoutMs + 1);
      await bench().eventually('the transaction is aborted', async () => {
        const [end] = await bench().broker.admin.endOffsets([{ topic, partition: 0 }], 'read_committed');
        return (end as number) >= 3;
      });
      await assert.rejects(
        producer.commit(),
        supports.fencesAfterTimeout ? failsWith('PRODUCER_FENCED') : failsAs('fenced', 'abort'),
      );
      await bench().shows(['after'], topic);
      await producer.close();
    });

    it('that times out wakes a reader that waits for what is behind it', async () => {
      const topic = await bench().topic('timeout');
      const producer = await bench().producer(bench().name('tx'), 2000);
      const consumer = await bench().consumer();
      await consumer.assign([{ topic, partition: 0, offset: 0 }]);
      await producer.begin();
      await producer.send([record(topic, 'late')]);
      await producer.flush();
      await bench().write(topic, ['after']);
      const pending = bench().eventually('a batch', async () => {
        return (await consumer.poll({ recordsMax: 10, waitMs: bench().supports.deadlineMs }))[0];
      });
      await supports.passTime?.(2001);
      assert.equal((await pending).value(0)?.toString(), 'after');
      await consumer.close();
      await producer.close();
    });
  };

  const offsetContracts = (): void => {
    const withMember = async (
      run: (groupId: string, members: Members, tokens: string) => Promise<void>,
    ): Promise<void> => {
      const tokens = await bench().topic('tokens', 2);
      const members = new Members(bench());
      try {
        await run(bench().name('group'), members, tokens);
      } finally {
        await members.close();
      }
    };

    it('become the group’s when the transaction commits, of topics the group does not share out too', () =>
      withMember(async (groupId, members, tokens) => {
        const topic = await bench().topic('data', 3);
        const member = await members.join(groupId, tokens);
        await members.settle(2);
        const producer = await bench().producer(bench().name('tx'));
        assert.deepEqual(await bench().committed(groupId, topic, [0, 1]), [undefined, undefined]);
        await producer.begin();
        await producer.send([record(topic, 'a')]);
        await producer.sendOffsets(
          [
            { topic, partition: 0, offset: 5 },
            { topic, partition: 2, offset: 0 },
          ],
          member,
        );
        await producer.commit();
        assert.deepEqual(await bench().committed(groupId, topic, [2, 1, 0]), [0, undefined, 5]);
        await producer.begin();
        await producer.sendOffsets([{ topic, partition: 0, offset: 6 }], member);
        await producer.sendOffsets([{ topic, partition: 0, offset: 7 }], member);
        await producer.commit();
        assert.deepEqual(await bench().committed(groupId, topic, [0, 1, 2]), [7, undefined, 0]);
        await producer.close();
      }));

    it('are dropped when the transaction aborts', () =>
      withMember(async (groupId, members, tokens) => {
        const topic = await bench().topic('data');
        const member = await members.join(groupId, tokens);
        await members.settle(2);
        const producer = await bench().producer(bench().name('tx'));
        await producer.begin();
        await producer.sendOffsets([{ topic, partition: 0, offset: 3 }], member);
        await producer.commit();
        await producer.begin();
        await producer.sendOffsets([{ topic, partition: 0, offset: 9 }], member);
        await producer.abort();
        assert.deepEqual(await bench().committed(groupId, topic), [3]);
        await producer.close();
      }));

    it('are told only when they are stable: not while a transaction that sends them is open', () =>
      withMember(async (groupId, members, tokens) => {
        const topic = await bench().topic('data', 2);
        const member = await members.join(groupId, tokens);
        await members.settle(2);
        const producer = await bench().producer(bench().name('tx'));
        await producer.begin();
        await producer.sendOffsets([{ topic, partition: 0, offset: 3 }], member);
        let told = false;
        const asked = bench()
          .committed(groupId, topic)
          .finally(() => {
            told = true;
          });
        // The other partition has nothing pending: once it is told, the pending one would have been too.
        assert.deepEqual(await bench().committed(groupId, topic, [1]), [undefined]);
        assert.equal(told, false);
        await producer.commit();
        assert.deepEqual(await asked, [3]);
        await producer.close();
      }));

    it('of an older producer are dropped by the init of its successor', () =>
      withMember(async (groupId, members, tokens) => {
        const topic = await bench().topic('data');
        const member = await members.join(groupId, tokens);
        await members.settle(2);
        const id = bench().name('tx');
        const older = await bench().producer(id);
        await older.begin();
        await older.sendOffsets([{ topic, partition: 0, offset: 3 }], member);
        const newer = await bench().producer(id);
        assert.deepEqual(await bench().committed(groupId, topic), [undefined]);
        await assert.rejects(older.commit(), failsWith('PRODUCER_FENCED'));
        await older.close();
        await newer.close();
      }));

    it('of a member that left are refused, and the transaction is to be aborted or given up', () =>
      withMember(async (groupId, members, tokens) => {
        const topic = await bench().topic('data');
        const member = await members.join(groupId, tokens);
        await members.settle(2);
        await members.leave(member);
        const producer = await bench().producer(bench().name('tx'));
        await producer.begin();
        await producer.send([record(topic, 'a')]);
        await assert.rejects(
          producer.sendOffsets([{ topic, partition: 0, offset: 1 }], member),
          failsWith('MEMBER_FENCED'),
        );
        await producer.abort();
        await bench().shows([], topic);
        assert.deepEqual(await bench().committed(groupId, topic), [undefined]);
        await producer.close();
      }));

    it('are sent inside a transaction only', () =>
      withMember(async (groupId, members, tokens) => {
        const member = await members.join(groupId, tokens);
        await members.settle(2);
        const producer = await bench().producer(bench().name('tx'));
        await assert.rejects(
          producer.sendOffsets([{ topic: tokens, partition: 0, offset: 1 }], member),
          failsWith('TRANSACTION_STATE_INVALID'),
        );
        await producer.close();
      }));
  };

  describe('a transaction', () => {
    isolationContracts();
    stateContracts();
  });
  describe('offsets in a transaction', offsetContracts);
}

/** A fenced producer may notice at the send, at the flush or at the commit. */
async function sendAndEnd(producer: Producer, topic: string): Promise<void> {
  await producer.send([record(topic, 'late')]);
  await producer.flush();
  await producer.commit();
}
