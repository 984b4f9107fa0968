/**
 * The embedded broker as one simulated process reaches it: every call takes time and may be struck by a fault.
 *
 * It keeps what a real client keeps: a position counts what was delivered, not what was taken from the log;
 * records and group events whose delivery failed come again; a call to a broker out of reach fails as the
 * client's would. Never changes a record.
 */
import { must } from '../../base/assert.ts';
import { StreamsError } from '../../base/errors.ts';
import { partitionKey, type TopicPartition } from '../../base/record.ts';
import type {
  Admin,
  Broker,
  Consumer,
  GroupEvent,
  GroupMember,
  PartitionOffset,
  Producer,
} from '../../broker/broker-port.ts';
import type { CommitStep } from './faults.ts';
import type { OwnershipWatch } from './ownership-watch.ts';
import { type SimulatedProcess, unavailable } from './simulated-process.ts';

export interface SimulatedBrokerOptions {
  readonly process: SimulatedProcess;
  readonly broker: Broker;
  readonly watch: OwnershipWatch;
  readonly log: (line: string) => void;
}

const innerMembers = new WeakMap<GroupMember, GroupMember>();

export function simulatedBroker(options: SimulatedBrokerOptions): Broker {
  const { process, broker } = options;
  let consumers = 0;
  const opening = async <T>(what: string, open: () => Promise<T>): Promise<T> => {
    await whileCut(process, 50);
    if (process.cut) throw unavailable(what);
    return process.call('restore', open, () => unavailable(what));
  };
  return {
    kind: broker.kind,
    admin: simulatedAdmin(options),
    openConsumer: async (consumerOptions) => {
      // The first is the loop's, the others restore.
      const step: CommitStep = consumers++ === 0 ? 'process' : 'restore';
      const inner = await opening('opening a consumer', () => broker.openConsumer(consumerOptions));
      return new SimulatedConsumer(inner, process, step);
    },
    joinGroup: (groupOptions) =>
      opening('joining the group', async () => {
        const inner = await broker.joinGroup(groupOptions);
        const member = new SimulatedMember(inner, options);
        innerMembers.set(member, inner);
        return member;
      }),
    openProducer: (producerOptions) =>
      opening('opening a producer', async () => {
        const inner = await broker.openProducer(producerOptions);
        return producerOptions.transactionalId === undefined ? inner : new SimulatedProducer(inner, options);
      }),
    close: () => Promise.resolve(),
  };
}

/** Waits while the broker is out of reach, for so long at most. */
async function whileCut(process: SimulatedProcess, waitMs: number): Promise<void> {
  if (process.cut) await process.clock.sleep(Math.min(waitMs, process.cutUntilMs - process.scheduler.nowMs));
}

function simulatedAdmin({ process, broker }: SimulatedBrokerOptions): Admin {
  const ask = async <T>(step: CommitStep, what: string, work: () => Promise<T>): Promise<T> => {
    await whileCut(process, 100);
    if (process.cut) throw unavailable(what);
    return process.call(step, work, () => unavailable(what));
  };
  const { admin } = broker;
  return {
    createTopics: (specs) => ask('restore', 'creating topics', () => admin.createTopics(specs)),
    describeTopics: (names) => ask('restore', 'describing topics', () => admin.describeTopics(names)),
    listTopics: () => ask('restore', 'listing topics', () => admin.listTopics()),
    growTopic: (name, partitions) =>
      ask('restore', 'growing a topic', () => admin.growTopic(name, partitions)),
    deleteTopics: (names) => ask('restore', 'deleting topics', () => admin.deleteTopics(names)),
    startOffsets: (partitions) => ask('restore', 'start offsets', () => admin.startOffsets(partitions)),
    endOffsets: (partitions, isolation) =>
      ask(isolation === 'read_committed' ? 'store' : 'restore', 'end offsets', () =>
        admin.endOffsets(partitions, isolation),
      ),
    offsetsForTimes: (partitions) =>
      ask('restore', 'offsets for times', () => admin.offsetsForTimes(partitions)),
    committedOffsets: (groupId, partitions) =>
      ask('restore', 'committed offsets', () => admin.committedOffsets(groupId, partitions)),
  };
}

class SimulatedConsumer implements Consumer {
  readonly #inner: Consumer;
  readonly #process: SimulatedProcess;
  readonly #step: CommitStep;
  readonly #delivered = new Map<string, PartitionOffset>();

