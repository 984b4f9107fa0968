/**
 * F3, paused: the one broker stands still for so long that its controller counts it as dead, and goes on. Goal: the
 * workers go on with it.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import type { KafkaCluster } from '../../scripts/kafka.mjs';
import { wallClock } from '../../src/base/wall-clock.ts';
import { progress, requireMarkers } from '../support/broker-faults.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { noticedDeadMs, startLoneBroker, stopCluster } from '../support/test-cluster.ts';

describe('F3: the broker stands still', function () {
  this.timeout(600_000);
  let cluster: KafkaCluster | undefined;
  let run: LedgerRun | undefined;
  afterEach(async () => {
    await run?.close();
    // Stopped it would not hear that it is to end.
    cluster?.resume(0);
    await stopCluster(cluster);
  });

  it('for longer than its session, three times, and the workers go on with it', async () => {
    cluster = await startLoneBroker();
    run = await LedgerRun.open({ brokers: cluster.bootstrap, seed: 333 });
    run.add('w1');
    run.add('w2', { isStatic: true });
    run.load.start(200);
    await run.ready();
    for (let pause = 0; pause < 3; pause++) {
      await progress(run, 500);
      cluster.pause(0);
      run.note('SIGSTOP broker 0');
      await wallClock.sleep(noticedDeadMs);
      cluster.resume(0);
      run.note('SIGCONT broker 0');
    }
    await progress(run, 500);
    requireMarkers(run, cluster);
    const verdict = await run.finish();
    run.assertClean(verdict);
    assert.deepEqual(run.ownEndings, [], run.story);
  });
});
