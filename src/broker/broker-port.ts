/**
 * The broker as the runtime sees it. Adapters: embedded-broker.ts (in this process, on a KeyValueBackend)
 * and kafka-broker.ts (librdkafka). One contract suite runs on both: test/contract/broker-contract.ts.
 *
 * Words are Kafka's. `offset` is a record's; `endOffset` is exclusive (the next to be written); `position`
 * is the next to be read, past transaction markers, which take offsets too.
 */
import type { Headers, TopicPartition } from '../base/record.ts';

/**
 * Records of one partition in offset order, read lazily.
 *
 * A batch and not an array of message objects, because an object per record costs more than all the rest
 * of the crossing: an adapter may keep the raw bytes and decode what is asked for.
 */
export interface RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly count: number;
  /** Arguments: 0 <= index < count. Buffers may be kept by the caller and must not be changed. */
  offset(index: number): number;
  /** Milliseconds since the epoch. */
  timestamp(index: number): number;
  key(index: number): Buffer | null;
  value(index: number): Buffer | null;
  headers(index: number): Headers;
}

/** A record to be written. `partition` is always given: the runtime computes it (base/murmur2.ts). */
export interface OutgoingRecord {
  readonly topic: string;
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly headers: Headers;
}

/** `read_committed`: only records of committed transactions, up to the last stable offset. */
export type Isolation = 'read_committed' | 'read_uncommitted';

export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  /** Kafka's names: `cleanup.policy` (delete, compact), `retention.ms` (-1 = for ever), … */
  readonly config?: Readonly<Record<string, string>>;
}

export interface TopicDescription {
  readonly name: string;
  readonly partitions: number;
  /** Differs when a topic was deleted and created again. Undefined where the broker does not tell. */
  readonly topicId: string | undefined;
  /** What it was created with, in Kafka's names. Absent where the client cannot ask for it (Kafka). */
  readonly config?: Readonly<Record<string, string>>;
}

export interface PartitionOffset extends TopicPartition {
  readonly offset: number;
}

export interface Admin {
  /**
   * Creates topics; resolves when they can be written.
   * Errors: TOPIC_EXISTS (names the first), BROKER_UNAVAILABLE.
   */
  createTopics(specs: readonly TopicSpec[]): Promise<void>;
  /** In the order of the names; undefined for a topic that does not exist. */
  describeTopics(names: readonly string[]): Promise<(TopicDescription | undefined)[]>;
  /** The names of all topics, in no order; internal ones of the broker may be among them. */
  listTopics(): Promise<string[]>;
  /** More partitions for a topic; what is in it stays where it is. No effect when it has as many. Errors: TOPIC_UNKNOWN. */
  growTopic(name: string, partitions: number): Promise<void>;
  /** Idempotent. */
  deleteTopics(names: readonly string[]): Promise<void>;
  /** The log's first offset (retention moves it), in the order of the partitions. */
  startOffsets(partitions: readonly TopicPartition[]): Promise<number[]>;
  /**
   * `read_uncommitted`: the end of the log. `read_committed`: the last stable offset, below which every
   * transaction has ended. In the order of the partitions.
   */
  endOffsets(partitions: readonly TopicPartition[], isolation: Isolation): Promise<number[]>;
  /**
   * The first offset whose record is of that time or later, in the order of the partitions; undefined where there is
   * none. Open transactions count.
   */
  offsetsForTimes(
    partitions: readonly (TopicPartition & { readonly timestampMs: number })[],
  ): Promise<(number | undefined)[]>;
  /**
   * What the group has committed, in the order of the partitions; undefined where nothing was. *Stable*:
   * waits (or fails with a retriable error) while a transaction that commits offsets for them is pending.
   */
  committedOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<(number | undefined)[]>;
}

