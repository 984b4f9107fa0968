/** The broker contract: membership in a group that shares out the partitions of one topic. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { GroupMember } from '../../src/broker/broker-port.ts';
import {
  type BrokerBench,
  type BrokerSupports,
  failsWith,
  Members,
  record,
} from './broker-contract-support.ts';

const partitions = 12;

export function groupContract(bench: () => BrokerBench, supports: BrokerSupports): void {
  describe('a group', () => {
    let topic: string;
    let groupId: string;
    let members: Members;

    beforeEach(async () => {
      topic = await bench().topic('tokens', partitions);
      groupId = bench().name('group');
      members = new Members(bench());
    });
    afterEach(() => members.close());

    const join = (instanceId?: string): Promise<GroupMember> => members.join(groupId, topic, instanceId);

    it('gives a member alone every partition', async () => {
      const member = await join();
      assert.equal(member.groupId, groupId);
      await members.settle(partitions);
      assert.equal(members.owned(member).length, partitions);
    });

    it('tells a member that gets nothing that it gets nothing', async () => {
      const one = await bench().topic('one-token', 1);
      await members.join(groupId, one);
      await members.settle(1);
      const second = await members.join(groupId, one);
      await bench().eventually('its share', async () => {
        await members.turn();
        return members.events.some(({ member, event }) => member === second && event.type === 'assigned');
      });
      assert.deepEqual(members.owned(second), []);
    });

    it('shares out evenly among members, with no partition owned twice on the way', async () => {
      await join();
      await members.settle(partitions);
      await join();
      await members.settle(partitions);
      await join();
      await members.settle(partitions);
      await join();
      await join();
      await members.settle(partitions);
    });

    it('moves no more than it must when members come and go', async () => {
      const first = await join();
      await members.settle(partitions);
      await join();
      await members.settle(partitions);
      const moved = async (change: () => Promise<unknown>): Promise<number> => {
        const from = members.events.length;
        await change();
        await members.settle(partitions);
        return members.events
          .slice(from)
          .filter(({ event }) => event.type === 'assigned')
          .reduce((sum, { event }) => sum + event.partitions.length, 0);
      };
      assert.equal(await moved(() => join()), 4);
      assert.equal(await moved(() => members.leave(first)), 4);
    });

    it('gives a partition to the next owner only when the old one has acknowledged its loss', async () => {
      const old = await join();
      await members.settle(partitions);
      members.silence(old);
      const next = await join();
      const revoked = await bench().eventually('the revocation', async () => {
        await members.turn();
        return (await old.poll(0)).find((event) => event.type === 'revoked');
      });
      assert.equal(revoked.partitions.length, partitions / 2);
      for (let i = 0; i < 5; i++) {
        await members.turn();
        assert.deepEqual(await old.poll(0), []);
        assert.deepEqual(members.owned(next), []);
      }
      await old.acknowledge(revoked);
      await bench().eventually('the assignment', async () => {
        await members.turn();
        await old.poll(0);
        return members.owned(next).length === partitions / 2;
      });
      assert.deepEqual(
        members.owned(next),
        [...revoked.partitions].sort((a, b) => a - b),
      );
      await old.close();
    });

    it('lets the old owner commit between the revocation and its acknowledgement', async () => {
      const data = await bench().topic('data');
      const old = await join();
      await members.settle(partitions);
      members.silence(old);
      await join();
      const revoked = await bench().eventually('the revocation', async () => {
        await members.turn();
        return (await old.poll(0)).find((event) => event.type === 'revoked');
      });
      const producer = await bench().producer(bench().name('tx'));
      await producer.begin();
      await producer.send([record(data, 'last')]);
      await producer.sendOffsets([{ topic: data, partition: 0, offset: 4 }], old);
      await producer.commit();
      await old.acknowledge(revoked);
      assert.deepEqual(await bench().committed(groupId, data), [4]);
      await producer.close();
      await old.close();
    });

    it('gives the partitions of a member that leaves to the others', async () => {
      const leaving = await join();
      const staying = await join();
      await members.settle(partitions);
      await members.leave(leaving);
      await leaving.close();
      await members.settle(partitions);
      assert.equal(members.owned(staying).length, partitions);
    });

    it('leaves a member without partitions when there are more members than partitions', async () => {
      const small = await bench().topic('tokens', 2);
      const name = bench().name('group');
      const three = [];
      for (let i = 0; i < 3; i++) three.push(await members.join(name, small));
      await members.settle(2);
      assert.deepEqual(three.map((member) => members.owned(member).length).sort(), [0, 1, 1]);
    });

    it('keeps its offsets while it has no members', async () => {
      const data = await bench().topic('data');
      const member = await join();
      await members.settle(partitions);
      const producer = await bench().producer(bench().name('tx'));
      await producer.begin();
      await producer.sendOffsets([{ topic: data, partition: 0, offset: 8 }], member);
      await producer.commit();
      await members.leave(member);
      assert.deepEqual(await bench().committed(groupId, data), [8]);
      await producer.close();
    });

    it('takes offsets of other topics without a transaction, and answers with them', async () => {
      const data = await bench().topic('data', 2);
      const member = await join();
      await members.settle(partitions);
      await member.commitOffsets([
        { topic: data, partition: 0, offset: 3 },
        { topic: data, partition: 1, offset: 5 },
      ]);
      assert.deepEqual(await bench().committed(groupId, data, [0, 1]), [3, 5]);
      await member.commitOffsets([{ topic: data, partition: 1, offset: 6 }]);
      await member.commitOffsets([]);
      assert.deepEqual(await bench().committed(groupId, data, [0, 1]), [3, 6]);
    });

    it('takes offsets without a transaction between a revocation and its acknowledgement', async () => {
      const data = await bench().topic('data');
      const old = await join();
      await members.settle(partitions);
      members.silence(old);
      await join();
      const revoked = await bench().eventually('the revocation', async () => {
        await members.turn();
        return (await old.poll(0)).find((event) => event.type === 'revoked');
      });
      await old.commitOffsets([{ topic: data, partition: 0, offset: 4 }]);
      await old.acknowledge(revoked);
      assert.deepEqual(await bench().committed(groupId, data), [4]);
      await old.close();
    });

    it('refuses offsets without a transaction of a member that has left', async () => {
      const data = await bench().topic('data');
      const gone = await join();
      await members.settle(partitions);
      await members.leave(gone);
      await assert.rejects(
        gone.commitOffsets([{ topic: data, partition: 0, offset: 1 }]),
        failsWith('MEMBER_FENCED'),
      );
      assert.deepEqual(await bench().committed(groupId, data), [undefined]);
    });

    it('waits up to waitMs for something to happen, and wakes when it does', async () => {
      const member = await join();
      const event = await bench().eventually('the assignment', async () => {
        return (await member.poll(bench().supports.deadlineMs))[0];
      });
      assert.equal(event.type, 'assigned');
      await member.acknowledge(event);
      await member.close();
    });

    it('of a topic that does not exist is refused by name', async () => {
      await assert.rejects(bench().join(groupId, bench().name('none')), failsWith('TOPIC_UNKNOWN'));
    });

    it('gives a static member its partitions back when it comes again in time', async () => {
      const one = await join('one');
      await join('two');
      await members.settle(partitions);
      const owned = members.owned(one);
      await members.leave(one);
      const again = await join('one');
      await members.settle(partitions);
      assert.deepEqual(members.owned(again), owned);
    });

    if (supports.instanceTakeOver) {
      it('fences the older of two members with the same instance id', async () => {
        const data = await bench().topic('data');
        const older = await join('same');
        await members.settle(partitions);
        members.silence(older);
        const newer = await join('same');
        await members.settle(partitions);
        assert.equal(members.owned(newer).length, partitions);
        const producer = await bench().producer(bench().name('tx'));
        await producer.begin();
        await assert.rejects(
          producer.sendOffsets([{ topic: data, partition: 0, offset: 1 }], older),
          failsWith('MEMBER_FENCED'),
        );
        await assert.rejects(
          older.commitOffsets([{ topic: data, partition: 0, offset: 1 }]),
          failsWith('MEMBER_FENCED'),
        );
        await producer.abort();
        const lost = await bench().eventually('the loss', async () => (await older.poll(0))[0]);
        assert.equal(lost.type, 'lost');
        assert.equal(lost.partitions.length, partitions);
        await older.acknowledge(lost);
        await assert.rejects(
          bench().eventually('the refusal', () => older.poll(0).then(() => false)),
          failsWith('MEMBER_FENCED'),
        );
        await older.close();
        await producer.close();
        await members.turn();
        assert.equal(members.owned(newer).length, partitions);
      });
    }

    if (supports.removesSilentMembers) {
      it('removes a member that is not polled for its session, refuses its offsets, and takes it back', async () => {
        const data = await bench().topic('data');
        const silent = await join();
        const polled = await join();
        await members.settle(partitions);
        members.silence(silent);
        await bench().eventually('the other owns all', async () => {
          await supports.passTime?.(supports.sessionTimeoutMs / 4);
          await members.turn();
          return members.owned(polled).length === partitions;
        });
        const producer = await bench().producer(bench().name('tx'));
        await producer.begin();
        await producer.send([record(data, 'zombie')]);
        await assert.rejects(
          producer.sendOffsets([{ topic: data, partition: 0, offset: 1 }], silent),
          failsWith('MEMBER_FENCED'),
        );
        await assert.rejects(
          silent.commitOffsets([{ topic: data, partition: 0, offset: 1 }]),
          failsWith('MEMBER_FENCED'),
        );
        await producer.abort();
        const [lost] = await silent.poll(0);
        assert.equal(lost?.type, 'lost');
        assert.equal(lost?.partitions.length, partitions / 2);
        await silent.acknowledge(lost as never);
        await bench().eventually('it has partitions again', async () => {
          await members.turn();
          const events = await silent.poll(0);
          for (const event of events) await silent.acknowledge(event);
          return events.some((event) => event.type === 'assigned');
        });
        await producer.begin();
        await producer.sendOffsets([{ topic: data, partition: 0, offset: 2 }], silent);
        await producer.commit();
        assert.deepEqual(await bench().committed(groupId, data), [2]);
        await producer.close();
        await silent.close();
      });

      it('keeps the partitions of a silent static member for its session, then shares them out', async () => {
        const one = await join('one');
        const two = await join('two');
        await members.settle(partitions);
        await members.leave(one);
        await supports.passTime?.(supports.sessionTimeoutMs / 2);
        for (let i = 0; i < 5; i++) await members.turn();
        assert.equal(members.owned(two).length, partitions / 2);
        await bench().eventually('the other owns all', async () => {
          await supports.passTime?.(supports.sessionTimeoutMs / 4);
          await members.turn();
          return members.owned(two).length === partitions;
        });
      });
    }
  });
}
