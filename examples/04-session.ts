/**
 * Sessions: the clicks of a user belong together while they are at most half a minute apart. A click that comes
 * between two sessions makes them one: the two go (null), and the merged one comes.
 *
 * Run it: npm run example 04
 * Prints:
 *   ada 0-0 s  ["home"]
 *   ada 0-0 s  null
 *   ada 0-20 s  ["home","shoes"]
 *   ada 70-70 s  ["cart"]
 *   ada 0-20 s  null
 *   ada 70-70 s  null
 *   ada 0-70 s  ["home","shoes","cart","socks"]
 */
import { jsonSerde, StreamsBuilder, sessionWindows, stringSerde } from 'millrace';
import { runOnEmbeddedBroker } from './support/run-on-embedded-broker.ts';

const builder = new StreamsBuilder();
const serdes = { keySerde: stringSerde, valueSerde: jsonSerde<readonly string[]>() };

builder
  .stream('clicks', { keySerde: stringSerde, valueSerde: jsonSerde<string>() })
  .groupByKey()
  .windowedBy(sessionWindows({ gapMs: 30_000, graceMs: 60_000 }))
  .aggregate<readonly string[]>(
    () => [],
    (_user, page, path) => [...path, page],
    (_user, one, other) => [...one, ...other],
    { materialized: { name: 'sessions', valueSerde: serdes.valueSerde } },
  )
  .toStream()
  .selectKey(({ key, window }) => `${key} ${window.startMs / 1000}-${window.endMs / 1000} s`)
  .to('paths', serdes);

const click = (second: number, page: string) => ({
  topic: 'clicks',
  key: 'ada',
  value: page,
  atMs: second * 1_000,
});
await runOnEmbeddedBroker(
  builder.build(),
  [click(0, 'home'), click(20, 'shoes'), click(70, 'cart'), click(45, 'socks')],
  'paths',
);