/** A reader of partitions assigned by hand. Not thread-safe: one caller, one call at a time. */
export interface Consumer {
  /** Adds partitions, each read from its offset. Those already assigned stay as they are. */
  assign(partitions: readonly PartitionOffset[]): Promise<void>;
  /** Removes partitions; what was prefetched of them is dropped and never delivered. */
  unassign(partitions: readonly TopicPartition[]): Promise<void>;
  /**
   * At most `recordsMax` records, waiting up to `waitMs` for the first. An empty array is normal.
   * Never returns records of a partition that is unassigned, paused, or at an older seek.
   * Errors: OFFSET_OUT_OF_RANGE (context: topic, partition, offset), BROKER_UNAVAILABLE.
   */
  poll(options: { readonly recordsMax: number; readonly waitMs: number }): Promise<RecordBatch[]>;
  /** The next offset to be delivered: past markers and aborted records that were passed over. */
  position(partition: TopicPartition): number;
  /**
   * False while the partition has, as far as the reader knows, something that `poll` has not delivered yet; what
   * came to the broker after the last poll counts for nothing.
   */
  atEnd(partition: TopicPartition): boolean;
  seek(partition: PartitionOffset): Promise<void>;
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * What the group says. `revoked`: finish and commit, then acknowledge; only then do others get them.
 * `lost`: they are others' already: abort, never commit, then acknowledge.
 * A member that joins and gets nothing is told so by an `assigned` without partitions.
 * Shape: `partitions` are partitions of the group's one topic.
 */
export interface GroupEvent {
  readonly type: 'assigned' | 'revoked' | 'lost';
  readonly partitions: readonly number[];
}

/**
 * Membership in a consumer group that shares out the partitions of one topic (the task tokens), sticky.
 * Offsets of *other* topics are committed under the group: in a transaction through `Producer.sendOffsets`,
 * without one through `commitOffsets`.
 */
export interface GroupMember {
  readonly groupId: string;
  /** Keeps the membership alive and returns what happened since; call at least every few seconds. */
  poll(waitMs: number): Promise<GroupEvent[]>;
  /** Answers an event that `poll` returned. Order: in the order they came, each once. */
  acknowledge(event: GroupEvent): Promise<void>;
  /**
   * Commits offsets (next to read) of any topics under the group, outside a transaction: at least once.
   * Errors: MEMBER_FENCED when this member has lost its place; BROKER_UNAVAILABLE when the outcome is not
   * known, and the same call again is right.
   */
  commitOffsets(offsets: readonly PartitionOffset[]): Promise<void>;
  /** Leaves the group (a static member only goes silent) and closes. Idempotent. */
  close(): Promise<void>;
}

/**
 * A producer. With a `transactionalId`: init once, then begin, send, sendOffsets, commit or abort, begin, …
 * Without one: `send` and `flush`; idempotent, not atomic.
 *
 * Errors by kind: `retriable` = the same call again; `abort` = call abort(), discard, rewind, go on;
 * `fenced` = another instance took over, or the outcome is unknown (TRANSACTION_OUTCOME_UNKNOWN):
 * close this producer; a new one has to be opened and initialised; `fatal` = likewise, and say so.
 */
export interface Producer {
  /** Fences older producers of the same transactional id and ends their open transaction. */
  init(): Promise<void>;
  begin(): Promise<void>;
  /**
   * Takes the records into the producer's buffer. Resolves at once unless the buffer is full. A retriable error
   * inside a transaction means that none was taken; without one, that the same call may write some twice.
   */
  send(records: readonly OutgoingRecord[]): Promise<void>;
  /** Resolves when everything sent so far is acknowledged. */
  flush(): Promise<void>;
  /**
   * Adds offsets (next to read) to the transaction under the member's group and generation; a member that
   * has lost its place is refused (MEMBER_FENCED): this is what fences a zombie.
   */
  sendOffsets(offsets: readonly PartitionOffset[], member: GroupMember): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
  /**
   * True when a request of the last transaction may have been retried behind our back: then it is not to
   * be trusted, and the producer must be re-created and initialised before the next begin.
   */
  mayHaveRetried(): boolean;
  /** Idempotent. An open transaction is left to init() of the successor or to the time-out. */
  close(): Promise<void>;
}

export interface GroupOptions {
  readonly groupId: string;
  /** The topic whose partitions are shared out. */
  readonly topic: string;
  /** Static membership: a restarted instance of the same name gets its partitions back. */
  readonly instanceId?: string;
  readonly sessionTimeoutMs: number;
}

export interface Broker {
  readonly kind: 'embedded' | 'kafka';
  readonly admin: Admin;
  openConsumer(options: { readonly isolation: Isolation; readonly clientId: string }): Promise<Consumer>;
  joinGroup(options: GroupOptions): Promise<GroupMember>;
  openProducer(options: {
    readonly clientId: string;
    readonly transactionalId?: string;
    readonly transactionTimeoutMs?: number;
  }): Promise<Producer>;
  /** Closes what is still open. Idempotent. */
  close(): Promise<void>;
}
