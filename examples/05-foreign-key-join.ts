/**
 * Foreign-key join: each order with the row of its customer, whom its value names. When a customer comes or changes,
 * all of the customer's orders come out anew; nothing has to be re-keyed by hand.
 *
 * Run it: npm run example 05
 * Prints:
 *   o1  "30 from Ada"
 *   o2  "5 from Ada"
 */
import { jsonSerde, StreamsBuilder, stringSerde } from 'millrace';
import { runOnEmbeddedBroker } from './support/run-on-embedded-broker.ts';

interface Order {
  readonly customerId: string;
  readonly total: number;
}
interface Customer {
  readonly name: string;
}

const json = <V>() => ({ keySerde: stringSerde, valueSerde: jsonSerde<V>() });
const builder = new StreamsBuilder();
const orders = builder.table('orders', json<Order>());
const customers = builder.table('customers', json<Customer>());

orders
  .join(customers, ({ total }, { name }) => `${total} from ${name}`, {
    foreignKeyExtractor: ({ customerId }) => customerId,
    materialized: { name: 'orders-with-names', ...json<string>() },
  })
  .toStream()
  .to('named-orders');

await runOnEmbeddedBroker(
  builder.build(),
  [
    { topic: 'orders', key: 'o1', value: { customerId: 'c1', total: 30 }, atMs: 1_000 },
    { topic: 'orders', key: 'o2', value: { customerId: 'c1', total: 5 }, atMs: 2_000 },
    { topic: 'orders', key: 'o3', value: { customerId: 'c9', total: 10 }, atMs: 3_000 },
    { topic: 'customers', key: 'c1', value: { name: 'Ada' }, atMs: 4_000 },
  ],
  'named-orders',
);
