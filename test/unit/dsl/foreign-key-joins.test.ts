/**
 * Goal: a join by foreign key holds what a join of two plain maps holds, over one partition and over several,
 * and reaches it through Kafka Streams' topics. Method: cases, random changes against the maps, and a running
 * application whose tables have different partition counts.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { afterEach, describe, it } from 'mocha';
import { StreamsApp } from '../../../src/app/streams-app.ts';
import { partitionForKey } from '../../../src/base/murmur2.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker, OutgoingRecord } from '../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { Topology } from '../../../src/graph/topology.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { eventually } from '../../support/eventually.ts';
import { Rig, strings } from './support.ts';

type How = 'inner' | 'left';

/** `order` names a customer after the bar; no customer: `-`. */
function topology(how: How, named?: string): Topology {
  const builder = new StreamsBuilder();
  const orders = builder.table('orders', strings);
  const customers = builder.table('customers', strings);
  const foreignKeyExtractor = (order: string): string | null => {
    const customer = order.split('|')[1] ?? '-';
    return customer === '-' ? null : customer;
  };
  const pair = (order: string, customer: string | null): string => `${order}:${customer}`;
  const options = {
    foreignKeyExtractor,
    materialized: { name: 'joined', ...strings },
    ...(named === undefined ? {} : { named }),
  };
  const joined =
    how === 'inner' ? orders.join(customers, pair, options) : orders.leftJoin(customers, pair, options);
  joined.toStream().to('out');
  return builder.build();
}

function joinOf(
  how: How,
  orders: ReadonlyMap<string, string>,
  customers: ReadonlyMap<string, string>,
): Map<string, string> {
  const rows = new Map<string, string>();
  for (const [id, order] of orders) {
    const name = order.split('|')[1] ?? '-';
    const customer = name === '-' ? undefined : customers.get(name);
    if (customer !== undefined || how === 'left') rows.set(id, `${order}:${customer ?? null}`);
  }
  return rows;
}

function set(rows: Map<string, string>, key: string, value: string | null): void {
  if (value === null) rows.delete(key);
  else rows.set(key, value);
}

