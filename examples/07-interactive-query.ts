/**
 * Interactive query: an application answers over HTTP from its own state, without a database beside it. A
 * query sees what is committed, so it never shows what a crash could take back.
 *
 * Run it: npm run example 07
 * Prints:
 *   /stock/apples: {"value":12,"timestamp":2000}
 *   /stock/pears: 404
 */
import {
  integerSerde,
  openEmbeddedBroker,
  openMemoryBackend,
  StreamsApp,
  StreamsBuilder,
  silentTelemetry,
  startHttpServer,
  stringSerde,
  type ValueAndTimestamp,
  wallClock,
} from 'millrace';

const builder = new StreamsBuilder();
const serdes = { keySerde: stringSerde, valueSerde: integerSerde };
builder
  .stream<string, number>('deliveries', serdes)
  .groupByKey()
  .reduce((inStock, delivered) => inStock + delivered, { materialized: { name: 'stock' } });

const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
await broker.admin.createTopics([{ name: 'deliveries', partitions: 1 }]);
const producer = await broker.openProducer({ clientId: 'example' });
const apples = (count: number, timestamp: number) => {
  const value = integerSerde.serialize(count, 'deliveries');
  return { topic: 'deliveries', partition: 0, key: Buffer.from('apples'), value, timestamp, headers: [] };
};
await producer.send([apples(5, 1_000), apples(7, 2_000)]);

const app = new StreamsApp({
  topology: builder.build(),
  settings: { applicationId: 'stock' },
  broker,
  openTaskBackend: () => openMemoryBackend(),
  destroyTaskBackend: async () => {},
});
const stock = (item: string) => app.query<string, ValueAndTimestamp<number>>('stock', item);
const health = { healthy: () => app.state !== 'ERROR', ready: () => app.ready };
const routes = [{ method: 'GET', path: '/stock/:item', handler: ({ item = '' }) => stock(item) }] as const;
const server = await startHttpServer({ port: 0, routes, ...health, log: silentTelemetry.log });
await app.start();

while (!app.ready || (await stock('apples'))?.value !== 12) await wallClock.sleep(10);
for (const path of ['/stock/apples', '/stock/pears']) {
  const answer = await fetch(`${server.url}${path}`);
  console.log(`${path}: ${answer.ok ? await answer.text() : answer.status}`);
}
await server.close();
await app.stop();
await broker.close();
