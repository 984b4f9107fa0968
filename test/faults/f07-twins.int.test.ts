/**
 * F7: the same instance started twice, with one static name and one transactional id. Goal: both cannot
 * write; whoever is refused says so or waits; and nothing is lost or doubled.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { wallClock } from '../../src/base/wall-clock.ts';
import { eventually } from '../support/eventually.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';

describe('F7: an instance started twice', function () {
  this.timeout(240_000);
  let run: LedgerRun;
  afterEach(() => run?.close());

  it('is refused or waits, and neither loses nor doubles anything', async () => {
    run = await LedgerRun.open({ brokers: testKafka(), seed: 707 });
    run.add('w1', { isStatic: true });
    run.load.start(300);
    await run.ready();
    const { instanceId, transactionalId } = run.worker('w1').plan;
    const twin = run.add('twin', { plan: { instanceId, transactionalId } });
    run.expectEnd('twin');
    const started = wallClock.monotonicMs();
    await eventually(() => twin.started || !twin.isAlive, { timeoutMs: 60_000, what: 'the twin to start' });
    // Longer than a session: what it may do to the first one it has done by then.
    await eventually(() => wallClock.monotonicMs() - started > 15_000, { timeoutMs: 60_000, what: '15 s' });
    const ready = (await Promise.all([run.worker('w1'), twin].map((worker) => worker.status()))).filter(
      (status) => (status?.tasks.length ?? 0) > 0,
    );
    assert.ok(ready.length <= 1, 'they do not both own tasks');
    const end = twin.failure?.code;
    run.note(`the twin: ${twin.isAlive ? 'waits' : `ended with ${end}`}`);
    if (!twin.isAlive) assert.ok(end === 'MEMBER_FENCED' || end === 'PRODUCER_FENCED', `it said ${end}`);
    await twin.kill();
    const verdict = await run.finish();
    run.assertClean(verdict);
  });
});
