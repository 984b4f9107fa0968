/**
 * A broker as a process sees it that can be killed: from then on no call of it reaches the broker and none
 * comes back, so that whatever waits for one waits for ever.
 */
import type { Admin, Broker } from '../../../../src/broker/broker-port.ts';

export function killable(broker: Broker): {
  readonly broker: Broker;
  kill(): void;
  killed(): boolean;
} {
  let killed = false;
  const never = (): Promise<never> => new Promise(() => {});
  /** Every method of a client, until the kill. Answers of calls under way are lost as well. */
  const guarded = <T extends object>(client: T): T =>
    new Proxy(client, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => {
          if (killed) return never();
          const result: unknown = Reflect.apply(member, target, args);
          return result instanceof Promise
            ? result.then((value: unknown) => (killed ? never() : value))
            : result;
        };
      },
    });
  // The member is kept as it is where it is handed to the producer, which knows it by its class.
  const members = new WeakMap<object, object>();
  return {
    kill: () => {
      killed = true;
    },
    killed: () => killed,
    broker: {
      kind: broker.kind,
      admin: guarded<Admin>(broker.admin),
      openConsumer: async (options) => guarded(await (killed ? never() : broker.openConsumer(options))),
      joinGroup: async (options) => {
        const member = await (killed ? never() : broker.joinGroup(options));
        const outer = guarded(member);
        members.set(outer, member);
        return outer;
      },
      openProducer: async (options) => {
        const producer = await (killed ? never() : broker.openProducer(options));
        const outer = guarded(producer);
        return new Proxy(outer, {
          get: (target, name) => {
            const method: unknown = Reflect.get(target, name, target);
            if (name !== 'sendOffsets' || typeof method !== 'function') return method;
            return (offsets: unknown, member: object): unknown =>
              Reflect.apply(method, target, [offsets, members.get(member) ?? member]);
          },
        });
      },
      close: () => broker.close(),
    },
  };
}
