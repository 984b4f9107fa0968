/**
 * The shapes of the Kafka client's callback API that we use, written down here because the published types
 * lack half of it (incremental assignment, assignmentLost, EOF events, the wake-up callback).
 *
 * Types only. The values come from kafka-client.ts, the one file that loads the package.
 * Source: lib/*.js and src/*.cc of @confluentinc/kafka-javascript 1.10.1.
 */

/** What the client calls back with or throws. The three flags are set by transactional calls only. */
export interface NativeError {
  readonly message: string;
  readonly code: number;
  readonly isFatal?: boolean;
  readonly isRetriable?: boolean;
  readonly isTxnRequiresAbort?: boolean;
}

export type Done<T> = (error: NativeError | null | undefined, value: T) => void;

export interface NativePartition {
  readonly topic: string;
  readonly partition: number;
}

export interface NativePartitionOffset extends NativePartition {
  /** Absent or negative where there is none. */
  readonly offset?: number | null;
  readonly error?: NativeError;
}

/** Shape: `headers` holds one-property objects. */
export interface NativeMessage extends NativePartition {
  readonly offset: number;
  readonly key: Buffer | null | undefined;
  readonly value: Buffer | null;
  readonly timestamp?: number;
  readonly headers?: readonly Readonly<Record<string, Buffer>>[];
}

/** A line of the client's own log. Shape: `severity` as syslog: 0 emergency … 7 debug. */
export interface NativeLogLine {
  readonly severity: number;
  readonly fac: string;
  readonly message: string;
}

/** What every client object offers. */
export interface NativeClient {
  connect(options: { allTopics: boolean; timeout: number }, done: Done<unknown>): unknown;
  on(event: 'event.error', listener: (error: NativeError) => void): unknown;
  on(event: 'event.log', listener: (line: NativeLogLine) => void): unknown;
  on(event: 'event.stats', listener: (stats: { readonly message: string }) => void): unknown;
  on(
    event: 'delivery-report',
    listener: (error: NativeError | null, report: NativePartition) => void,
  ): unknown;
  /** The answer to `commit`, called back inside `consume`; the offsets are those of the request. */
  on(
    event: 'offset.commit',
    listener: (error: NativeError | undefined, offsets: readonly NativePartitionOffset[]) => void,
  ): unknown;
}

/** The object below the JavaScript wrapper: `consume` without an event emitted for each message. */
export interface NativeConsumerCore {
  consume(
    timeoutMs: number,
    messagesMax: number,
    timeoutOnlyForFirst: boolean,
    done: (
      error: { readonly code: number; readonly message: string } | null,
      messages: NativeMessage[],
      eofs: readonly (NativePartition & { readonly offset: number })[],
    ) => void,
  ): void;
}

export interface NativeConsumer extends NativeClient {
  getClient(): NativeConsumerCore;
  incrementalAssign(partitions: readonly NativePartitionOffset[]): unknown;
  incrementalUnassign(partitions: readonly NativePartition[]): unknown;
  unassign(): unknown;
  assignmentLost(): boolean;
  rebalanceProtocol(): string;
  subscribe(topics: readonly string[]): unknown;
  pause(partitions: readonly NativePartition[]): unknown;
  resume(partitions: readonly NativePartition[]): unknown;
  position(partitions: readonly NativePartition[]): NativePartitionOffset[];
  /** As the last answer of the broker said, without asking it; throws before the first. */
  getWatermarkOffsets(
    topic: string,
    partition: number,
  ): { readonly lowOffset: number; readonly highOffset: number };
  /** In the order of the partitions; in place of one that has a problem stands an Error without a number. */
  committed(
    partitions: readonly NativePartition[],
    timeoutMs: number,
    done: Done<readonly (NativePartitionOffset | Error)[]>,
  ): void;
  /** Sends the request and no more, like `commitCb`, which does not wait for the answer either: see the event. */
  commit(offsets: readonly NativePartitionOffset[]): unknown;
  disconnect(done: () => void): unknown;
}

export interface NativeProducer extends NativeClient {
  produce(
    topic: string,
    partition: number,
    value: Buffer | null,
    key: Buffer | null,
    timestamp: number,
    opaque: undefined,
    headers: readonly Readonly<Record<string, Buffer>>[] | undefined,
  ): unknown;
  setPollInBackground(on: boolean): unknown;
  flush(timeoutMs: number, done: Done<void>): unknown;
  initTransactions(timeoutMs: number, done: Done<void>): void;
  beginTransaction(done: Done<void>): void;
  commitTransaction(timeoutMs: number, done: Done<void>): void;
  abortTransaction(timeoutMs: number, done: Done<void>): void;
  sendOffsetsToTransaction(
    offsets: readonly NativePartitionOffset[],
    consumer: NativeConsumer,
    timeoutMs: number,
    done: Done<void>,
  ): void;
  /** Without the flush that `disconnect` begins with. */
  _disconnect(done: () => void): unknown;
}

export interface NativeTopicDescription {
  readonly name: string;
  /** The published types call the text `base64str`; the addon calls it `base64`. */
  readonly topicId?: { readonly base64: string };
  readonly partitions: readonly { readonly partition: number; readonly leader: unknown }[];
  readonly error?: NativeError;
}

export interface NativeAdmin {
  createTopic(
    topic: {
      topic: string;
      num_partitions: number;
      replication_factor: number;
      config: Readonly<Record<string, string>>;
    },
    timeoutMs: number,
    done: Done<void>,
  ): void;
  createPartitions(topic: string, partitions: number, timeoutMs: number, done: Done<void>): void;
  deleteTopic(topic: string, timeoutMs: number, done: Done<void>): void;
  describeTopics(
    topics: readonly string[],
    options: { timeout: number },
    done: Done<readonly NativeTopicDescription[]>,
  ): void;
  listTopics(options: { timeout: number }, done: Done<readonly string[]>): void;
  listOffsets(
    partitions: readonly (NativePartition & { readonly offset: unknown })[],
    options: { timeout: number; isolationLevel: number },
    done: Done<readonly NativePartitionOffset[]>,
  ): void;
  describeGroups(
    groups: readonly string[],
    options: { timeout: number },
    done: Done<{ readonly groups: readonly NativeGroupDescription[] }>,
  ): void;
}

/** Shape: `state` 3 = stable. `targetAssignment` is that of the new group protocol. */
export interface NativeGroupDescription {
  readonly state: number;
  readonly error?: NativeError;
  readonly members: readonly {
    readonly clientId: string;
    readonly targetAssignment?: { readonly topicPartitions: readonly NativePartition[] };
  }[];
}

/** A setting of librdkafka, or one of the two callbacks that are passed among them. */
export type NativeSettings = Readonly<Record<string, string | number | boolean>>;

/** Shape: `code` -175 = assign these, -174 = revoke these. */
export type RebalanceListener = (
  error: NativeError | undefined,
  partitions: readonly NativePartition[],
) => void;

/** The part of the package that is used. */
export interface KafkaLibrary {
  readonly features: readonly string[];
  newConsumer(settings: NativeSettings, onWake: () => void, onRebalance?: RebalanceListener): NativeConsumer;
  newProducer(settings: NativeSettings, reportDelivery: boolean): NativeProducer;
  /** An admin client on a connected producer's connections: it must not be used once that one closes. */
  adminFrom(producer: NativeProducer): NativeAdmin;
  readonly earliest: unknown;
  readonly latest: unknown;
  /** For `listOffsets`: the first record of that time or later. */
  atTime(timestampMs: number): unknown;
}
