/** The rules of positions and restore (docs/spec/rules.md, P), each in a test that begins with its id. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { sortableInteger } from '../../src/base/bytes.ts';
import { silentTelemetry } from '../../src/base/telemetry-port.ts';
import type { Admin, Broker, OutgoingRecord, Producer } from '../../src/broker/broker-port.ts';
import { type RestoreResult, restoreTask } from '../../src/restore/changelog-restorer.ts';
import { longSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { TaskState } from '../../src/store/task-state.ts';
import type { TaskPlan } from '../../src/task/task-plan.ts';
import { clockKey, inputClock } from '../../src/task/timer-index.ts';
import {
  CommitBench,
  type CommitBenchOptions,
  changelog,
  counts,
  EagerClock,
} from '../support/commit-bench.ts';

const words = { topic: 'words', partition: 0 };
const log = { topic: changelog, partition: 0 };
const position = `changelog/${changelog}`;

describe('rules of positions and restore', () => {
  let bench: CommitBench;
  const states: TaskState[] = [];
  const open = async (options: CommitBenchOptions = {}): Promise<CommitBench> => {
    bench = await CommitBench.open(options);
    return bench;
  };
  afterEach(async () => {
    for (const state of states.splice(0)) await state.close();
    await (bench as CommitBench | undefined)?.close();
  });

  /** Another task's state of the same plan: a volume of its own. */
  const stateOn = async (disk: MemoryDisk): Promise<TaskState> => {
    const plan = bench.plan.tasks[0] as TaskPlan;
    const state = new TaskState(
      await disk.open('volume'),
      plan.stores.map(({ spec }) => spec.name),
      100,
    );
    states.push(state);
    return state;
  };

  const restore = (
    state: TaskState,
    more: { broker?: Broker; groupId?: string; nowMs?: number; log?: typeof silentTelemetry.log } = {},
  ): Promise<RestoreResult> =>
    restoreTask({
      broker: more.broker ?? bench.broker,
      groupId: more.groupId ?? 'app',
      plan: bench.plan.tasks[0] as TaskPlan,
      state,
      log: more.log ?? silentTelemetry.log,
      progress: { taskId: '0_0', restored: 0, remaining: 0 },
      abandoned: () => false,
      nowMs: more.nowMs ?? bench.clock.nowMs(),
    });

  const writer = async (id: string, timeoutMs = 60_000): Promise<Producer> => {
    const producer = await bench.broker.openProducer({
      clientId: id,
      transactionalId: id,
      transactionTimeoutMs: timeoutMs,
    });
    await producer.init();
    return producer;
  };

  const entry = (key: string, count: number): OutgoingRecord => ({
    ...log,
    key: Buffer.from(key),
    value: longSerde.serialize(count, ''),
    timestamp: 1,
    headers: [],
  });

  const countIn = async (state: TaskState, key: string): Promise<number | undefined> => {
    const bytes = await state.getCommitted(counts, Buffer.from(key));
    return bytes === undefined ? undefined : (longSerde.deserialize(bytes, '') as number);
  };

  it('P1 the stored position never leads: store and tail are the whole changelog, whatever a zombie writes', async () => {
    await open();
    const zombie = await writer('zombie');
    for (let turn = 0; turn < 12; turn++) {
      const ends = turn % 3;
      if (ends === 0) {
        await zombie.begin();
        await zombie.send([entry(`z${turn}`, turn + 1)]);
      }
      await bench.feed(['a', `k${turn % 4}`]);
      await bench.commit();
      const [stored] = await bench.task.state.readMeta([position]);
      const [stable] = await bench.broker.admin.endOffsets([log], 'read_committed');
      assert.ok(Number(stored) <= (stable as number), 'below every open transaction');
      // It cannot commit: its member lost its place, so its offsets are refused (O2). Until it ends, its records
      // lie between ours.
      if (ends === 1) await zombie.abort();
      // A crash now: the volume and what it replays, beside a replay of everything.
      if (ends === 2) {
        await bench.startTasks();
        const whole = await stateOn(new MemoryDisk());
        assert.equal((await restore(whole)).outcome, 'restored');
        for (const key of ['a', 'k0', 'k1', 'k2', 'k3', `z${turn - 2}`])
          assert.equal(await bench.stored(key), await countIn(whole, key), `${key} in turn ${turn}`);
        assert.equal(await bench.stored('a'), turn + 1);
      }
    }
    await zombie.close();
  });

  it('P1 an instance that stands still after its commit does not take the new owner’s records for its own', async () => {
    let newOwner: (() => Promise<void>) | undefined;
    await open({
      change: (producer) => ({
        commit: async () => {
          await producer.commit();
          await newOwner?.();
        },
      }),
    });
    await bench.feed(['a']);
    await bench.commit();
    const other = await writer('new owner');
    newOwner = async () => {
      await other.begin();
      await other.send([entry('b', 7)]);
      await other.commit();
    };
    await bench.feed(['a']);
    await bench.commit();
    newOwner = undefined;
    // It gets the task back.
    await bench.startTasks();
    assert.equal(await bench.stored('b'), 7);
    await other.close();
  });

  it('P2 a store that lags is replayed to the end before it serves', async () => {
    let fails = false;
    const disk = new MemoryDisk({
      beforeWrite: () => {
        if (fails) throw new Error('the disk is away');
      },
    });
    await open({ disk });
    // Deleted and written again: on the way through, a replay shows values that are no longer true.
    await bench.feed(['a', 'a', 'a']);
    await bench.commit();
    await bench.feed(['a']);
    fails = true;
    await assert.rejects(bench.commit());
    fails = false;
    assert.equal(await bench.stored('a'), 3, 'it lags');
    await bench.startTasks();
    assert.equal(await bench.stored('a'), 4);
    assert.equal(bench.consumer.position(words), 4);
  });

  it('P3 the high watermark is no bound: what an open transaction wrote stays above the position', async () => {
    await open();
    await bench.feed(['a']);
    await bench.commit();
    const next = await writer('next');
    await next.begin();
    await next.send([entry('b', 1)]);
    await bench.feed(['a']);
    await bench.commit();
    const [stored] = await bench.task.state.readMeta([position]);
    const [high] = await bench.broker.admin.endOffsets([log], 'read_uncommitted');
    assert.ok(Number(stored) < (high as number));
    await next.commit();
    await bench.startTasks();
    assert.equal(await bench.stored('b'), 1, 'it was committed later, below the old high watermark');
    await next.close();
  });

  it('P4 the target is read in this order: the stable input offsets, then the uncommitted end of the changelog', async () => {
    await open();
    await bench.feed(['a']);
    await bench.commit();
    const asked: string[] = [];
    const { admin } = bench.broker;
    const watched: Admin = {
      createTopics: (specs) => admin.createTopics(specs),
      describeTopics: (names) => admin.describeTopics(names),
      listTopics: () => admin.listTopics(),
      deleteTopics: (names) => admin.deleteTopics(names),
      startOffsets: (partitions) => admin.startOffsets(partitions),
      endOffsets: (partitions, isolation) => {
        if (partitions.some(({ topic }) => topic === changelog)) asked.push(`end ${isolation}`);
        return admin.endOffsets(partitions, isolation);
      },
      offsetsForTimes: (partitions) => admin.offsetsForTimes(partitions),
      committedOffsets: (groupId, partitions) => {
        asked.push('committed');
        return admin.committedOffsets(groupId, partitions);
      },
    };
    const result = await restore(await stateOn(new MemoryDisk()), {
      broker: { ...through(bench.broker), admin: watched },
    });
    assert.equal(result.outcome, 'restored');
    // Whether the changelog is lost is asked in between; the target itself is the last that is asked for.
    assert.equal(asked.shift(), 'committed');
    assert.ok(
      asked.length > 0 && asked.every((question) => question === 'end read_uncommitted'),
      String(asked),
    );
  });

  it('P5 only committed records are replayed, up to the end and past the markers', async () => {
    await open();
    await bench.feed(['a']);
    await bench.commit();
    const other = await writer('other');
    await other.begin();
    await other.send([entry('a', 99)]);
    await other.abort();
    const state = await stateOn(new MemoryDisk());
    await restore(state);
    assert.equal(await countIn(state, 'a'), 1);
    const [end] = await bench.broker.admin.endOffsets([log], 'read_uncommitted');
    assert.deepEqual(await state.readMeta([position]), [String(end)]);
    await other.close();
  });

  it('P6 an open transaction of a dead member delays a restore by its time-out and no longer', async () => {
    const clock = new EagerClock();
    await open({ clock });
    await bench.feed(['a']);
    await bench.commit();
    const dead = await writer('dead', 10_000);
    await dead.begin();
    await dead.send([entry('a', 99)]);
    const state = await stateOn(new MemoryDisk());
    const beganMs = clock.monotonicMs();
    assert.equal((await restore(state)).outcome, 'restored');
    const tookMs = clock.monotonicMs() - beganMs;
    assert.ok(tookMs >= 10_000, 'it waited for the transaction');
    assert.ok(tookMs < 12_000, `${tookMs} ms`);
    assert.equal(await countIn(state, 'a'), 1);
  });

  it('P7 a volume of another topic, beyond the end or too old is refused with its reason', async () => {
    await open();
    await bench.feed(['a']);
    await bench.commit();
    const [described] = await bench.broker.admin.describeTopics([changelog]);
    const [end] = await bench.broker.admin.endOffsets([log], 'read_uncommitted');
    const halfADay = 12 * 3_600_000;
    const volumes: [RegExp, string, string, number][] = [
      [/deleted and created again/, '1', 'another id', 0],
      [/beyond the end/, String((end as number) + 1), described?.topicId ?? '', 0],
      [/hours old/, '1', described?.topicId ?? '', halfADay + 3_600_000],
    ];
    for (const [reason, at, id, ageMs] of volumes) {
      const state = await stateOn(new MemoryDisk());
      const writtenMs = bench.clock.nowMs() - ageMs;
      const meta = new Map([
        [position, at],
        [`changelog-id/${changelog}`, id],
        [`changelog-at/${changelog}`, String(writtenMs)],
      ]);
      await state.applyChangelog(counts, [], meta);
      const result = await restore(state);
      assert.equal(result.outcome, 'rebuild');
      assert.match(result.outcome === 'rebuild' ? result.reason : '', reason);
    }
  });

  it('P8 a crash is never a reason to rebuild: a killed volume is replayed from where it was', async () => {
    const disk = new MemoryDisk();
    await open({ disk });
    await bench.feed(['a', 'b']);
    await bench.commit();
    // A position covers what was stored before its commit.
    await bench.commit();
    const before = await bench.task.state.readMeta([position]);
    await bench.feed(['a']);
    disk.kill();
    await assert.rejects(bench.commit());
    // `startTasks` refuses anything but a restore.
    await bench.startTasks();
    assert.equal(await bench.stored('a'), 2, 'committed, and replayed');
    assert.equal(await bench.stored('b'), 1);
    assert.ok(Number(before[0]) > 0);
  });

  it('P9 a query sees committed state only, never a generation', async () => {
    await open();
    await bench.feed(['a']);
    assert.equal(await bench.stored('a'), undefined, 'open');
    await bench.commit();
    await bench.feed(['a']);
    bench.task.seal(bench.position);
    assert.equal(await bench.stored('a'), 1, 'sealed');
    bench.task.discard();
  });

  it('P10 a position names the input offsets applied, in the store and in the changelog', async () => {
    await open();
    await bench.feed(['a', 'b', 'c']);
    await bench.commit();
    assert.deepEqual(await bench.task.state.readMeta(['input/words']), ['3']);
    const inChangelog = await bench.read('app-task-0-changelog', 'read_committed', (bytes) =>
      bytes.toString('hex'),
    );
    const key = clockKey(inputClock('words')).toString();
    assert.deepEqual(
      inChangelog.filter((record) => record.startsWith(key)),
      [`${key}=${sortableInteger(3).toString('hex')}`],
    );
  });
});

function through(broker: Broker): Broker {
  return {
    kind: broker.kind,
    admin: broker.admin,
    openConsumer: (options) => broker.openConsumer(options),
    joinGroup: (options) => broker.joinGroup(options),
    openProducer: (options) => broker.openProducer(options),
    close: () => broker.close(),
  };
}
