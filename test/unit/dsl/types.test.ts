/**
 * What must not compile. Each `@ts-expect-error` fails the build when the line below it is accepted; the
 * tests themselves only show that the lines around them are.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { KStream, KTable } from '../../../src/dsl/api.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { integerSerde, jsonSerde, longSerde, type Serde, stringSerde } from '../../../src/serde/serde.ts';
import { strings } from './support.ts';

interface Placed {
  readonly type: 'placed';
  readonly total: number;
}
interface Cancelled {
  readonly type: 'cancelled';
  readonly reason: string;
}
type OrderEvent = Placed | Cancelled;
interface Customer {
  readonly name: string;
}

const orderSerde: Serde<OrderEvent> = jsonSerde<OrderEvent>();
const windows = { beforeMs: 1, afterMs: 1, graceMs: 0 };

function parts(): {
  orders: KStream<string, OrderEvent>;
  numbers: KStream<number, string>;
  customers: KTable<string, Customer>;
} {
  const builder = new StreamsBuilder();
  return {
    orders: builder.stream('orders', { keySerde: stringSerde, valueSerde: orderSerde }),
    numbers: builder.stream('numbers', { keySerde: integerSerde, valueSerde: stringSerde }),
    customers: builder.table('customers', { keySerde: stringSerde, valueSerde: jsonSerde<Customer>() }),
  };
}

describe('types of the DSL', () => {
  it('a join knows both values, and refuses wrong ones and streams of another key', () => {
    const { orders, numbers, customers } = parts();
    orders.join(customers, (order, customer) => `${order.type} ${customer.name}`);
    // @ts-expect-error a customer has no total
    orders.join(customers, (_order, customer) => customer.total);
    // @ts-expect-error the joiner takes something else than a customer
    orders.join(customers, (_order, customer: number) => customer);
    // @ts-expect-error keys of another type do not meet
    assert.ok(orders.join(numbers, () => 1, windows));
    // @ts-expect-error keys of another type do not meet
    assert.ok(numbers.join(customers, () => 1));
  });

  it('a left join says that the other side may be null', () => {
    const { orders, customers } = parts();
    orders.leftJoin(customers, (_order, customer) => customer?.name);
    // @ts-expect-error the customer may be null
    orders.leftJoin(customers, (_order, customer) => customer.name);
    // @ts-expect-error either side may be null
    orders.outerJoin(orders, (left, right) => left.type + right.type, windows);
    // @ts-expect-error a stream join needs its window
    assert.throws(() => orders.join(orders, () => 1));
    // @ts-expect-error a window needs its grace
    assert.throws(() => orders.join(orders, () => 1, { beforeMs: 1, afterMs: 1 }));
  });

  it('joins with global tables and by foreign key know the other table’s key and value', () => {
    const builder = new StreamsBuilder();
    const customerSerdes = { keySerde: integerSerde, valueSerde: jsonSerde<Customer>() };
    const global = builder.globalTable('global', customerSerdes);
    const customers = builder.table('customers', customerSerdes);
    const orders = builder.stream('orders', { keySerde: stringSerde, valueSerde: orderSerde });
    const rows = builder.table('rows', { keySerde: stringSerde, valueSerde: orderSerde });
    orders.join(
      global,
      (id) => id.length,
      (order, customer) => `${order.type} ${customer.name}`,
    );
    // @ts-expect-error the global table's key is a number
    orders.join(
      global,
      (id) => id,
      (order, customer) => `${order.type} ${customer.name}`,
    );
    const nameOf = (_: OrderEvent, customer: Customer): string => customer.name;
    const lengthOf = (id: string): number => id.length;
    // @ts-expect-error a left join may find no customer
    orders.leftJoin(global, lengthOf, nameOf);
    rows.join(customers, (order, customer) => `${order.type} ${customer.name}`, {
      foreignKeyExtractor: (order) => (order.type === 'placed' ? order.total : null),
    });
    const byType = { foreignKeyExtractor: (order: OrderEvent): string => order.type };
    // @ts-expect-error the other table's key is a number
    rows.join(customers, (order) => order.type, byType);
    // @ts-expect-error a left join may find no customer
    rows.leftJoin(customers, nameOf, { foreignKeyExtractor: () => 1 });
    // @ts-expect-error tables of other keys join by a foreign key only
    rows.join(customers, (order) => order.type);
    // @ts-expect-error only left and outer joins have unmatched records
    assert.throws(() => orders.join(orders, () => 1, windows, { unmatched: 'strict' }));
  });

  it('filter and split narrow the value, and the serde of the whole union still serves', () => {
    const { orders } = parts();
    const isPlaced = (_key: string, event: OrderEvent): event is Placed => event.type === 'placed';
    const placed: KStream<string, Placed> = orders.filter(isPlaced);
    placed.mapValues(({ total }) => total);
    placed.to('placed', { valueSerde: orderSerde });
    placed
      .groupByKey({ valueSerde: orderSerde })
      .reduce((a) => a, { materialized: { valueSerde: orderSerde } });
    const branches = orders.split().branch(isPlaced, { name: 'placed' }).defaultBranch({ name: 'rest' });
    branches.placed.mapValues(({ total }) => total);
    branches.rest.mapValues(({ type }) => type);
    // @ts-expect-error there is no such branch
    assert.equal(branches.nothing, undefined);
  });

  it('sinks, groups and aggregates refuse serdes of other types', () => {
    const { orders, customers } = parts();
    // @ts-expect-error numbers cannot be written as orders are
    orders.mapValues(() => 1).to('out', { valueSerde: orderSerde });
    // @ts-expect-error the key is a string
    orders.to('out2', { keySerde: longSerde });
    const group = orders.groupByKey();
    const zero = (): number => 0;
    const add = (_key: string, _event: OrderEvent, sum: number): number => sum + 1;
    // @ts-expect-error the aggregate is a number
    group.aggregate(zero, add, { materialized: { valueSerde: stringSerde } });
    // @ts-expect-error an aggregate's serde must be given
    assert.throws(() => group.aggregate(zero, add));
    // @ts-expect-error the new key is a number
    assert.ok(orders.groupBy(() => 1, { keySerde: stringSerde }));
    const counts: KTable<string, number> = orders.groupByKey().count();
    counts.join(customers, (count, customer) => `${count} ${customer.name}`);
    // @ts-expect-error a table's changes may be deletions
    counts.toStream().mapValues((count) => count.toFixed());
    assert.ok(counts);
  });

  it('keys and values follow through maps', () => {
    const { orders } = parts();
    const renamed: KStream<number, string> = orders.map((key, event) => [key.length, event.type]);
    // @ts-expect-error the key is a number now
    renamed.filter((key) => key.startsWith('a'));
    assert.ok(renamed);
    assert.ok(strings);
  });
});
