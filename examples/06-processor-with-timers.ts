/**
 * A hand-written processor with a store and timers: a reminder for every order that is not paid for half an
 * hour. Timers are state like any other: they are committed with it, survive a crash and move with their key.
 *
 * Run it: npm run example 06
 * Prints:
 *   o2  "20 is still to be paid"
 */
import type { KeyValueStore, Processor, ProcessorContext, Record, Timer } from 'millrace';
import { jsonSerde, StreamsBuilder, stringSerde } from 'millrace';
import { runOnEmbeddedBroker } from './support/run-on-embedded-broker.ts';

const minuteMs = 60_000;

class PaymentReminder implements Processor<string, number, string, string> {
  #context!: ProcessorContext<string, string>;
  #open!: KeyValueStore<string, number>;

  init(context: ProcessorContext<string, string>) {
    this.#context = context;
    this.#open = context.getStateStore('open-amounts');
  }

  /** The value is what is to be paid for the order: 0 once it is paid. */
  process({ key, value, timestamp }: Record<string, number>) {
    const { timers } = this.#context;
    this.#open.put(key, value);
    if (value === 0) timers.cancel(key, 'remind');
    else timers.schedule({ key, name: 'remind', dueMs: timestamp + 30 * minuteMs, clock: 'stream' });
  }

  onTimer({ key, dueMs }: Timer<string>) {
    const value = `${this.#open.get(key)} is still to be paid`;
    this.#context.forward({ key, value, timestamp: dueMs, headers: [] });
  }
}

const json = <V>() => ({ keySerde: stringSerde, valueSerde: jsonSerde<V>() });
const builder = new StreamsBuilder();
builder
  .addStateStore({ name: 'open-amounts', kind: 'key-value', changelog: true, ...json<unknown>() })
  .stream('amounts', json<number>())
  .process(() => new PaymentReminder(), { stores: ['open-amounts'], keepsKey: true })
  .to('reminders', json());

const amount = (key: string, value: number, atMs: number) => ({ topic: 'amounts', key, value, atMs });
const inputs = [
  amount('o1', 10, 0),
  amount('o2', 20, 5 * minuteMs),
  amount('o1', 0, 20 * minuteMs),
  amount('o3', 30, 60 * minuteMs),
];
await runOnEmbeddedBroker(builder.build(), inputs, 'reminders');
