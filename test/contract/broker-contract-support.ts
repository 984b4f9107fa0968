/** What the parts of the broker contract share: the adapter they run on, and short ways to write and read. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type { ErrorCode, ErrorKind } from '../../src/base/errors.ts';
import { StreamsError } from '../../src/base/errors.ts';
import type {
  Broker,
  Consumer,
  GroupEvent,
  GroupMember,
  Isolation,
  OutgoingRecord,
  Producer,
  TopicSpec,
} from '../../src/broker/broker-port.ts';
import { eventually } from '../support/eventually.ts';

/** What differs between adapters. A part of the suite whose support is missing is not run on that adapter. */
export interface BrokerSupports {
  /** Moves the broker's time on; absent = real time passes by itself, and tests wait with deadlines. */
  readonly passTime?: (byMs: number) => Promise<void>;
  /** Compacts and deletes now; absent = the broker does it in its own time, which no test waits for. */
  readonly maintain?: () => Promise<void>;
  /** `describeTopics` tells ids. */
  readonly topicIds: boolean;
  /** A producer whose transaction timed out fails with PRODUCER_FENCED; else any abort or fenced error will do. */
  readonly fencesAfterTimeout: boolean;
  /** A member that is not polled is removed after its session; absent = the client keeps it alive by itself. */
  readonly removesSilentMembers: boolean;
  /** A second member of the same instance id takes over at once; else it is refused until the session ends. */
  readonly instanceTakeOver: boolean;
  /** A transaction's end resolves before its markers are in the logs: what it shows is waited for. */
  readonly endsSettleLater?: boolean;
  /** Records come in the order they were prefetched: a partition is held up by one fetch of another. */
  readonly prefetchesInOrder?: boolean;
  /** The shortest session that the broker accepts. */
  readonly sessionTimeoutMs: number;
  /** How long an asynchronous step may take. */
  readonly deadlineMs: number;
}

export interface BrokerAdapter {
  readonly name: string;
  /** Called once for the whole suite, which closes it. */
  readonly open: () => Promise<Broker>;
  /** A name for a topic, group, transactional id or client that nobody used before. */
  readonly uniqueName: (prefix: string) => string;
  readonly supports: BrokerSupports;
}

export interface ReadRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** A broker opened for the suite, with what tests do most. */
export class BrokerBench {
  readonly broker: Broker;
  readonly supports: BrokerSupports;
  readonly name: (prefix: string) => string;

  constructor(broker: Broker, adapter: BrokerAdapter) {
    this.broker = broker;
    this.supports = adapter.supports;
    this.name = adapter.uniqueName;
  }

  async topic(prefix: string, partitions = 1, config?: TopicSpec['config']): Promise<string> {
    const name = this.name(prefix);
    await this.broker.admin.createTopics([{ name, partitions, ...(config === undefined ? {} : { config }) }]);
    return name;
  }

  async producer(transactionalId?: string, transactionTimeoutMs?: number): Promise<Producer> {
    const producer = await this.broker.openProducer({
      clientId: this.name('client'),
      ...(transactionalId === undefined ? {} : { transactionalId }),
      ...(transactionTimeoutMs === undefined ? {} : { transactionTimeoutMs }),
    });
    if (transactionalId !== undefined) await producer.init();
    return producer;
  }

  consumer(isolation: Isolation = 'read_committed'): Promise<Consumer> {
    return this.broker.openConsumer({ isolation, clientId: this.name('client') });
  }

  join(groupId: string, topic: string, instanceId?: string): Promise<GroupMember> {
    return this.broker.joinGroup({
      groupId,
      topic,
      sessionTimeoutMs: this.supports.sessionTimeoutMs,
      ...(instanceId === undefined ? {} : { instanceId }),
    });
  }

  /** Writes and flushes without a transaction. */
  async write(topic: string, values: readonly string[], partition = 0): Promise<void> {
    const producer = await this.producer();
    await producer.send(values.map((value) => record(topic, value, partition)));
    await producer.flush();
    await producer.close();
  }

  /** What a new consumer finds from the start of the log to its end now. */
  async readAll(
    topic: string,
    isolation: Isolation = 'read_committed',
    partition = 0,
  ): Promise<ReadRecord[]> {
    const at = { topic, partition };
    const [start] = await this.broker.admin.startOffsets([at]);
    const [end] = await this.broker.admin.endOffsets([at], isolation);
    const consumer = await this.consumer(isolation);
    try {
      await consumer.assign([{ ...at, offset: start as number }]);
      const found: ReadRecord[] = [];
      await eventually(
        async () => {
          found.push(...(await poll(consumer)));
          return consumer.position(at) >= (end as number);
        },
        { what: `the position of ${topic} reaches ${end}`, timeoutMs: this.supports.deadlineMs },
      );
      return found;
    } finally {
      await consumer.close();
    }
  }

  async values(
    topic: string,
    isolation: Isolation = 'read_committed',
    partition = 0,
  ): Promise<(string | null)[]> {
    return (await this.readAll(topic, isolation, partition)).map(({ value }) => value);
  }

