/** Two thousand orders on a real broker and a real registry, exactly once; then killed at ten random moments. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { silentTelemetry } from '../../src/base/telemetry-port.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { openKafkaBroker } from '../../src/broker/kafka-broker.ts';
import { replayTopics } from '../../topology/olist/replay.ts';
import type { ReplaySummary } from '../../topology/olist/replay-summary.ts';
import { explainOlist, runCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { generatedFolder, olistFolder } from '../support/olist-folder.ts';
import { assertSound, killedReplay, outcomeOf, replay } from '../support/replay.ts';

const minutes = 60_000;

function kafkaArgs(): string[] {
  const brokers = process.env.MILLRACE_TEST_KAFKA;
  const registry = process.env.MILLRACE_TEST_REGISTRY;
  assert.ok(brokers !== undefined && registry !== undefined, 'run it with npm test, which starts Kafka');
  return ['--kafka', brokers, '--registry', registry];
}

/** The shop's own; an application id of its own has no others. */
async function deleteReplayTopics(): Promise<void> {
  const broker = await openKafkaBroker({
    brokers: kafkaArgs()[1] ?? '',
    clientId: 'test',
    clock: wallClock,
    log: silentTelemetry.log,
  });
  try {
    const names = replayTopics().map(({ name }) => name);
    await broker.admin.deleteTopics(names);
    await eventually(
      async () => (await broker.admin.describeTopics(names)).every((topic) => topic === undefined),
      { what: 'the topics are gone', timeoutMs: 30_000 },
    );
  } finally {
    await broker.close();
  }
}

describe('a replay on Kafka', () => {
  it('reaches what the company recorded for 2,000 orders, as on the embedded broker', async function () {
    this.timeout(10 * minutes);
    const { path } = await olistFolder();
    const args = ['--olist', path, '--orders', '2000'];
    const summary = await replay([...args, ...kafkaArgs(), '--reset']);
    assertSound(summary);
    assert.equal(summary.broker, 'kafka');
    const { mismatches, refused } = await explainOlist([path, '--orders', '2000']);
    const found = Object.fromEntries(summary.mismatches.map(({ orderId, why }) => [orderId, why]));
    assert.deepEqual(found, mismatches);
    assert.deepEqual(summary.refusedForStock, refused);
    assert.deepEqual(outcomeOf(summary), outcomeOf(await replay(args)));
  });

  it('refuses topics that hold another replay, and says how to begin anew', async function () {
    this.timeout(2 * minutes);
    const { path } = await olistFolder();
    const result = await runCli(['replay', '--olist', path, '--orders', '10', ...kafkaArgs()]);
    assert.equal(result.code, 2, result.stderr);
    assert.match(result.stderr, /another replay|other orders or options.*--reset/);
  });

  it('ends as undisturbed when it is killed at ten random moments', async function () {
    this.timeout(15 * minutes);
    const { path } = await generatedFolder(2_000, 11);
    const undisturbed: ReplaySummary = await replay(['--olist', path, ...kafkaArgs(), '--reset']);
    const random = seededRandom(20_161_004);
    await deleteReplayTopics();
    const { summary, kills } = await killedReplay({
      args: ['--olist', path, ...kafkaArgs(), '--app-id', `millrace-killed-${process.pid}`],
      kills: 10,
      // From its start (it is a static member, so it has its tasks at once) to some way into the work.
      nextKillMs: () => 2_000 + random.integer(3_500),
    });
    assert.equal(kills, 10, 'it came to its end before it was killed often enough');
    assert.equal(summary.duplicateCommands, 0);
    assert.deepEqual(outcomeOf(summary), outcomeOf(undisturbed));
  });
});