describe('joins by foreign key', () => {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
  });

  it('give either side’s changes to every row that names the key, with the times of Kafka Streams', async () => {
    const rig = await Rig.open(topology('inner'));
    open.push(rig);
    await rig.pipe('orders', 'o1', 'a|c', 5);
    await rig.pipe('orders', 'o2', 'b|c', 9);
    await rig.pipe('customers', 'c', 'Ann', 3);
    await rig.pipe('orders', 'o1', 'a2|c', 7);
    // A change of the right row has its own time, earlier than that of the left rows.
    assert.deepEqual(rig.read('out'), ['o1=a|c:Ann@3', 'o2=b|c:Ann@3', 'o1=a2|c:Ann@7']);
    await rig.pipe('customers', 'c', null, 8);
    assert.deepEqual(rig.read('out'), ['o1=null@8', 'o2=null@8']);
  });

  it('take a row from its old key when it names another, or none', async () => {
    for (const [how, expected] of [
      ['inner', ['o=b|d:Dan@2', 'o=null@3']],
      ['left', ['o=b|d:Dan@2', 'o=c|-:null@3', 'o=null@5']],
    ] as const) {
      const rig = await Rig.open(topology(how));
      open.push(rig);
      await rig.pipe('customers', 'c', 'Cid', 0);
      await rig.pipe('customers', 'd', 'Dan', 0);
      await rig.pipe('orders', 'o', 'a|c', 1);
      rig.read('out');
      await rig.pipe('orders', 'o', 'b|d', 2);
      await rig.pipe('customers', 'c', 'nobody asks', 9);
      await rig.pipe('orders', 'o', 'c|-', 3);
      await rig.pipe('customers', 'd', 'nobody asks', 4);
      await rig.pipe('orders', 'o', null, 5);
      assert.deepEqual(rig.read('out'), expected);
    }
  });

  it('take a result away when a row changes twice without a key before the other side has answered', async () => {
    for (const last of ['c|-', null]) {
      const rig = new Rig(topology('inner'), { commitEveryRecords: 10 });
      open.push(rig);
      await rig.driver.open();
      await rig.pipe('customers', 'c', 'x', 1);
      await rig.pipe('orders', 'o1', 'a|c', 2);
      await rig.driver.commit();
      assert.deepEqual(rig.read('out'), ['o1=a|c:x@2']);
      await rig.pipe('orders', 'o1', 'b|-', 3);
      await rig.pipe('orders', 'o1', last, 4);
      await rig.driver.commit();
      assert.deepEqual(rig.read('out'), ['o1=null@3'], `after ${last}`);
    }
  });

  it('hold what the maps hold when many changes of both sides are under way at once', async () => {
    const change = fc.oneof(
      fc.record({
        topic: fc.constant('orders'),
        key: fc.constantFrom('o1', 'o2'),
        value: fc.option(
          fc.tuple(fc.constantFrom('x', 'y'), fc.constantFrom('a', 'b', '-')).map((v) => v.join('|')),
        ),
      }),
      fc.record({
        topic: fc.constant('customers'),
        key: fc.constantFrom('a', 'b'),
        value: fc.option(fc.constantFrom('A', 'B')),
      }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<How>('inner', 'left'),
        fc.integer({ min: 2, max: 9 }),
        fc.array(change, { maxLength: 40 }),
        async (how, commitEveryRecords, changes) => {
          const rig = new Rig(topology(how), { commitEveryRecords });
          await rig.driver.open();
          const rows = { orders: new Map<string, string>(), customers: new Map<string, string>() };
          for (const [n, { topic, key, value }] of changes.entries()) {
            await rig.pipe(topic, key, value, n);
            set(rows[topic as keyof typeof rows], key, value);
          }
          await rig.driver.commit();
          const held = new Map<string, string>();
          for (const line of rig.read('out')) {
            const [key = '', value = ''] = line.replace(/@.*/, '').split('=');
            set(held, key, value === 'null' ? null : value);
          }
          await rig.close();
          const sorted = (map: ReadonlyMap<string, string>) => [...map].sort();
          assert.deepEqual(sorted(held), sorted(joinOf(how, rows.orders, rows.customers)));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('have the topics, stores and nodes that Kafka Streams names', () => {
    const generated = topology('inner');
    assert.deepEqual(
      generated.repartitions().map(({ name }) => name),
      [
        'KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000006-topic',
        'KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000014-topic',
      ],
    );
    assert.ok(generated.store('KTABLE-FK-JOIN-SUBSCRIPTION-STATE-STORE-0000000010'));
    for (const node of [
      'KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-0000000007',
      'KTABLE-SINK-0000000008',
      'KTABLE-SOURCE-0000000009',
      'KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-0000000013',
      'KTABLE-SINK-0000000015',
      'KTABLE-SOURCE-0000000016',
      'KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-0000000017',
      'KTABLE-FK-JOIN-OUTPUT-0000000018',
    ])
      assert.ok(generated.node(node), node);
    const named = topology('left', 'enrich');
    assert.deepEqual(
      named.repartitions().map(({ name }) => name),
      ['enrich-subscription-registration-topic', 'enrich-subscription-response-topic'],
    );
    assert.ok(named.store('enrich-subscription-store'));
  });

  it('hold what a join of two maps holds after any changes, however often is committed', async function () {
    this.timeout(60_000);
    const change = fc.oneof(
      fc.record({
        topic: fc.constant('orders' as const),
        key: fc.constantFrom('o1', 'o2', 'o3'),
        value: fc.option(fc.constantFrom('a|c', 'b|c', 'a|cc', 'a|-', 'b|-', 'a|')),
      }),
      fc.record({
        topic: fc.constant('customers' as const),
        key: fc.constantFrom('c', 'cc', ''),
        value: fc.option(fc.constantFrom('x', 'y', '')),
      }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<How>('inner', 'left'),
        fc.array(change, { maxLength: 30 }),
        fc.constantFrom(1, 3),
        async (how, changes, commitEveryRecords) => {
          const rig = new Rig(topology(how), { commitEveryRecords });
          await rig.driver.open();
          const tables = { orders: new Map<string, string>(), customers: new Map<string, string>() };
          for (const [at, { topic, key, value }] of changes.entries()) {
            set(tables[topic], key, value);
            await rig.pipe(topic, key, value, at);
          }
          await rig.driver.commit();
          const expected = joinOf(how, tables.orders, tables.customers);
          for (const key of ['o1', 'o2', 'o3']) {
            const row = await rig.driver.store<string, { value: string }>('joined', key);
            assert.equal(row?.value, expected.get(key), `${how} ${key}`);
          }
          await rig.close();
        },
      ),
      { seed: 20261121, numRuns: 150 },
    );
  });

  it('reach over partitions: tables of different counts, rows in other tasks than what they name', async function () {
    this.timeout(60_000);
    const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    open.push(broker);
    await broker.admin.createTopics([
      { name: 'orders', partitions: 3 },
      { name: 'customers', partitions: 2 },
      { name: 'out', partitions: 1 },
    ]);
    const disk = new MemoryDisk();
    const app = new StreamsApp({
      topology: topology('left'),
      settings: { applicationId: 'fk', transactionalId: 'fk-0', commitIntervalMs: 5 },
      broker,
      openTaskBackend: disk.open,
      destroyTaskBackend: async () => undefined,
      clock: wallClock,
    });
    open.push({ close: () => app.stop() });
    await app.start();
    const tables = { orders: new Map<string, string>(), customers: new Map<string, string>() };
    const counts = { orders: 3, customers: 2 };
    const records: OutgoingRecord[] = [];
    const write = (topic: 'orders' | 'customers', key: string, value: string | null): void => {
      set(tables[topic], key, value);
      const bytes = Buffer.from(key);
      const partition = partitionForKey(bytes, counts[topic]);
      const timestamp = 1_000 + records.length;
      records.push({
        topic,
        partition,
        key: bytes,
        value: value === null ? null : Buffer.from(value),
        timestamp,
        headers: [],
      });
    };
    for (let n = 0; n < 300; n++) {
      write('orders', `o${n % 40}`, n % 17 === 0 ? null : `v${n}|${n % 13 === 0 ? '-' : `c${(n * 7) % 11}`}`);
      if (n % 3 === 0) write('customers', `c${n % 11}`, n % 5 === 0 ? null : `name${n}`);
    }
    const producer = await broker.openProducer({ clientId: 'test' });
    await producer.send(records);
    await producer.flush();
    await producer.close();
    const expected = joinOf('left', tables.orders, tables.customers);
    await eventually(
      async () => {
        const rows = await readTable(broker);
        return rows.size === expected.size && [...expected].every(([key, row]) => rows.get(key) === row);
      },
      { timeoutMs: 30_000, what: 'the joined rows to be those of the two tables' },
    );
  });
});

/** The last committed row of each key of `out`. */
async function readTable(broker: Broker): Promise<Map<string, string>> {
  const input = { topic: 'out', partition: 0 };
  const [end] = await broker.admin.endOffsets([input], 'read_uncommitted');
  const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
  await consumer.assign([{ ...input, offset: 0 }]);
  const rows = new Map<string, string>();
  while (consumer.position(input) < (end as number)) {
    for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 10 }))
      for (let index = 0; index < batch.count; index++) {
        const value = batch.value(index);
        set(rows, String(batch.key(index)), value === null ? null : String(value));
      }
  }
  await consumer.close();
  return rows;
}