  /** The values of the log, at once or, where ends settle later, within the deadline. */
  async shows(
    expected: readonly (string | null)[],
    topic: string,
    isolation: Isolation = 'read_committed',
    partition = 0,
  ): Promise<void> {
    let found = await this.values(topic, isolation, partition);
    const deadlineMs = Date.now() + this.supports.deadlineMs;
    while (
      this.supports.endsSettleLater === true &&
      !isDeepStrictEqual(found, expected) &&
      Date.now() < deadlineMs
    ) {
      found = await this.values(topic, isolation, partition);
    }
    assert.deepEqual(found, expected);
  }

  /** Polls until that many records came. */
  async take(consumer: Consumer, count: number): Promise<ReadRecord[]> {
    const found: ReadRecord[] = [];
    await eventually(
      async () => {
        found.push(...(await poll(consumer)));
        return found.length >= count;
      },
      { what: `${count} records`, timeoutMs: this.supports.deadlineMs },
    );
    assert.equal(found.length, count);
    return found;
  }

  /** The stable committed offsets, asked again while the answer is a retriable error. */
  committed(
    groupId: string,
    topic: string,
    partitions: readonly number[] = [0],
  ): Promise<(number | undefined)[]> {
    return this.retried(() =>
      this.broker.admin.committedOffsets(
        groupId,
        partitions.map((partition) => ({ topic, partition })),
      ),
    );
  }

  retried<T>(call: () => Promise<T>): Promise<T> {
    return eventually(
      async () => {
        try {
          return { result: await call() };
        } catch (error) {
          if (error instanceof StreamsError && error.kind === 'retriable') return undefined;
          throw error;
        }
      },
      { what: 'no retriable error', timeoutMs: this.supports.deadlineMs },
    ).then(({ result }) => result);
  }

  eventually<T>(what: string, condition: () => T | Promise<T>): Promise<NonNullable<Exclude<T, false>>> {
    return eventually(condition, { what, timeoutMs: this.supports.deadlineMs });
  }
}

export async function poll(consumer: Consumer, recordsMax = 500, waitMs = 0): Promise<ReadRecord[]> {
  const found: ReadRecord[] = [];
  for (const batch of await consumer.poll({ recordsMax, waitMs })) {
    for (let i = 0; i < batch.count; i++) {
      found.push({
        partition: batch.partition,
        offset: batch.offset(i),
        key: batch.key(i)?.toString() ?? null,
        value: batch.value(i)?.toString() ?? null,
      });
    }
  }
  return found;
}

export function record(
  topic: string,
  value: string | null,
  partition = 0,
  key: string | null = null,
): OutgoingRecord {
  return {
    topic,
    partition,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    timestamp: 1_700_000_000_000,
    headers: [],
  };
}

/** For assert.rejects: a StreamsError of one of these codes. */
export function failsWith(...codes: ErrorCode[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StreamsError, `a StreamsError and not ${error}`);
    assert.ok(codes.includes(error.code), `${codes.join(' or ')} and not ${error.code}: ${error.message}`);
    return true;
  };
}

/** For assert.rejects: a StreamsError of one of these kinds. */
export function failsAs(...kinds: ErrorKind[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof StreamsError, `a StreamsError and not ${error}`);
    assert.ok(kinds.includes(error.kind), `${kinds.join(' or ')} and not ${error.kind}: ${error.message}`);
    return true;
  };
}

/** Group members that are polled together, answer every event at once and remember what they own. */
export class Members {
  readonly #bench: BrokerBench;
  readonly #members = new Map<GroupMember, Set<number>>();
  /** Every event in the order it came. */
  readonly events: { readonly member: GroupMember; readonly event: GroupEvent }[] = [];

  constructor(bench: BrokerBench) {
    this.#bench = bench;
  }

  async join(groupId: string, topic: string, instanceId?: string): Promise<GroupMember> {
    const member = await this.#bench.join(groupId, topic, instanceId);
    this.#members.set(member, new Set());
    return member;
  }

  /** Leaves the group; its partitions go to the others. */
  async leave(member: GroupMember): Promise<void> {
    this.#members.delete(member);
    await member.close();
  }

  /** Stops polling the member without a word. */
  silence(member: GroupMember): void {
    this.#members.delete(member);
  }

  owned(member: GroupMember): number[] {
    return [...(this.#members.get(member) ?? [])].sort((a, b) => a - b);
  }

  all(): number[] {
    return [...this.#members.keys()].flatMap((member) => this.owned(member)).sort((a, b) => a - b);
  }

  /** Polls each member once; no partition may have two owners at any moment. */
  async turn(): Promise<void> {
    for (const [member, owned] of this.#members) {
      for (const event of await member.poll(0)) {
        this.events.push({ member, event });
        for (const partition of event.partitions) {
          if (event.type === 'assigned') owned.add(partition);
          else owned.delete(partition);
        }
        const all = this.all();
        assert.equal(new Set(all).size, all.length, `two owners of a partition: ${all.join(' ')}`);
        await member.acknowledge(event);
      }
    }
  }

  /** Polls until every partition is owned and the counts differ by one at most. */
  async settle(partitions: number): Promise<void> {
    await this.#bench.eventually('the group is balanced', async () => {
      await this.turn();
      const counts = [...this.#members.values()].map((owned) => owned.size);
      const total = counts.reduce((sum, count) => sum + count, 0);
      return total === partitions && Math.max(...counts) - Math.min(...counts) <= 1;
    });
  }

  async close(): Promise<void> {
    for (const member of this.#members.keys()) await member.close();
    this.#members.clear();
  }
}
