/**
 * F4: brokers of a cluster of three are killed in turn, so that leaders, the group's and the transactions'
 * coordinator and the controller all move. Taken by `npm run faults`.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import type { KafkaCluster } from '../../scripts/kafka.mjs';
import { killBroker, progress, requireMarkers, standstill } from '../support/broker-faults.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { startCluster, stopCluster } from '../support/test-cluster.ts';

/** Two of three: nothing can be written while they are away. */
async function bounceTwo(run: LedgerRun, cluster: KafkaCluster): Promise<void> {
  await killBroker(run, cluster, 1);
  await cluster.kill(2);
  run.note('kill -9 broker 2');
  await standstill(run);
  await cluster.restart(2);
  await cluster.restart(1);
  run.load.resume();
}

describe('F4: brokers of a cluster die', function () {
  this.timeout(30 * 60_000);
  let cluster: KafkaCluster | undefined;
  let run: LedgerRun | undefined;
  afterEach(async () => {
    await run?.close();
    run = undefined;
    await stopCluster(cluster);
    cluster = undefined;
  });

  const open = async (seed: number): Promise<{ cluster: KafkaCluster; run: LedgerRun }> => {
    cluster = await startCluster({ brokers: 3 });
    run = await LedgerRun.open({ brokers: cluster.bootstrap, seed, restMs: 240_000 });
    for (const name of ['w1', 'w2', 'w3']) run.add(name, { isStatic: name === 'w3' });
    run.load.start(150);
    await run.ready(120_000);
    return { cluster, run };
  };

  it('each in turn, five in all: work goes on while one is down, and nothing is lost or doubled', async () => {
    const { cluster, run } = await open(404);
    for (const index of [0, 1, 2, 0, 1]) {
      await progress(run, 300);
      await killBroker(run, cluster, index);
      run.load.resume();
      // With two of three alive: this is what three brokers are for.
      await progress(run, 300, 180_000);
      run.note(`work goes on without broker ${index}`);
      await cluster.restart(index);
      run.note(`broker ${index} is back`);
    }
    requireMarkers(run, cluster);
    const verdict = await run.finish();
    console.log(`      ${verdict.entries} entries, ${verdict.aborted} aborted`);
    run.assertClean(verdict);
    assert.deepEqual(run.ownEndings, [], run.story);
  });

  it('two at once: below the in-sync minimum work stops, loses nothing and goes on', async () => {
    const { cluster, run } = await open(405);
    await progress(run, 300);
    await bounceTwo(run, cluster);
    run.note('brokers 1 and 2 are back');
    await progress(run, 300, 180_000);
    requireMarkers(run, cluster);
    const verdict = await run.finish();
    console.log(`      ${verdict.entries} entries, ${verdict.aborted} aborted`);
    run.assertClean(verdict);
    assert.deepEqual(run.ownEndings, [], run.story);
  });
});
