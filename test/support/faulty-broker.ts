/**
 * Brokers that fail when told to. `faultyBroker`: transactions, before the commit reached the broker, or after
 * it was carried out but with the answer lost. `faultyWithoutTransactions`: what at least once calls, before or
 * after it was carried out. What a test wants to fail is decided by `plan`.
 */
import { StreamsError } from '../../src/base/errors.ts';
import type { Broker, GroupMember, Producer } from '../../src/broker/broker-port.ts';

export type CommitFault = 'none' | 'abort before' | 'answer lost' | 'request lost' | 'offsets refused';

function unknownOutcome(): StreamsError {
  return new StreamsError('TRANSACTION_OUTCOME_UNKNOWN', 'the answer to the commit was lost (injected)');
}

function faultyProducer(producer: Producer, plan: () => CommitFault): Producer {
  let fault: CommitFault = 'none';
  return {
    init: () => producer.init(),
    begin: () => {
      fault = plan();
      return producer.begin();
    },
    send: (records) => producer.send(records),
    flush: () => producer.flush(),
    sendOffsets: (offsets, member) => {
      if (fault === 'offsets refused')
        return Promise.reject(new StreamsError('TRANSACTION_ABORT_REQUIRED', 'offsets refused (injected)'));
      return producer.sendOffsets(offsets, member);
    },
    commit: async () => {
      if (fault === 'abort before')
        throw new StreamsError('TRANSACTION_ABORT_REQUIRED', 'the transaction must be aborted (injected)');
      if (fault === 'request lost') throw unknownOutcome();
      await producer.commit();
      if (fault === 'answer lost') throw unknownOutcome();
    },
    abort: () => producer.abort(),
    mayHaveRetried: () => producer.mayHaveRetried(),
    close: () => producer.close(),
  };
}

export function faultyBroker(broker: Broker, plan: () => CommitFault): Broker {
  return {
    kind: broker.kind,
    admin: broker.admin,
    openConsumer: (options) => broker.openConsumer(options),
    joinGroup: (options) => broker.joinGroup(options),
    openProducer: async (options) =>
      faultyProducer(
        await broker.openProducer(options),
        options.transactionalId === undefined ? () => 'none' : plan,
      ),
    close: () => broker.close(),
  };
}

/** Where at least once can fail: before a call reaches the broker, or (the last two) with its answer lost. */
export const plainPoints = ['send', 'flush', 'commitOffsets', 'flushed', 'offsetsCommitted'] as const;
export type PlainPoint = (typeof plainPoints)[number];

/** Arguments: `plan` is asked at every point and returns the error to fail with. */
export function faultyWithoutTransactions(
  broker: Broker,
  plan: (point: PlainPoint) => StreamsError | undefined,
): Broker {
  const at = (point: PlainPoint): void => {
    const error = plan(point);
    if (error !== undefined) throw error;
  };
  const faultyMember = (member: GroupMember): GroupMember => ({
    groupId: member.groupId,
    poll: (waitMs) => member.poll(waitMs),
    acknowledge: (event) => member.acknowledge(event),
    commitOffsets: async (offsets) => {
      at('commitOffsets');
      await member.commitOffsets(offsets);
      at('offsetsCommitted');
    },
    close: () => member.close(),
  });
  return {
    kind: broker.kind,
    admin: broker.admin,
    openConsumer: (options) => broker.openConsumer(options),
    joinGroup: async (options) => faultyMember(await broker.joinGroup(options)),
    openProducer: async (options) => {
      const producer = await broker.openProducer(options);
      return {
        init: () => producer.init(),
        begin: () => producer.begin(),
        send: async (records) => {
          at('send');
          await producer.send(records);
        },
        flush: async () => {
          at('flush');
          await producer.flush();
          at('flushed');
        },
        sendOffsets: (offsets, member) => producer.sendOffsets(offsets, member),
        commit: () => producer.commit(),
        abort: () => producer.abort(),
        mayHaveRetried: () => producer.mayHaveRetried(),
        close: () => producer.close(),
      };
    },
    close: () => broker.close(),
  };
}
