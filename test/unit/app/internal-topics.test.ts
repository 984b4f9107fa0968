/** What an application finds and refuses at its start, on the embedded broker. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp, type StreamsSettings } from '../../../src/app/streams-app.ts';
import { type ErrorCode, StreamsError } from '../../../src/base/errors.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker } from '../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { eventually } from '../../support/eventually.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };

/** Counts by value; named or not. */
function counting(store?: string, grouped?: string): Topology {
  const builder = new StreamsBuilder();
  builder
    .stream('in', strings)
    .groupBy((_key, value) => value, { ...strings, ...(grouped === undefined ? {} : { name: grouped }) })
    .count(store === undefined ? {} : { materialized: { name: store } });
  return builder.build();
}

describe('the internal topics of an application', () => {
  let broker: Broker;
  let app: StreamsApp | undefined;

  beforeEach(async () => {
    broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([{ name: 'in', partitions: 2 }]);
  });
  afterEach(async () => {
    await app?.stop();
    app = undefined;
    await broker.close();
  });

  /** Until it is ready, then stops it. */
  async function runOnce(topology: Topology, settings: Partial<StreamsSettings> = {}): Promise<void> {
    const disk = new MemoryDisk();
    app = new StreamsApp({
      topology,
      settings: { applicationId: 'app', commitIntervalMs: 5, ...settings },
      broker,
      openTaskBackend: disk.open,
      destroyTaskBackend: async (taskId) => disk.remove(taskId),
      clock: wallClock,
    });
    await app.start();
    await eventually(() => app?.ready === true, { what: 'the instance to be ready' });
    await app.stop();
  }

  const refuses = (run: Promise<void>, code: ErrorCode, ...words: RegExp[]): Promise<void> =>
    assert.rejects(run, (error) => {
      assert.ok(error instanceof StreamsError);
      assert.equal(error.code, code, error.message);
      for (const each of words) assert.match(error.message, each);
      return true;
    });

  const changedCount = async (topic: string, partitions: number): Promise<void> => {
    await broker.admin.deleteTopics([topic]);
    await broker.admin.createTopics([{ name: topic, partitions }]);
  };

  it('a topology that would leave state behind is refused with the names that went and came', async () => {
    await runOnce(counting('counts', 'by-value'));
    await runOnce(counting('counts', 'by-value'));
    await refuses(
      runOnce(counting('totals', 'by-value')),
      'TOPOLOGY_CHANGED',
      /^- app-counts-changelog$/m,
      /^\+ app-totals-changelog$/m,
      /onOrphanedState/,
    );
    const names = await broker.admin.listTopics();
    assert.ok(!names.includes('app-totals-changelog'), 'nothing was made before it was refused');
    await runOnce(counting('totals', 'by-value'), { onOrphanedState: 'warn' });
  });

  it('generated names that moved are refused with the advice to name them', async () => {
    await runOnce(counting());
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .peek(() => {})
      .groupBy((_key, value) => value, strings)
      .count();
    await refuses(
      runOnce(builder.build()),
      'TOPOLOGY_CHANGED',
      /- app-KSTREAM-AGGREGATE-STATE-STORE-0000000002-changelog/,
      /\+ app-KSTREAM-AGGREGATE-STATE-STORE-0000000003-changelog/,
      /name the operators/,
    );
  });

  it('topics of an application whose id begins with this one’s are not taken for its own', async () => {
    await runOnce(counting('counts', 'by-value'), { applicationId: 'app-two' });
    await runOnce(counting('totals', 'by-value'));
    await runOnce(counting('totals', 'by-value'));
  });

  it('generated names are refused where explicit ones are asked for', async () => {
    const explicit = { ensureExplicitInternalResourceNaming: true };
    await refuses(
      runOnce(counting(), explicit),
      'TOPOLOGY_INVALID',
      /stores KSTREAM-AGGREGATE-STATE-STORE-0000000002/,
      /repartition topics KSTREAM-AGGREGATE-STATE-STORE-0000000002-repartition/,
      /materialized\.name/,
    );
    // A store's name names its repartition topic too.
    await runOnce(counting('counts'), explicit);
    await runOnce(counting('counts', 'by-value'), { ...explicit, onOrphanedState: 'warn' });
    const global = new StreamsBuilder();
    global.globalTable('in', strings);
    await refuses(runOnce(global.build(), explicit), 'TOPOLOGY_INVALID', /in-STATE-STORE-0000000000/);
  });

  it('an input with another partition count is refused with its name and what to do', async () => {
    const builder = new StreamsBuilder();
    builder.table('in', { ...strings, materialized: { name: 'rows' } });
    await runOnce(builder.build());
    await changedCount('in', 3);
    await refuses(
      runOnce(builder.build()),
      'TOPIC_MISMATCH',
      /app-rows-changelog has 2 partitions, this topology needs 3, as in has/,
      /go back to 2 partitions/,
      /kafka-topics\.sh --delete --topic 'app-\.\*'/,
    );
  });

  it('an internal topic with another cleanup policy is refused with the command that mends it', async () => {
    await broker.admin.createTopics([
      { name: 'app-rows-changelog', partitions: 2, config: { 'cleanup.policy': 'delete' } },
    ]);
    const builder = new StreamsBuilder();
    builder.table('in', { ...strings, materialized: { name: 'rows' } });
    await refuses(
      runOnce(builder.build()),
      'TOPIC_MISMATCH',
      /app-rows-changelog has the cleanup policy delete, this topology needs compact/,
      /kafka-configs\.sh --alter --topic app-rows-changelog/,
    );
  });

  it('joined topics of different partition counts are refused with both counts', async () => {
    await broker.admin.createTopics([{ name: 'other', partitions: 5 }]);
    const builder = new StreamsBuilder();
    builder.stream('in', strings).join(builder.table('other', strings), (left, right) => left + right);
    await refuses(runOnce(builder.build()), 'PARTITIONS_MISMATCH', /in has 2, other has 5/);
  });
});
