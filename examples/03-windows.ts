/**
 * Windows: page views per minute. Without `suppress` every view would give a new count; with it a minute's result
 * comes once, when the minute and its grace are over. What comes later than that (second 58) is dropped.
 *
 * Run it: npm run example 03
 * Prints:
 *   home from 0 s  "2, final"
 *   home from 60 s  "2, final"
 */
import { jsonSerde, StreamsBuilder, stringSerde, timeWindows } from 'millrace';
import { runOnEmbeddedBroker } from './support/run-on-embedded-broker.ts';

const builder = new StreamsBuilder();
const serdes = { keySerde: stringSerde, valueSerde: jsonSerde<string>() };

builder
  .stream('views', serdes)
  .groupByKey()
  .windowedBy(timeWindows({ sizeMs: 60_000, graceMs: 10_000 }))
  .count({ materialized: { name: 'views-per-minute' } })
  .suppress({ untilWindowCloses: true, buffer: 'unbounded' })
  .toStream()
  .map(({ key, window }, count) => [`${key} from ${window.startMs / 1000} s`, `${count}, final`])
  .to('totals', serdes);

const view = (second: number) => ({ topic: 'views', key: 'home', value: 'view', atMs: second * 1_000 });
const views = [view(0), view(65), view(59), view(75), view(58), view(140)];
await runOnEmbeddedBroker(builder.build(), views, 'totals');
