/** F3 at length: ten broker kills, and an outage of 30 s. Taken by `npm run faults`. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import type { KafkaCluster } from '../../scripts/kafka.mjs';
import { bounceBroker, progress, requireMarkers } from '../support/broker-faults.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { noticedDeadMs, startLoneBroker, stopCluster } from '../support/test-cluster.ts';

describe('F3, at length: the broker dies', function () {
  this.timeout(30 * 60_000);
  let cluster: KafkaCluster | undefined;
  let run: LedgerRun | undefined;
  afterEach(async () => {
    await run?.close();
    run = undefined;
    await stopCluster(cluster);
    cluster = undefined;
  });

  const bounce = async (seed: number, times: number, downMs: number): Promise<void> => {
    cluster = await startLoneBroker();
    run = await LedgerRun.open({ brokers: cluster.bootstrap, seed, restMs: 180_000 });
    for (const name of ['w1', 'w2', 'w3']) run.add(name, { isStatic: name === 'w3' });
    run.load.start(200);
    await run.ready();
    for (let time = 0; time < times; time++) {
      await progress(run, 500);
      await bounceBroker(run, cluster, 0, downMs);
    }
    await progress(run, 500);
    requireMarkers(run, cluster);
    const verdict = await run.finish();
    console.log(`      ${verdict.entries} entries, ${verdict.aborted} aborted`);
    run.assertClean(verdict);
    assert.deepEqual(run.ownEndings, [], run.story);
  };

  it('ten times, and nothing is lost or doubled', () => bounce(313, 10, noticedDeadMs));

  it('and is gone for 30 s: the workers wait for it, and go on', () => bounce(314, 1, 30_000));
});
