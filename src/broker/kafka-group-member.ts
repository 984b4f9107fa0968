/**
 * Membership in a Kafka consumer group that shares out the partitions of one topic. Opened by
 * kafka-broker.ts; kafka-producer.ts commits offsets under its generation through `throughConsumer`.
 *
 * The library asks for each change and waits for the answer, so partitions are handed on only after
 * `acknowledge`. The group's topic carries no records; its partitions are assigned paused and never fetched.
 * A fatal error of the library kills its client object: where a new one can cure it (a static name that the
 * old process still holds, a broker without the new protocol) the member makes one by itself.
 */
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { GroupEvent, GroupMember, PartitionOffset } from './broker-port.ts';
import type {
  Done,
  NativeConsumer,
  NativeError,
  NativePartition,
  NativePartitionOffset,
  RebalanceListener,
} from './kafka-client-types.ts';
import { asNativeError, kafkaCode, offsetsError, requestError } from './kafka-errors.ts';
import type { KafkaHandle, Wakeup } from './kafka-handle.ts';
import type { GroupProtocol } from './kafka-settings.ts';
import { type Share, ShareWatch } from './kafka-share-watch.ts';

/** Pauses between attempts to get a static name that another process holds. */
const rejoinPauseMs = 1_000;
const rejoinPauseMaxMs = 10_000;
/** How long offsets are committed again and again while the group is on the move or the broker away. */
const commitTimeoutMs = 10_000;
const commitPauseMs = 50;
/** Between two looks for the answer, which comes within a few milliseconds. */
const commitPollMs = 1;
/** The library tells the reason of a fatal error in its log, which may arrive just after the error. */
const turnsForReason = 5;
/** Start at the end: there is nothing to read, and no committed offset has to be asked for. */
const offsetEnd = -1;

/** Makes a connected consumer that is not subscribed yet. */
export type ConnectMember = (
  protocol: GroupProtocol,
  onRebalance: RebalanceListener,
) => Promise<KafkaHandle<NativeConsumer>>;

export interface KafkaGroupMemberOptions {
  readonly groupId: string;
  readonly topic: string;
  readonly instanceId: string | undefined;
  readonly protocol: GroupProtocol | 'auto';
  readonly connect: ConnectMember;
  /** Asks the broker what the group has for this member. */
  readonly shareInGroup: () => Promise<Share>;
  readonly wakeup: Wakeup;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onClose: () => void;
}

/** One client object; a member may use up several. */
interface Session {
  readonly handle: KafkaHandle<NativeConsumer>;
  readonly protocol: GroupProtocol;
  /** The group has given this session something, so it is a member in good standing. */
  joined: boolean;
  /** Its first share, be it none, is told. */
  greeted: boolean;
  /** Asked until then. */
  readonly watch: ShareWatch;
  fatalReason: string | undefined;
}

/** The commit of offsets that is under way. */
interface CommitAnswer {
  readonly text: string;
  result: { readonly error: NativeError | undefined } | undefined;
}

function offsetsText(offsets: readonly NativePartitionOffset[]): string {
  return offsets
    .map(({ topic, partition, offset }) => `${topic}-${partition}@${offset}`)
    .sort()
    .join(' ');
}

export class KafkaGroupMember implements GroupMember {
  readonly groupId: string;
  readonly #options: KafkaGroupMemberOptions;
  #session: Session | undefined;
  #rejoining: Promise<void> | undefined;
  #rejoinFailure: StreamsError | undefined;
  /** Told by the group, not yet returned by `poll`. */
  #news: GroupEvent[] = [];
  /** Told by the group, not yet answered. */
  #unanswered: GroupEvent[] = [];
  readonly #owned = new Set<number>();
  #fenced: StreamsError | undefined;
  #closed = false;
  #committing: Promise<void> = Promise.resolve();
  #awaited: CommitAnswer | undefined;

  constructor(options: KafkaGroupMemberOptions) {
    this.groupId = options.groupId;
    this.#options = options;
  }

  /** Connects and subscribes. Errors: BROKER_UNAVAILABLE. */
  async join(): Promise<void> {
    await this.#open(this.#options.protocol === 'classic' ? 'classic' : 'consumer');
  }

