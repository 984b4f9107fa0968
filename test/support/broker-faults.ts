/** Brokers that die under a running ledger and come back on their data. */
import assert from 'node:assert/strict';
import type { KafkaCluster } from '../../scripts/kafka.mjs';
import { wallClock } from '../../src/base/wall-clock.ts';
import { eventually } from './eventually.ts';
import type { LedgerRun } from './ledger-run.ts';
import { skippedMarkers } from './test-cluster.ts';

/** Resolves when the workers have processed so many records more than now. */
export async function progress(run: LedgerRun, records: number, timeoutMs = 120_000): Promise<void> {
  const total = async () => {
    let sum = 0;
    for (const status of (await run.statuses()).values()) sum += status.recordsProcessed;
    return sum;
  };
  const before = await total();
  await eventually(async () => (await total()) >= before + records, {
    timeoutMs,
    what: `${records} more records to be processed\n  ${run.story}`,
  });
}

/** Resolves when no worker has committed anything for a hundred looks in a row: the fault has bitten. */
export async function standstill(run: LedgerRun): Promise<void> {
  let before = '';
  let looks = 0;
  await eventually(
    async () => {
      const now = [...(await run.statuses()).values()].map(({ commits }) => commits).join();
      looks = now === before ? looks + 1 : 0;
      before = now;
      return looks >= 100;
    },
    { timeoutMs: 60_000, what: `work to stand still\n  ${run.story}` },
  );
}

const backlog = 3_000;

/** kill -9 of a broker while the workers are busy and the load stands still; it is the caller's to resume. */
export async function killBroker(run: LedgerRun, cluster: KafkaCluster, index: number): Promise<void> {
  const pid = cluster.pids[index];
  assert.ok(pid, `broker ${index} is running`);
  await run.load.pauseWithBacklog(backlog);
  await cluster.kill(index);
  assert.equal(cluster.pids[index], undefined);
  run.note(`kill -9 broker ${index} (${pid})`);
}

/** kill -9 of a broker, `downMs` of silence, and its return on the same data. */
export async function bounceBroker(
  run: LedgerRun,
  cluster: KafkaCluster,
  index: number,
  downMs: number,
): Promise<void> {
  await killBroker(run, cluster, index);
  await wallClock.sleep(downMs);
  await cluster.restart(index);
  run.note(`broker ${index} is back`);
  run.load.resume();
}

/**
 * Fails where a broker has ended a transaction without its markers: what the ledger would be found to lack or to have
 * twice is then the broker's loss, which no client can mend.
 */
export function requireMarkers(run: LedgerRun, cluster: KafkaCluster): void {
  assert.deepEqual(skippedMarkers(cluster), [], `a broker lost the end of a transaction\n  ${run.story}`);
}