  constructor(inner: Consumer, process: SimulatedProcess, step: CommitStep) {
    this.#inner = inner;
    this.#process = process;
    this.#step = step;
  }

  async assign(partitions: readonly PartitionOffset[]): Promise<void> {
    await this.#inner.assign(partitions);
    for (const each of partitions) {
      const key = partitionKey(each.topic, each.partition);
      if (!this.#delivered.has(key)) this.#delivered.set(key, each);
    }
  }

  async unassign(partitions: readonly TopicPartition[]): Promise<void> {
    for (const { topic, partition } of partitions) this.#delivered.delete(partitionKey(topic, partition));
    await this.#inner.unassign(partitions);
  }

  async poll(options: { readonly recordsMax: number; readonly waitMs: number }) {
    const process = this.#process;
    if (process.cut) {
      await whileCut(process, options.waitMs);
      return [];
    }
    const recordsMax = Math.min(options.recordsMax, 1 + process.random.integer(200));
    let taken: PartitionOffset[] = [];
    try {
      const batches = await process.call(
        this.#step,
        async () => {
          const polled = await this.#inner.poll({ recordsMax, waitMs: options.waitMs });
          taken = this.#positions();
          return polled;
        },
        () => unavailable('polling'),
      );
      for (const each of taken) {
        const key = partitionKey(each.topic, each.partition);
        if (this.#delivered.has(key)) this.#delivered.set(key, each);
      }
      return batches;
    } catch (error) {
      // What was taken and not delivered comes again.
      for (const each of this.#delivered.values()) await this.#inner.seek(each);
      throw error;
    }
  }

  #positions(): PartitionOffset[] {
    return [...this.#delivered.values()].map(({ topic, partition }) => ({
      topic,
      partition,
      offset: this.#inner.position({ topic, partition }),
    }));
  }

  atEnd(partition: TopicPartition): boolean {
    return this.#inner.atEnd(partition);
  }

  position({ topic, partition }: TopicPartition): number {
    return must(this.#delivered.get(partitionKey(topic, partition)), 'the partition is not assigned').offset;
  }

  async seek(to: PartitionOffset): Promise<void> {
    await this.#inner.seek(to);
    this.#delivered.set(partitionKey(to.topic, to.partition), to);
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.#inner.pause(partitions);
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.#inner.resume(partitions);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

class SimulatedMember implements GroupMember {
  readonly groupId: string;
  readonly #inner: GroupMember;
  readonly #options: SimulatedBrokerOptions;
  #undelivered: GroupEvent[] = [];
  /** Acknowledged while the broker was out of reach. */
  readonly #unheard: GroupEvent[] = [];

  constructor(inner: GroupMember, options: SimulatedBrokerOptions) {
    this.groupId = inner.groupId;
    this.#inner = inner;
    this.#options = options;
  }

  async poll(waitMs: number): Promise<GroupEvent[]> {
    const { process, watch } = this.#options;
    if (process.cut) {
      await whileCut(process, waitMs);
      return [];
    }
    this.#tellGroup();
    await process.call(
      'process',
      async () => {
        this.#undelivered.push(...(await this.#inner.poll(waitMs)));
      },
      () => unavailable('the group'),
    );
    const events = this.#undelivered;
    this.#undelivered = [];
    for (const event of events) {
      if (event.type === 'assigned') watch.assigned(process.name, this.groupId, event.partitions);
    }
    return events;
  }

  async acknowledge(event: GroupEvent): Promise<void> {
    const { process, watch } = this.#options;
    if (event.type !== 'assigned') watch.givenBack(process.name, this.groupId, event.partitions);
    // Local for the caller, as in the real client; the group hears of it when it can, in order.
    this.#unheard.push(event);
    if (!process.cut) this.#tellGroup();
  }

  #tellGroup(): void {
    const { process, watch } = this.#options;
    for (let event = this.#unheard.shift(); event !== undefined; event = this.#unheard.shift()) {
      this.#inner.acknowledge(event).catch((error: unknown) => {
        watch.violation(`${process.name}: acknowledging a group event failed: ${String(error)}`);
      });
    }
  }

  async commitOffsets(offsets: readonly PartitionOffset[]): Promise<void> {
    const { process, watch } = this.#options;
    if (process.cut) {
      await whileCut(process, 500);
      throw unavailable('committing offsets');
    }
    const work = async (): Promise<void> => {
      await this.#inner.commitOffsets(offsets);
      watch.sent(process.name, this.groupId, offsets);
      watch.committed(process.name, this.groupId, offsets);
    };
    await process.call('commit', work, () => unavailable('committing offsets'));
  }

