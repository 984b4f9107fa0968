/**
 * The rules of ownership (docs/spec/rules.md, O), each in a test that begins with its id.
 * Method: group members, tasks and whole instances on the embedded broker.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { StreamsApp } from '../../src/app/streams-app.ts';
import { placeStandbys } from '../../src/assign/place-standbys.ts';
import type { Clock } from '../../src/base/clock-port.ts';
import { StreamsError } from '../../src/base/errors.ts';
import { type Logger, silentTelemetry } from '../../src/base/telemetry-port.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker, Consumer, GroupEvent, GroupMember } from '../../src/broker/broker-port.ts';
import { balance } from '../../src/broker/embedded-assignor.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import { deadLetterPolicy } from '../../src/failure/failure-policy.ts';
import { restoreTask } from '../../src/restore/changelog-restorer.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { CommitBench, type CommitBenchOptions, EagerClock } from '../support/commit-bench.ts';
import { countingTopology } from '../support/counting-topology.ts';
import { eventually } from '../support/eventually.ts';

function failsWith(code: string): (error: unknown) => boolean {
  return (error) => error instanceof StreamsError && error.code === code;
}

/** Methods of `changes` go before the broker's own. */
function changed(broker: Broker, changes: Partial<Broker>): Broker {
  return {
    kind: broker.kind,
    admin: broker.admin,
    openConsumer: (options) => broker.openConsumer(options),
    joinGroup: (options) => broker.joinGroup(options),
    openProducer: (options) => broker.openProducer(options),
    close: () => broker.close(),
    ...changes,
  };
}

/** Whole instances on one broker; closed whatever a test does. */
class House {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly #apps: StreamsApp[] = [];

  constructor(broker: Broker, clock: Clock) {
    this.broker = broker;
    this.clock = clock;
  }

  static async open(clock: Clock, partitions: number): Promise<House> {
    const broker = await openEmbeddedBroker({ backend: undefined, clock });
    await broker.admin.createTopics([
      { name: 'words', partitions },
      { name: 'totals', partitions },
    ]);
    return new House(broker, clock);
  }

  app(instance: string, broker: Broker = this.broker, disk = new MemoryDisk()): StreamsApp {
    const app = new StreamsApp({
      topology: countingTopology(),
      settings: {
        applicationId: 'app',
        transactionalId: `app-${instance}`,
        commitIntervalMs: 5,
        sessionTimeoutMs: 30_000,
      },
      broker,
      openTaskBackend: disk.open,
      destroyTaskBackend: async (taskId) => disk.remove(taskId),
      clock: this.clock,
    });
    this.#apps.push(app);
    return app;
  }

  async produce(count: number): Promise<void> {
    const producer = await this.broker.openProducer({ clientId: 'test' });
    await producer.send(
      Array.from({ length: count }, (_, n) => ({
        topic: 'words',
        partition: 0,
        key: Buffer.from(`k${n}`),
        value: Buffer.from('x'),
        timestamp: 1_000,
        headers: [],
      })),
    );
    await producer.flush();
    await producer.close();
  }

  async close(): Promise<void> {
    for (const app of this.#apps) await app.stop();
    await this.broker.close();
  }
}

/** Members that answer every event, and how often each partition was revoked. */
class Group {
  readonly revocations: number[];
  readonly #broker: Broker;
  readonly #members = new Map<GroupMember, Set<number>>();

  constructor(broker: Broker, partitions: number) {
    this.#broker = broker;
    this.revocations = new Array<number>(partitions).fill(0);
  }

