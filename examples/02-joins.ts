/**
 * Two joins. An order meets its payment when both come within an hour of each other (stream and stream); the
 * paid order then gets the name that the customer has now (stream and table). In between the key changes from
 * order to customer, so the records go through a repartition topic, without a word said about it.
 *
 * Run it: npm run example 02
 * Prints:
 *   c1  {"name":"Ada","orderId":"o1","total":30,"card":"visa"}
 *   c9  {"name":"unknown","orderId":"o3","total":10,"card":"amex"}
 */
import { jsonSerde, StreamsBuilder, stringSerde } from 'millrace';
import { runOnEmbeddedBroker } from './support/run-on-embedded-broker.ts';

interface Order {
  readonly customerId: string;
  readonly total: number;
}
interface Payment {
  readonly card: string;
}
interface Customer {
  readonly name: string;
}

const minuteMs = 60_000;
const json = <V>() => ({ keySerde: stringSerde, valueSerde: jsonSerde<V>() });
const builder = new StreamsBuilder();
const orders = builder.stream('orders', json<Order>());
const payments = builder.stream('payments', json<Payment>());
const customers = builder.table('customers', json<Customer>());
const withinAnHour = { beforeMs: 60 * minuteMs, afterMs: 60 * minuteMs, graceMs: 0 };

orders
  .join(payments, (order, { card }, orderId) => ({ orderId, ...order, card }), withinAnHour)
  .selectKey((_orderId, { customerId }) => customerId)
  .leftJoin(
    customers,
    ({ orderId, total, card }, customer) => ({ name: customer?.name ?? 'unknown', orderId, total, card }),
    json(),
  )
  .to('receipts', json());

await runOnEmbeddedBroker(
  builder.build(),
  [
    { topic: 'customers', key: 'c1', value: { name: 'Ada' }, atMs: 0 },
    { topic: 'orders', key: 'o1', value: { customerId: 'c1', total: 30 }, atMs: 10 * minuteMs },
    { topic: 'orders', key: 'o2', value: { customerId: 'c1', total: 20 }, atMs: 11 * minuteMs },
    { topic: 'payments', key: 'o1', value: { card: 'visa' }, atMs: 12 * minuteMs },
    { topic: 'orders', key: 'o3', value: { customerId: 'c9', total: 10 }, atMs: 13 * minuteMs },
    { topic: 'payments', key: 'o3', value: { card: 'amex' }, atMs: 15 * minuteMs },
    { topic: 'payments', key: 'o2', value: { card: 'late' }, atMs: 72 * minuteMs },
  ],
  'receipts',
);
