/**
 * librdkafka's settings for each kind of client, in one place, each with the reason it departs from the
 * default. Pure. What correctness rests on comes after the user's `properties` and so cannot be overridden.
 */
import type { Isolation } from './broker-port.ts';
import type { NativeSettings } from './kafka-client-types.ts';

/** What all clients of one broker share. */
export interface ClientBasics {
  readonly brokers: string;
  readonly properties: Readonly<Record<string, string>>;
}

/** Records, their key, headers and batch overhead, up to this size: the default of a broker's message.max.bytes. */
export const recordBytesMax = 1_048_576;
/** Bytes that a batch of one record adds to key, value and headers, rounded up. */
export const batchOverheadBytes = 96;

function common(basics: ClientBasics, clientId: string): NativeSettings {
  return {
    'log.connection.close': true,
    // An outage of minutes must not cost another ten seconds of waiting once the broker is back.
    'reconnect.backoff.max.ms': 2_000,
    ...basics.properties,
    'bootstrap.servers': basics.brokers,
    'client.id': clientId,
  };
}

/** For admin requests; it never writes. */
export function adminSettings(basics: ClientBasics, clientId: string): NativeSettings {
  return {
    ...common(basics, clientId),
    // The library asks for offsets under the leader epoch that it remembers and does not look again when the broker
    // refuses it: after a broker's restart restores would fail until it forgets, by default for 15 minutes.
    'metadata.max.age.ms': 1_000,
  };
}

/** A reader of partitions assigned by hand. It needs a group id to exist, and never joins that group. */
export function consumerSettings(
  basics: ClientBasics,
  clientId: string,
  isolation: Isolation,
): NativeSettings {
  return {
    // Bounds what is prefetched by bytes; the default of 64 MiB is a lot beside a store's own memory.
    'queued.max.messages.kbytes': 32_768,
    'queued.min.messages': 50_000,
    // The default of one second makes the throughput saw-tooth whenever the prefetch bound was hit.
    'fetch.queue.backoff.ms': 20,
    'fetch.wait.max.ms': 100,
    'fetch.error.backoff.ms': 100,
    ...common(basics, clientId),
    'group.id': clientId,
    'isolation.level': isolation,
    'enable.auto.commit': false,
    'enable.auto.offset.store': false,
    'auto.offset.reset': 'error',
    // Tells the position at the end of a compacted partition, whose last records may be gone.
    'enable.partition.eof': true,
  };
}

/** Reads a group's committed offsets under its name, and never joins it. */
export function offsetReaderSettings(
  basics: ClientBasics,
  clientId: string,
  groupId: string,
): NativeSettings {
  return {
    ...common(basics, clientId),
    'group.id': groupId,
    // Makes the broker hold back offsets whose transaction is still open.
    'isolation.level': 'read_committed',
    'enable.auto.commit': false,
    'enable.auto.offset.store': false,
  };
}

export type GroupProtocol = 'consumer' | 'classic';

/** A member of a group that shares out the partitions of one topic. */
export function memberSettings(
  basics: ClientBasics,
  clientId: string,
  options: {
    readonly groupId: string;
    readonly instanceId: string | undefined;
    readonly sessionTimeoutMs: number;
    readonly protocol: GroupProtocol;
  },
): NativeSettings {
  const membership =
    options.protocol === 'consumer'
      ? { 'group.protocol': 'consumer', 'group.remote.assignor': 'uniform' }
      : {
          'group.protocol': 'classic',
          'partition.assignment.strategy': 'cooperative-sticky',
          'session.timeout.ms': options.sessionTimeoutMs,
          'heartbeat.interval.ms': Math.max(100, Math.min(3_000, Math.floor(options.sessionTimeoutMs / 3))),
          'max.poll.interval.ms': Math.max(300_000, options.sessionTimeoutMs),
        };
  return {
    ...common(basics, clientId),
    ...membership,
    'group.id': options.groupId,
    ...(options.instanceId === undefined ? {} : { 'group.instance.id': options.instanceId }),
    'enable.auto.commit': false,
    'enable.auto.offset.store': false,
    'auto.offset.reset': 'latest',
  };
}

/** A producer, transactional or idempotent only. */
export function producerSettings(
  basics: ClientBasics,
  clientId: string,
  options: {
    readonly transactionalId: string | undefined;
    readonly transactionTimeoutMs: number;
    readonly canCompress: boolean;
  },
): NativeSettings {
  return {
    'linger.ms': 5,
    'compression.codec': options.canCompress ? 'lz4' : 'none',
    'queue.buffering.max.messages': 500_000,
    'queue.buffering.max.kbytes': 262_144,
    ...common(basics, clientId),
    'message.max.bytes': recordBytesMax,
    'enable.idempotence': true,
    'delivery.report.only.error': true,
    ...(options.transactionalId === undefined
      ? {}
      : {
          'transactional.id': options.transactionalId,
          'transaction.timeout.ms': options.transactionTimeoutMs,
          // After a commit the coordinator answers "concurrent transactions" for some milliseconds.
          'retry.backoff.ms': 10,
          // The two witnesses of kafka-retry-watch.ts, whatever `properties` say: its counters, and the lines
          // about broken connections, which are of the level "info" at the lowest.
          'statistics.interval.ms': 100,
          'log.connection.close': true,
          log_level: 6,
        }),
  };
}