  async poll(waitMs: number): Promise<GroupEvent[]> {
    const { clock, wakeup } = this.#options;
    const deadlineMs = clock.monotonicMs() + waitMs;
    for (;;) {
      const seen = wakeup.count;
      if (this.#closed) throw new StreamsError('BROKER_REQUEST_FAILED', 'this group member is closed');
      await this.#serve();
      if (this.#news.length > 0) return this.#news.splice(0);
      if (this.#fenced !== undefined) throw this.#fenced;
      const leftMs = deadlineMs - clock.monotonicMs();
      if (leftMs <= 0) return [];
      await wakeup.wait(seen, leftMs);
    }
  }

  acknowledge(event: GroupEvent): Promise<void> {
    if (this.#closed) return Promise.resolve();
    if (this.#unanswered[0] !== event) {
      // A session that died took its questions with it.
      if (!this.#unanswered.includes(event)) return Promise.resolve();
      throw new StreamsError('INVARIANT_BROKEN', 'group events must be acknowledged in the order they came');
    }
    this.#unanswered.shift();
    for (const partition of event.partitions) {
      if (event.type === 'assigned') this.#owned.add(partition);
      else this.#owned.delete(partition);
    }
    const session = this.#session;
    if (session !== undefined && !session.handle.isClosing && event.partitions.length > 0) {
      this.#answer(session, event);
    }
    return Promise.resolve();
  }

  /** Calls queue up: the library's answers carry no number, only the offsets. */
  commitOffsets(offsets: readonly PartitionOffset[]): Promise<void> {
    const committed = this.#committing.then(() => this.#commitPatiently(offsets));
    this.#committing = committed.catch(() => {});
    return committed;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#options.wakeup.wake();
    await this.#rejoining;
    const session = this.#session;
    if (session !== undefined) {
      // The library does not close while a question of its is open.
      for (const event of this.#unanswered.splice(0)) {
        if (event.partitions.length > 0) this.#answer(session, event);
      }
      await session.handle.close();
    }
    this.#options.onClose();
  }

  /**
   * Runs a call that needs the live consumer, whose member id and generation go with it.
   * Errors: MEMBER_FENCED when this member has lost its place, or never had one.
   */
  throughConsumer(use: (consumer: NativeConsumer) => Promise<void>): Promise<void> {
    const session = this.#session;
    const lost = this.#unanswered.some((event) => event.type === 'lost');
    if (
      this.#closed ||
      this.#fenced !== undefined ||
      session?.joined !== true ||
      lost ||
      session.handle.isClosing
    ) {
      return Promise.reject(this.#notMember());
    }
    return session.handle.call<void>((consumer, done: Done<void>) => {
      if (consumer.assignmentLost()) {
        const error = new StreamsError('MEMBER_FENCED', 'the group has given the partitions to others', {
          context: { group: this.groupId },
        });
        done(error as unknown as NativeError, undefined);
        return;
      }
      use(consumer).then(
        () => done(null, undefined),
        (error: NativeError) => done(error, undefined),
      );
    });
  }

  /** False once the group has put this member out, and while it joins anew. */
  get #isMember(): boolean {
    return !this.#closed && this.#fenced === undefined && this.#session !== undefined;
  }

  #notMember(): StreamsError {
    return new StreamsError('MEMBER_FENCED', 'this instance is not a member of the group now', {
      context: { group: this.groupId },
    });
  }

  async #commitPatiently(offsets: readonly PartitionOffset[]): Promise<void> {
    const { clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + commitTimeoutMs;
    for (;;) {
      try {
        // An empty list would stand for all that the library itself has stored.
        return await this.throughConsumer((consumer) =>
          offsets.length === 0 ? Promise.resolve() : this.#commitOnce(consumer, offsets, deadlineMs),
        );
      } catch (thrown) {
        if (thrown instanceof StreamsError) throw thrown;
        const error = asNativeError(thrown);
        // The group may have put this member out just now: the next attempt is told so.
        if (error.code === kafkaCode.fatal && this.#session !== undefined)
          await this.#failed(this.#session, error);
        if (!this.#isMember) throw this.#notMember();
        const failure = offsetsError(error, { group: this.groupId });
        if (failure.kind !== 'retriable' || clock.monotonicMs() >= deadlineMs) throw failure;
        await clock.sleep(commitPauseMs);
      }
    }
  }

  async #commitOnce(
    consumer: NativeConsumer,
    offsets: readonly PartitionOffset[],
    deadlineMs: number,
  ): Promise<void> {
    const { clock } = this.#options;
    const list = offsets.map(({ topic, partition, offset }) => ({ topic, partition, offset }));
    const session = this.#session;
    const answer: CommitAnswer = { text: offsetsText(list), result: undefined };
    this.#awaited = answer;
    consumer.commit(list);
    // The library answers inside a poll, and whoever waits for this commit may not be polling. A client object
    // that has died answers nothing more.
    while (answer.result === undefined) {
      if (!this.#isMember || this.#session !== session) throw this.#notMember();
      if (clock.monotonicMs() >= deadlineMs)
        throw { code: kafkaCode.timedOut, message: 'the broker does not answer' } satisfies NativeError;
      await this.#serve();
      await clock.sleep(commitPollMs);
    }
    if (answer.result.error !== undefined) throw answer.result.error;
  }

  async #open(protocol: GroupProtocol): Promise<void> {
    const session: { current: Session | undefined } = { current: undefined };
    const onRebalance: RebalanceListener = (error, partitions) => {
      if (session.current !== undefined) this.#rebalanced(session.current, error, partitions);
    };
    const handle = await this.#options.connect(protocol, onRebalance);
    const opened: Session = {
      handle,
      protocol,
      joined: false,
      greeted: false,
      watch: new ShareWatch(this.#options),
      fatalReason: undefined,
    };
    session.current = opened;
    handle.unguarded.on('event.log', (line) => {
      if (line.fac === 'FATAL') opened.fatalReason = line.message;
    });
    handle.unguarded.on('offset.commit', (error, offsets) => {
      // A late answer to an earlier call is told by its offsets; to the same offsets it is as good.
      if (this.#awaited?.text === offsetsText(offsets)) this.#awaited.result = { error };
    });
    this.#session = opened;
    if (this.#closed) return;
    handle.now((client) => client.subscribe([this.#options.topic]));
    this.#options.log.debug('joining the group', { group: this.groupId, protocol });
  }

  /** Lets the library do its callbacks, which it does only inside a poll. */
  async #serve(): Promise<void> {
    if (this.#rejoinFailure !== undefined) {
      const failure = this.#rejoinFailure;
      this.#rejoinFailure = undefined;
      this.#rejoin(this.#options.protocol === 'classic' ? 'classic' : 'consumer', rejoinPauseMs);
      throw failure;
    }
    const session = this.#session;
    if (session === undefined || this.#rejoining !== undefined || this.#fenced !== undefined) return;
    try {
      await session.handle.call<void>((client, done) =>
        client.getClient().consume(0, 100, false, (error) => done(error, undefined)),
      );
    } catch (error) {
      if (error instanceof StreamsError) throw error;
      await this.#failed(session, asNativeError(error));
    }
    if (session.protocol === 'consumer' && !session.greeted)
      session.watch.look((share) => this.#found(session, share));
  }

  async #failed(session: Session, error: NativeError): Promise<void> {
    if (error.code !== kafkaCode.fatal) {
      const failure = requestError(error, `the membership of group ${this.groupId} has a problem`);
      if (failure.kind !== 'retriable' && isHopeless(error.code)) throw failure;
      this.#options.log.warn('the group consumer reports a problem', {
        group: this.groupId,
        reason: error.message,
        kafkaCode: error.code,
      });
      return;
    }
    for (let turn = 0; turn < turnsForReason && session.fatalReason === undefined; turn++) {
      await this.#options.clock.yield();
    }
    this.#died(session, session.fatalReason ?? error.message);
  }

  /** The library's client object is of no more use. */
  #died(session: Session, reason: string): void {
    const { instanceId, log } = this.#options;
    const isUnsupported = /not supported|unsupported|does not support/i.test(reason);
    if (/instance id is still used/i.test(reason)) {
      log.warn('the group still knows an earlier process under this name; waiting until it forgets it', {
        group: this.groupId,
        instanceId,
      });
      this.#rejoin(session.protocol, rejoinPauseMs);
    } else if (isUnsupported && session.protocol === 'consumer' && this.#options.protocol === 'auto') {
      log.info('the broker does not offer the new group protocol; joining with the classic one', {
        group: this.groupId,
      });
      this.#rejoin('classic', 0);
    } else {
      const isFenced = /fenced/i.test(reason);
      this.#fenced = new StreamsError(
        isFenced ? 'MEMBER_FENCED' : 'BROKER_REQUEST_FAILED',
        isFenced ? 'another process has joined the group under the same instance name' : reason,
        { context: { group: this.groupId, instanceId }, cause: new Error(reason) },
      );
      this.#loseAll();
    }
  }

  /** What a dead session owned is others' now. */
  #loseAll(): void {
    const told = this.#unanswered.some((event) => event.type === 'lost');
    if (told || this.#owned.size === 0) return;
    const lost: GroupEvent = { type: 'lost', partitions: [...this.#owned].sort((a, b) => a - b) };
    this.#unanswered = [lost];
    this.#news = [lost];
  }

  #rejoin(protocol: GroupProtocol, pauseMs: number): void {
    const old = this.#session;
    this.#session = undefined;
    this.#loseAll();
    const { clock, log } = this.#options;
    const attempt = async () => {
      await old?.handle.close();
      for (let waitMs = pauseMs; !this.#closed; waitMs = Math.min(rejoinPauseMaxMs, waitMs * 2 + 1)) {
        await this.#options.wakeup.wait(this.#options.wakeup.count, waitMs);
        if (this.#closed) return;
        try {
          return await this.#open(protocol);
        } catch (error) {
          log.warn('the group cannot be joined yet', { group: this.groupId }, error);
          await clock.yield();
        }
      }
    };
    this.#rejoining = attempt()
      .catch((error: unknown) => {
        this.#rejoinFailure = requestError(asNativeError(error), `group ${this.groupId} cannot be joined`);
      })
      .finally(() => {
        this.#rejoining = undefined;
        this.#options.wakeup.wake();
      });
  }

  #rebalanced(
    session: Session,
    error: NativeError | undefined,
    partitions: readonly NativePartition[],
  ): void {
    const assigned = error?.code === kafkaCode.assignPartitions;
    const numbers = partitions.map(({ partition }) => partition).sort((a, b) => a - b);
    if (session !== this.#session || this.#closed) {
      this.#answer(session, { type: assigned ? 'assigned' : 'revoked', partitions: numbers });
      return;
    }
    const lost = !assigned && session.handle.unguarded.assignmentLost();
    session.joined = !lost;
    const event: GroupEvent = {
      type: assigned ? 'assigned' : lost ? 'lost' : 'revoked',
      partitions: numbers,
    };
    // The classic protocol says so in each round to a member whose share stays as it is: nobody has to act on it.
    if (numbers.length === 0) this.#answer(session, event);
    if (numbers.length > 0 || (assigned && !session.greeted)) this.#tell(event);
    if (assigned) session.greeted = true;
  }

  #tell(event: GroupEvent): void {
    this.#unanswered.push(event);
    this.#news.push(event);
    this.#options.wakeup.wake();
  }

  /** What the library did not say. */
  #found(session: Session, share: 'none' | 'not a member'): void {
    if (session.greeted || session !== this.#session || this.#closed) return;
    if (share === 'none') {
      session.greeted = true;
      this.#tell({ type: 'assigned', partitions: [] });
      return;
    }
    const { log, instanceId } = this.#options;
    log.warn('the group does not know of this member, which asked to join long ago: it joins anew', {
      group: this.groupId,
      instanceId,
    });
    this.#rejoin(session.protocol, 0);
  }

  #answer(session: Session, event: GroupEvent): void {
    const { topic } = this.#options;
    const partitions = event.partitions.map((partition) => ({ topic, partition }));
    const client = session.handle.unguarded;
    try {
      if (event.type === 'assigned') {
        client.incrementalAssign(partitions.map((partition) => ({ ...partition, offset: offsetEnd })));
        if (partitions.length > 0 && !session.handle.isClosing) client.pause(partitions);
      } else client.incrementalUnassign(partitions);
    } catch (error) {
      this.#options.log.debug('the group no longer waits for this answer', {
        group: this.groupId,
        type: event.type,
        reason: asNativeError(error).message,
      });
    }
  }
}

/** Denied, an unknown topic, a setting the broker refuses: waiting does not help. */
function isHopeless(code: number): boolean {
  return [3, 17, 24, 26, 29, 30, 112].includes(code);
}
