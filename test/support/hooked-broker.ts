/**
 * A broker whose transactional producers tell at which step of a commit they are, so that a test can kill or
 * stop its process exactly there; and whose guard against repeated requests can be switched off, to prove
 * that a test would notice if it were not there. The steps are those of docs/spec/commit-cycle.md.
 */
import type { KeyValueBackend } from '../../src/base/backend-port.ts';
import { StreamsError } from '../../src/base/errors.ts';
import type { Broker, Producer } from '../../src/broker/broker-port.ts';

/**
 * - `begun`: the transaction has begun, nothing is in it;
 * - `sent`: outputs and changelog are acknowledged (step 1), the offsets are not;
 * - `offsets`: the offsets are in the transaction (step 2), it has not been ended;
 * - `committing`: the commit has been asked for and not answered (step 3);
 * - `committed`: it is answered, no store has been written (before step 4);
 * - `stored`: the first task's store has been written, the others not (in step 4).
 */
export const commitPoints = ['begun', 'sent', 'offsets', 'committing', 'committed', 'stored'] as const;
export type CommitPoint = (typeof commitPoints)[number];

export interface BrokerHooks {
  /** Called at every point of every commit; may never return. */
  readonly at: (point: CommitPoint) => void;
  /** False: producers never say that a request may have been repeated. */
  readonly guard: boolean;
  /** True where `at` wants `sent` to mean that the brokers have the records, not only the client. */
  readonly flushes: () => boolean;
  /** True once for every transaction that is to be aborted. */
  readonly aborts: () => boolean;
}

function hookedProducer(producer: Producer, hooks: BrokerHooks): Producer {
  let outputs = 0;
  const at = (point: CommitPoint): void => {
    // A transaction that only moves offsets past markers is not worth a fault.
    if (outputs > 0 || point === 'begun') hooks.at(point);
  };
  return {
    init: () => producer.init(),
    begin: async () => {
      outputs = 0;
      await producer.begin();
      at('begun');
    },
    send: (records) => {
      outputs += records.filter(({ topic }) => !topic.endsWith('-changelog')).length;
      return producer.send(records);
    },
    flush: () => producer.flush(),
    sendOffsets: async (offsets, member) => {
      if (hooks.flushes()) await producer.flush();
      at('sent');
      await producer.sendOffsets(offsets, member);
      at('offsets');
      if (outputs > 0 && hooks.aborts())
        throw new StreamsError('TRANSACTION_ABORT_REQUIRED', 'this transaction is to be aborted (injected)');
    },
    commit: async () => {
      const committed = producer.commit();
      // The request leaves the library's own thread some time after the call.
      const asked = setTimeout(() => at('committing'), 2);
      try {
        await committed;
      } finally {
        clearTimeout(asked);
      }
      at('committed');
    },
    abort: () => producer.abort(),
    mayHaveRetried: () => hooks.guard && producer.mayHaveRetried(),
    close: () => producer.close(),
  };
}

export function hookedBroker(broker: Broker, hooks: BrokerHooks): Broker {
  return {
    kind: broker.kind,
    admin: broker.admin,
    openConsumer: (options) => broker.openConsumer(options),
    joinGroup: (options) => broker.joinGroup(options),
    openProducer: async (options) => {
      const producer = await broker.openProducer(options);
      return options.transactionalId === undefined ? producer : hookedProducer(producer, hooks);
    },
    close: () => broker.close(),
  };
}

/** The backend of a task: tells when a batch has been written. */
export function hookedBackend(backend: KeyValueBackend, hooks: Pick<BrokerHooks, 'at'>): KeyValueBackend {
  return {
    getMany: (keys) => backend.getMany(keys),
    range: (range) => backend.range(range),
    scan: (range, pageSize) => backend.scan(range, pageSize),
    write: async (writes, options) => {
      await backend.write(writes, options);
      hooks.at('stored');
    },
    sizeBytes: () => backend.sizeBytes(),
    close: () => backend.close(),
  };
}
