/**
 * Word count, the whole program: a topology, a broker inside the process, an application that runs it.
 * Each word is counted in a state store, and every change of a count is a record in the topic `counts`.
 *
 * Run it: npm run example 01
 * Prints:
 *   to 1, be 1, or 1, not 1, to 2, be 2
 */
import {
  longSerde,
  openEmbeddedBroker,
  openMemoryBackend,
  StreamsApp,
  StreamsBuilder,
  stringSerde,
  wallClock,
} from 'millrace';

const text = { keySerde: stringSerde, valueSerde: stringSerde };
const builder = new StreamsBuilder();
builder
  .stream<string, string>('lines', text)
  .flatMapValues((line) => line.toLowerCase().split(' '))
  .groupBy((_key, word) => word, text)
  .count({ materialized: { name: 'word-counts' } })
  .toStream()
  .to('counts');

const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
await broker.admin.createTopics(['lines', 'counts'].map((name) => ({ name, partitions: 1 })));
const producer = await broker.openProducer({ clientId: 'example' });
const value = Buffer.from('To be or not to be');
await producer.send([{ topic: 'lines', partition: 0, key: null, value, timestamp: 0, headers: [] }]);

const app = new StreamsApp({
  topology: builder.build(),
  settings: { applicationId: 'word-count' },
  broker,
  openTaskBackend: () => openMemoryBackend(), // On disk: (task) => openRocksDbBackend(join(folder, task)).
  destroyTaskBackend: async () => {},
});
await app.start();

const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'example' });
await consumer.assign([{ topic: 'counts', partition: 0, offset: 0 }]);
const counts: string[] = [];
while (counts.length < 6) {
  for (const batch of await consumer.poll({ recordsMax: 100, waitMs: 1_000 })) {
    for (let index = 0; index < batch.count; index++)
      counts.push(`${batch.key(index)} ${longSerde.deserialize(batch.value(index), 'counts')}`);
  }
}
console.log(counts.join(', '));
await app.stop();
await broker.close();
