/** F3: the one broker is killed and comes back on its data. Goal: the workers live through it, exactly once. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import type { KafkaCluster } from '../../scripts/kafka.mjs';
import { bounceBroker, progress, requireMarkers } from '../support/broker-faults.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { noticedDeadMs, startLoneBroker, stopCluster } from '../support/test-cluster.ts';

describe('F3: the broker dies', function () {
  this.timeout(400_000);
  let cluster: KafkaCluster | undefined;
  let run: LedgerRun | undefined;
  afterEach(async () => {
    await run?.close();
    await stopCluster(cluster);
  });

  it('twice, and no worker dies with it, nothing is lost or doubled', async () => {
    cluster = await startLoneBroker();
    run = await LedgerRun.open({ brokers: cluster.bootstrap, seed: 303 });
    run.add('w1');
    run.add('w2', { isStatic: true });
    run.load.start(200);
    await run.ready();
    for (let bounce = 0; bounce < 2; bounce++) {
      await progress(run, 500);
      await bounceBroker(run, cluster, 0, noticedDeadMs);
    }
    await progress(run, 500);
    requireMarkers(run, cluster);
    const verdict = await run.finish();
    run.assertClean(verdict);
    assert.deepEqual(run.ownEndings, [], run.story);
  });
});
