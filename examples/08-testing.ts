/**
 * Testing a topology: TopologyTestDriver runs the real tasks without a broker. Time moves when told, so a test
 * of what happens after half an hour takes no half hour. It works in every test runner; here is none.
 *
 * Run it: npm run example 08
 * Prints:
 *   counts each player's points: ok
 *   keeps the sum in a store: ok
 *   sends a record that it cannot read to the dead letters: ok
 */
import assert from 'node:assert/strict';
import { bytesSerde, integerSerde, StreamsBuilder, stringSerde, type Topology } from 'millrace';
import { TopologyTestDriver } from 'millrace/testing';

/** What is tested. */
function scoreTopology(): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream<string, number>('points', { keySerde: stringSerde, valueSerde: integerSerde })
    .groupByKey()
    .reduce((sum, points) => sum + points, { materialized: { name: 'scores' } })
    .toStream()
    .to('scoreboard');
  return builder.build();
}

async function test(name: string, body: (driver: TopologyTestDriver) => Promise<void>): Promise<void> {
  const driver = new TopologyTestDriver(scoreTopology());
  await driver.open();
  await body(driver).finally(() => driver.close());
  console.log(`${name}: ok`);
}

await test("counts each player's points", async (driver) => {
  const points = driver.createInputTopic('points', stringSerde, integerSerde);
  const scoreboard = driver.createOutputTopic('scoreboard', stringSerde, integerSerde);
  await points.pipe('ada', 3, 1_000);
  await points.pipe('bob', 1, 2_000);
  await points.pipe('ada', 4, 3_000);
  const seen = scoreboard.readAll().map(({ key, value, timestamp }) => [key, value, timestamp]);
  assert.deepEqual(seen, [
    ['ada', 3, 1_000],
    ['bob', 1, 2_000],
    ['ada', 7, 3_000],
  ]);
});

await test('keeps the sum in a store', async (driver) => {
  await driver.createInputTopic('points', stringSerde, integerSerde).pipe('ada', 3);
  assert.deepEqual(await driver.store('scores', 'ada'), { value: 3, timestamp: 0 });
});

await test('sends a record that it cannot read to the dead letters', async (driver) => {
  const points = driver.createInputTopic('points', stringSerde, integerSerde);
  await points.pipeBytes(Buffer.from('ada'), Buffer.from('not a number'));
  assert.equal(driver.createOutputTopic('points.dlq', bytesSerde, bytesSerde).readAll().length, 1);
});
