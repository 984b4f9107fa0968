/**
 * F16: a changelog topic is deleted. Goal: the instance never goes on with empty or partial state in silence:
 * it either ends with an error that says so, or its state is right.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { eventually } from '../support/eventually.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { accountsStore } from '../support/ledger-topology.ts';
import type { WorkerProcess } from '../support/worker-process.ts';

describe('F16: a changelog is deleted', function () {
  this.timeout(240_000);
  let run: LedgerRun;
  afterEach(() => run?.close());

  const deleteChangelog = async () => {
    await run.broker.admin.deleteTopics([`${run.applicationId}-${accountsStore}-changelog`]);
    run.note('the changelog of the accounts is deleted');
  };
  const open = async (seed: number) => {
    run = await LedgerRun.open({ brokers: testKafka(), seed, partitions: 2 });
    run.add('w1');
    await run.load.write(1_000);
    await run.ready();
    await run.rest();
  };
  /** It says what is wrong and ends, instead of counting from zero again. */
  const endsLoudly = async (worker: WorkerProcess) => {
    run.expectEnd('w1');
    await run.load.write(200);
    await eventually(() => !worker.isAlive, { timeoutMs: 60_000, what: `the worker to end\n  ${run.story}` });
    assert.ok(worker.failure, 'it said why');
    assert.ok(['TOPIC_MISMATCH', 'TOPIC_UNKNOWN'].includes(worker.failure.code), worker.failure.message);
    assert.match(worker.failure.message, /changelog/);
  };

  it('while the instance is down: it ends with an error when it finds another topic', async () => {
    await open(1_601);
    await run.remove('w1');
    await deleteChangelog();
    await endsLoudly(run.restart('w1'));
  });

  it('while the instance is down, with an empty volume: it ends with an error too', async () => {
    await open(1_602);
    await run.remove('w1');
    await deleteChangelog();
    await endsLoudly(run.restart('w1', { wipe: true }));
  });

  it('while the instance runs: it ends with an error, and the next start does too', async () => {
    await open(1_603);
    await deleteChangelog();
    await endsLoudly(run.worker('w1'));
    await endsLoudly(run.restart('w1'));
  });
});
