/**
 * A broker whose transactions fail when told to: before the commit reached it, or after it was carried out
 * but with the answer lost. What a test wants to fail is decided by `plan`, asked once per call.
 */
import { StreamsError } from '../../src/base/errors.ts';
import type { Broker, Producer } from '../../src/broker/broker-port.ts';

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
