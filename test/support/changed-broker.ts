/** Brokers of which a test replaces single methods; the rest is passed on. */
import type { Broker, Consumer } from '../../src/broker/broker-port.ts';

/** Methods of `changes` go before the broker's own. */
export function changedBroker(broker: Broker, changes: Partial<Broker>): Broker {
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

/** Consumers whose polls go through `poll`, which may refuse, delay or shorten them. */
export function withPolls(
  broker: Broker,
  poll: (
    consumer: Consumer,
    how: Parameters<Consumer['poll']>[0],
    clientId: string,
  ) => ReturnType<Consumer['poll']>,
): Broker {
  return changedBroker(broker, {
    openConsumer: async (options) => {
      const consumer = await broker.openConsumer(options);
      return {
        assign: (partitions) => consumer.assign(partitions),
        unassign: (partitions) => consumer.unassign(partitions),
        poll: (how) => poll(consumer, how, options.clientId),
        position: (partition) => consumer.position(partition),
        atEnd: (partition) => consumer.atEnd(partition),
        seek: (partition) => consumer.seek(partition),
        pause: (partitions) => consumer.pause(partitions),
        resume: (partitions) => consumer.resume(partitions),
        close: () => consumer.close(),
      };
    },
  });
}