  async close(): Promise<void> {
    this.#options.watch.closed(this.#options.process.name, this.groupId);
    await this.#inner.close();
  }
}

class SimulatedProducer implements Producer {
  readonly #inner: Producer;
  readonly #options: SimulatedBrokerOptions;
  /** What the open transaction will commit, for the watch. */
  #offsets: PartitionOffset[] = [];
  #groupId = '';
  #retried = false;
  #lateCopy: (() => void) | undefined;

  constructor(inner: Producer, options: SimulatedBrokerOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  init(): Promise<void> {
    return this.#ask(
      'restore',
      () => this.#inner.init(),
      () => unavailable('init'),
    );
  }

  begin(): Promise<void> {
    this.#offsets = [];
    return this.#ask(
      'begin',
      () => this.#inner.begin(),
      () => this.#abortRequired('begin'),
    );
  }

  async send(records: Parameters<Producer['send']>[0]): Promise<void> {
    await this.#ask(
      'seal',
      () => this.#inner.send(records),
      () => this.#abortRequired('send'),
    );
    this.#lateCopy?.();
    this.#lateCopy = undefined;
  }

  flush(): Promise<void> {
    return this.#ask(
      'seal',
      () => this.#inner.flush(),
      () => this.#abortRequired('flush'),
    );
  }

  async sendOffsets(offsets: readonly PartitionOffset[], member: GroupMember): Promise<void> {
    const { process, watch } = this.#options;
    const inner = must(innerMembers.get(member), 'a member of this broker');
    await this.#ask(
      'offsets',
      async () => {
        await this.#inner.sendOffsets(offsets, inner);
        watch.sent(process.name, member.groupId, offsets);
      },
      () =>
        process.random.next() < 0.5 ? unavailable('sending offsets') : this.#abortRequired('sending offsets'),
    );
    this.#offsets.push(...offsets);
    this.#groupId = member.groupId;
    this.#again('offsets', () => this.#inner.sendOffsets(offsets, inner));
  }

  async commit(): Promise<void> {
    const { process, watch } = this.#options;
    const unknown = (): StreamsError =>
      new StreamsError('TRANSACTION_OUTCOME_UNKNOWN', 'the answer to the commit did not come (simulated)');
    const offsets = this.#offsets;
    const work = async (): Promise<void> => {
      await this.#inner.commit();
      watch.committed(process.name, this.#groupId, offsets);
    };
    if (process.cut) {
      await whileCut(process, 500);
      // It may have been on its way when the line went dead.
      if (process.random.next() < 0.5) await work().catch(() => {});
      throw unknown();
    }
    await process.call('commit', work, unknown);
    this.#again('commit', () => this.#inner.commit());
  }

  async abort(): Promise<void> {
    await this.#ask(
      'process',
      () => this.#inner.abort(),
      () => unavailable('abort'),
    );
    this.#again('abort', () => this.#inner.abort());
  }

  mayHaveRetried(): boolean {
    return this.#retried || this.#inner.mayHaveRetried();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** A second copy of a request that was answered, still on its way: it arrives in whatever comes next. */
  #again(what: string, request: () => Promise<void>): void {
    const { process, log } = this.#options;
    if (!process.duplicateNext) return;
    process.duplicateNext = false;
    this.#retried = true;
    let sent = false;
    const send = (): void => {
      if (sent) return;
      sent = true;
      request().then(
        () => log(`${process.name}: a late copy of ${what} was carried out`),
        () => log(`${process.name}: a late copy of ${what} was refused`),
      );
    };
    // At the worst moment, in the middle of the next transaction, or whenever.
    if (process.random.next() < 0.5) this.#lateCopy = send;
    process.scheduler.schedule(process.random.next() * 800, send);
  }

  async #ask<T>(step: CommitStep, work: () => Promise<T>, failure: () => StreamsError): Promise<T> {
    const { process } = this.#options;
    if (process.cut) {
      await whileCut(process, 500);
      throw failure();
    }
    return process.call(step, work, failure);
  }

  #abortRequired(what: string): StreamsError {
    return new StreamsError('TRANSACTION_ABORT_REQUIRED', `${what} failed (simulated)`);
  }
}