  async join(instanceId?: string): Promise<GroupMember> {
    const member = await this.#broker.joinGroup({
      groupId: 'g',
      topic: 'tokens',
      sessionTimeoutMs: 1_000_000,
      ...(instanceId === undefined ? {} : { instanceId }),
    });
    this.#members.set(member, new Set());
    await this.settle();
    return member;
  }

  async leave(member: GroupMember): Promise<void> {
    for (const partition of this.#members.get(member) ?? []) this.#count(partition);
    this.#members.delete(member);
    await member.close();
    await this.settle();
  }

  owned(member: GroupMember): number[] {
    return [...(this.#members.get(member) ?? [])];
  }

  /** Turns until nobody has news. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      for (const [member, owned] of this.#members) {
        for (const event of await member.poll(0)) {
          quiet = 0;
          this.#take(event, owned);
          await member.acknowledge(event);
        }
      }
    }
  }

  #take(event: GroupEvent, owned: Set<number>): void {
    for (const partition of event.partitions) {
      if (event.type === 'assigned') owned.add(partition);
      else {
        owned.delete(partition);
        this.#count(partition);
      }
    }
  }

  #count(partition: number): void {
    this.revocations[partition] = (this.revocations[partition] ?? 0) + 1;
  }
}

describe('rules of ownership', () => {
  let closing: { close(): Promise<void> } | undefined;
  const openBench = async (options: CommitBenchOptions = {}): Promise<CommitBench> => {
    const bench = await CommitBench.open(options);
    closing = bench;
    return bench;
  };
  const openHouse = async (clock: Clock = wallClock, partitions = 4): Promise<House> => {
    const house = await House.open(clock, partitions);
    closing = house;
    return house;
  };
  const openGroup = async (): Promise<Group> => {
    const broker = await openEmbeddedBroker({ backend: undefined, clock: new EagerClock() });
    closing = broker;
    await broker.admin.createTopics([{ name: 'tokens', partitions: 12 }]);
    return new Group(broker, 12);
  };
  afterEach(async () => {
    await closing?.close();
    closing = undefined;
  });

  it('O1 who has a token of the small topic has its task, and nobody else', async () => {
    const house = await openHouse();
    const [first, second] = [house.app('1'), house.app('2')];
    await first.start();
    await second.start();
    const tasksOf = (app: StreamsApp): string[] => app.status().tasks.map(({ taskId }) => taskId);
    await eventually(() => tasksOf(first).length === 2 && tasksOf(second).length === 2, {
      what: 'both to have half of the tasks',
    });
    assert.deepEqual([...tasksOf(first), ...tasksOf(second)].sort(), ['0_0', '0_1', '0_2', '0_3']);
    const [described] = await house.broker.admin.describeTopics(['app-tasks']);
    assert.equal(described?.partitions, 4);
  });

  it('O2 offsets of the data topics go under the member of the token group, which fences', async () => {
    const bench = await openBench();
    await bench.feed(['a']);
    await bench.commit();
    assert.equal(await bench.committed(), 1);
    await bench.feed(['a']);
    // Another instance has the token now.
    await bench.member.close();
    await assert.rejects(bench.commit(), failsWith('MEMBER_FENCED'));
    assert.ok(bench.trace.includes('abort'), 'the new owner does not wait for the time-out');
    assert.deepEqual(await bench.outputs(), ['a=1']);
    assert.equal(await bench.committed(), 1);
    assert.equal(await bench.stored('a'), 1);
  });

  it('O3 unchanged offsets are committed again at least hourly', async () => {
    const clock = new EagerClock();
    const house = await openHouse(clock, 1);
    const commits: { readonly atMs: number; readonly offset: number | undefined }[] = [];
    const app = house.app(
      '1',
      changed(house.broker, {
        openProducer: async (options) => {
          const producer = await house.broker.openProducer(options);
          const { sendOffsets } = producer;
          producer.sendOffsets = (offsets, member) => {
            commits.push({ atMs: clock.monotonicMs(), offset: offsets[0]?.offset });
            return sendOffsets.call(producer, offsets, member);
          };
          return producer;
        },
      }),
    );
    await house.produce(10);
    await app.start();
    await eventually(() => commits.length >= 3, {
      what: 'two more commits of nothing new',
      timeoutMs: 30_000,
    });
    assert.deepEqual(
      commits.slice(-2).map(({ offset }) => offset),
      [10, 10],
    );
    for (const [index, { atMs }] of commits.entries()) {
      const before = commits[index - 1];
      if (before !== undefined) assert.ok(atMs - before.atMs <= 3_700_000, `${atMs - before.atMs} ms`);
    }
  });

  it('O4 where the group has forgotten its offset, the one in the changelog is taken, and the log says so', async () => {
    const bench = await openBench();
    await bench.feed(['a', 'b', 'c']);
    await bench.commit();
    const lines: string[] = [];
    const log: Logger = {
      ...silentTelemetry.log,
      warn: (message) => void lines.push(message),
      child: () => log,
    };
    const result = await restoreTask({
      broker: changed(bench.broker, {
        admin: { ...bench.broker.admin, committedOffsets: async (_, inputs) => inputs.map(() => undefined) },
      }),
      groupId: bench.member.groupId,
      plan: bench.task.plan,
      state: bench.task.state,
      log,
      progress: { taskId: '0_0', restored: 0, remaining: 0 },
      abandoned: () => false,
      failurePolicy: deadLetterPolicy,
      nowMs: bench.clock.nowMs(),
    });
    assert.equal(result.outcome, 'restored');
    assert.deepEqual(result.outcome === 'restored' ? result.committed : [], [{ topic: 'words', offset: 3 }]);
    assert.ok(lines.some((line) => line.includes('going on from the store')));
  });

  it('O5 the number of tasks is that of the token topic, and another one is refused at the start', async () => {
    const house = await openHouse();
    await house.broker.admin.createTopics([{ name: 'app-tasks', partitions: 5 }]);
    await assert.rejects(house.app('1').start(), failsWith('TOPIC_MISMATCH'));
  });

  it('O6 lag is told by the group as usual: it reaches zero, past the markers', async () => {
    const bench = await openBench();
    const producer = await bench.broker.openProducer({ clientId: 'in', transactionalId: 'in' });
    await producer.init();
    await producer.begin();
    await producer.send([
      {
        topic: 'words',
        partition: 0,
        key: Buffer.from('a'),
        value: Buffer.from('x'),
        timestamp: 1,
        headers: [],
      },
    ]);
    await producer.commit();
    await bench.feed([]);
    await bench.commit();
    const [end] = await bench.broker.admin.endOffsets([{ topic: 'words', partition: 0 }], 'read_uncommitted');
    assert.equal(await bench.committed(), end);
    assert.equal(end, 2, 'the record and its marker');
    await producer.close();
  });

  it('O7 a member that was stopped for longer than its session is refused when it goes on, and nothing of it is seen', async () => {
    const clock = new EagerClock();
    const bench = await openBench({ clock, transactionTimeoutMs: 60_000_000 });
    await bench.feed(['a']);
    let resumed = (): void => {};
    const stopped = new Promise<void>((resolve) => {
      resumed = resolve;
    });
    const cycle = bench.newCycle('zombie', {
      transactionTimeoutMs: 60_000_000,
      change: (producer) => ({
        sendOffsets: async (offsets, member) => {
          await stopped;
          await producer.sendOffsets(offsets, member);
        },
      }),
    });
    const commit = cycle.commit(bench.tasks, bench.member, bench.position);
    await eventually(() => bench.trace.includes('sendOffsets'), {
      what: 'the zombie to stop in its transaction',
    });
    clock.advance(1_000_001);
    resumed();
    await assert.rejects(commit, failsWith('MEMBER_FENCED'));
    assert.deepEqual(await bench.outputs(), []);
    assert.equal(await bench.committed(), undefined);
    const [lost] = await bench.member.poll(0);
    assert.equal(lost?.type, 'lost');
    await cycle.close();
  });

  it('O8 a rolling restart of static members revokes each task at most twice; a third member takes a third', async () => {
    const group = await openGroup();
    const members = [await group.join('0'), await group.join('1')];
    const before = [...group.revocations];
    const third = await group.join('2');
    assert.equal(group.owned(third).length, 4);
    const moved = group.revocations.map((count, token) => count - (before[token] ?? 0));
    assert.equal(
      moved.reduce((sum, count) => sum + count, 0),
      4,
      'the least possible',
    );
    members.push(third);
    group.revocations.fill(0);
    for (const [index, member] of members.entries()) {
      await group.leave(member);
      members[index] = await group.join(String(index));
    }
    assert.ok(Math.max(...group.revocations) <= 2, group.revocations.join(' '));
    assert.deepEqual(
      members.map((member) => group.owned(member).length),
      [4, 4, 4],
    );
  });

  it('O9 a standby is placed where the group would put the task if its owner left', () => {
    const tasks = ['0_0', '0_1', '0_2', '0_3'];
    const names = ['a', 'b', 'c'];
    const owners = balance(new Array<string | undefined>(tasks.length).fill(undefined), names);
    const placed = placeStandbys({
      instances: names.map((name) => ({ name, host: undefined, tags: {} })),
      tasks,
      owners: new Map(tasks.map((task, index) => [task, owners[index] as string])),
      numStandbys: 1,
      current: new Map(),
      spreadTags: [],
    });
    let certain = 0;
    for (const leaver of names) {
      const left = names.filter((name) => name !== leaver);
      const after = balance(
        owners.map((owner) => (owner === leaver ? undefined : owner)),
        left,
      );
      const heirs = tasks.flatMap((task, index) => (owners[index] === leaver ? [[task, after[index]]] : []));
      // With one task to give away there is no doubt who is the least loaded.
      for (const [task, heir] of heirs.length === 1 ? heirs : []) {
        certain++;
        assert.deepEqual(placed.get(task as string), [heir]);
      }
      for (const [task] of heirs) assert.notDeepEqual(placed.get(task as string), [leaver]);
    }
    assert.ok(certain > 0);
  });

  it('O12 the membership is polled through a restore that hangs and through slow work', async () => {
    const house = await openHouse(wallClock, 1);
    const first = house.app('1');
    await first.start();
    await house.produce(20);
    await eventually(() => first.status().recordsProcessed === 20, { what: 'some state' });
    await first.stop();
    let polls = 0;
    let hangs = 0;
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const hanging = (consumer: Consumer): Consumer => {
      const { poll } = consumer;
      consumer.poll = async (options) => {
        hangs++;
        await released;
        return poll.call(consumer, options);
      };
      return consumer;
    };
    const second = house.app(
      '2',
      changed(house.broker, {
        openConsumer: async (options) => {
          const consumer = await house.broker.openConsumer(options);
          return options.clientId.includes('restore') ? hanging(consumer) : consumer;
        },
        joinGroup: async (options) => {
          const member = await house.broker.joinGroup(options);
          const { poll } = member;
          member.poll = (waitMs) => {
            polls++;
            return poll.call(member, waitMs);
          };
          return member;
        },
      }),
    );
    await second.start();
    await eventually(() => hangs > 0, { what: 'the restore to hang' });
    const then = polls;
    await eventually(() => polls > then + 5, { what: 'the member to be polled on' });
    assert.equal(second.ready, false);
    release();
    await eventually(() => second.ready, { what: 'the restore to end' });
  });
});
