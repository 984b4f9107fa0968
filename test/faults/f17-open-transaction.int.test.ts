/** F17: a dead instance leaves a transaction open. Goal: readers wait for its time-out, see nothing of it, go on. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { eventually } from '../support/eventually.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { partitionsOf } from '../support/topic-records.ts';

/** A broker looks for transactions past their time-out every 10 s by default. */
const brokerLooksEveryMs = 10_000;

describe('F17: a transaction that a dead instance left open', function () {
  this.timeout(240_000);
  let run: LedgerRun;
  afterEach(() => run?.close());

  it('holds readers back until its time-out, and none of it is ever seen', async () => {
    run = await LedgerRun.open({ brokers: testKafka(), seed: 1_707, transactionTimeoutMs: 4_000 });
    run.add('w1');
    run.load.start(300);
    await run.ready();
    const worker = run.worker('w1');
    worker.hitAt('offsets', 'SIGKILL', 3);
    run.expectEnd('w1');
    assert.ok(await worker.hit('SIGKILL', 20_000), 'it died inside a transaction');
    run.note('kill -9 w1 at "offsets"');
    await run.load.stop();
    const outputs = [run.names.balances, run.names.transfers].flatMap((topic) =>
      partitionsOf(topic, run.partitions),
    );
    const { admin } = run.broker;
    const isOpen = async () => {
      const stable = await admin.endOffsets(outputs, 'read_committed');
      const ends = await admin.endOffsets(outputs, 'read_uncommitted');
      return ends.some((end, index) => end !== stable[index]);
    };
    assert.ok(await isOpen(), 'its transaction is open, and readers are held back');
    await eventually(async () => !(await isOpen()), {
      timeoutMs: run.transactionTimeoutMs + brokerLooksEveryMs + 5_000,
      what: 'the broker to abort the transaction of the dead instance',
    });
    run.note('the transaction is over');
    run.restart('w1');
    const verdict = await run.finish();
    run.assertClean(verdict);
    assert.ok(verdict.aborted > 0, 'it was aborted');
  });
});
