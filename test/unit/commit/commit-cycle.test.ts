/**
 * Goal: the commit cycle answers each error as its flags ask, and believes nothing but an answer.
 * Method: tasks and a cycle on the embedded broker (test/support/commit-bench.ts), with a producer whose calls
 * fail as told and a clock that moves by itself.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { type ErrorCode, StreamsError } from '../../../src/base/errors.ts';
import type { Producer } from '../../../src/broker/broker-port.ts';
import { CommitBench, type CommitBenchOptions, EagerClock } from '../../support/commit-bench.ts';
import { eventually } from '../../support/eventually.ts';

const injected = (code: ErrorCode): StreamsError => new StreamsError(code, 'injected');

function failsWith(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof StreamsError && error.code === code;
}

type Call = 'begin' | 'send' | 'sendOffsets' | 'commit';

/** A producer whose call fails before it reaches the broker, as often as `times` says. */
function failing(call: Call, code: ErrorCode, times: { left: number }) {
  return (producer: Producer): Partial<Producer> => {
    const fails = async (): Promise<void> => {
      if (times.left <= 0) return;
      times.left--;
      throw injected(code);
    };
    switch (call) {
      case 'begin':
        return { begin: () => fails().then(() => producer.begin()) };
      case 'send':
        return { send: (records) => fails().then(() => producer.send(records)) };
      case 'sendOffsets':
        return {
          sendOffsets: (offsets, member) => fails().then(() => producer.sendOffsets(offsets, member)),
        };
      case 'commit':
        return { commit: () => fails().then(() => producer.commit()) };
    }
  };
}

describe('the commit cycle', () => {
  let bench: CommitBench;
  const open = async (options: CommitBenchOptions = {}): Promise<CommitBench> => {
    bench = await CommitBench.open(options);
    return bench;
  };
  afterEach(() => bench.close());

  it('takes its steps in the order 0 1 5 2 3 4', async () => {
    await open();
    await bench.feed(['a']);
    await bench.commit();
    assert.deepEqual(bench.trace, [
      'step flush',
      'step seal',
      'init',
      'step begin',
      'begin',
      'send totals',
      'send app-counts-changelog app-task-0-changelog',
      'step offsets',
      'sendOffsets',
      'step commit',
      'commit',
      'step store',
    ]);
    assert.equal(bench.cycle.state, 'IDLE');
  });

  for (const call of ['begin', 'send', 'sendOffsets', 'commit'] as const) {
    it(`makes the same call again after a retriable error of ${call}`, async () => {
      const times = { left: 0 };
      await open({ change: failing(call, 'BROKER_UNAVAILABLE', times) });
      await bench.feed(['a', 'b', 'a']);
      times.left = 2;
      await bench.commit();
      assert.equal(times.left, 0, 'the fault really happened');
      assert.equal(bench.cycle.counters.repeats, 2);
      assert.equal(bench.cycle.counters.producersCreated, 1);
      assert.deepEqual(await bench.outputs(), ['a=1', 'b=1', 'a=2']);
      assert.equal(await bench.stored('a'), 2);
    });

    it(`gives up before the transaction times out when ${call} goes on failing, and does it again`, async () => {
      const clock = new EagerClock();
      const times = { left: 0 };
      await open({ clock, change: failing(call, 'BROKER_UNAVAILABLE', times), transactionTimeoutMs: 4_000 });
      await bench.feed(['a']);
      const beganMs = clock.monotonicMs();
      times.left = Number.POSITIVE_INFINITY;
      await assert.rejects(bench.commit(), failsWith('BROKER_UNAVAILABLE'));
      assert.ok(clock.monotonicMs() - beganMs < 4_000);
      assert.ok(bench.cycle.counters.repeats > 10);
      assert.equal(bench.cycle.state, 'NONE');
      assert.equal(await bench.stored('a'), undefined, 'nothing is stored that is not committed');
      times.left = 0;
      await bench.cycle.open();
      await bench.startTasks();
      await bench.feed([]);
      await bench.commit();
      assert.deepEqual(await bench.outputs(), ['a=1']);
      assert.equal(await bench.stored('a'), 1);
    });
  }

  const ended: [Call, ErrorCode, boolean][] = [
    ['send', 'TRANSACTION_ABORT_REQUIRED', true],
    ['sendOffsets', 'TRANSACTION_ABORT_REQUIRED', true],
    ['commit', 'TRANSACTION_ABORT_REQUIRED', true],
    // Its open transaction would hold up who owns the task now.
    ['sendOffsets', 'MEMBER_FENCED', true],
    ['send', 'RECORD_TOO_LARGE', true],
    ['begin', 'PRODUCER_FENCED', false],
    ['sendOffsets', 'PRODUCER_FENCED', false],
    ['commit', 'PRODUCER_FENCED', false],
    ['commit', 'TRANSACTION_OUTCOME_UNKNOWN', false],
    ['send', 'TRANSACTION_STATE_INVALID', false],
  ];
  for (const [call, code, aborts] of ended) {
    const answer = aborts ? 'aborts' : 'does not abort';
    it(`${answer}, gives the producer up and stores nothing after ${code} of ${call}`, async () => {
      const times = { left: 0 };
      await open({ change: failing(call, code, times) });
      await bench.feed(['a']);
      times.left = 1;
      await assert.rejects(bench.commit(), failsWith(code));
      assert.equal(times.left, 0, 'the fault really happened');
      assert.equal(bench.trace.includes('abort'), aborts);
      assert.equal(bench.trace.at(-1), 'close');
      assert.ok(!bench.trace.includes('step store'));
      assert.equal(bench.cycle.state, 'NONE');
      assert.equal(await bench.stored('a'), undefined);
      await bench.cycle.open();
      await bench.startTasks();
      await bench.feed([]);
      await bench.commit();
      assert.deepEqual(await bench.outputs(), ['a=1']);
      assert.equal(bench.cycle.counters.producersCreated, 2);
    });
  }

  it('opens one producer for all who ask at once: a second would fence the first', async () => {
    await open();
    await bench.feed(['a']);
    const commit = bench.commit();
    await Promise.all([bench.cycle.open(), bench.cycle.open(), commit]);
    assert.equal(bench.cycle.counters.producersCreated, 1);
    assert.deepEqual(await bench.outputs(), ['a=1']);
  });

  it('does not take the producer from a commit in flight, even when it is no longer trusted', async () => {
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let suspicious = false;
    await open({
      change: (producer) => ({
        mayHaveRetried: () => suspicious,
        commit: async () => {
          suspicious = true;
          await released;
          await producer.commit();
        },
      }),
    });
    await bench.feed(['a']);
    const commit = bench.commit();
    await eventually(() => bench.cycle.state === 'COMMITTING', { what: 'the commit to be on its way' });
    await bench.cycle.open();
    assert.equal(bench.cycle.counters.producersCreated, 1);
    release();
    await commit;
    assert.deepEqual(await bench.outputs(), ['a=1']);
    suspicious = false;
  });

  it('keeps its producer while it begins, whatever is suspected of it then', async () => {
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let suspicious = false;
    await open({
      change: (producer) => ({
        mayHaveRetried: () => suspicious,
        begin: async () => {
          suspicious = true;
          await released;
          await producer.begin();
        },
      }),
    });
    await bench.feed(['a']);
    const commit = bench.commit();
    await eventually(() => suspicious, { what: 'the begin to be on its way' });
    await bench.cycle.open();
    assert.equal(bench.cycle.counters.producersCreated, 1);
    release();
    await commit;
    assert.deepEqual(await bench.outputs(), ['a=1']);
    suspicious = false;
  });

  it('goes on after a store that failed with the producer it has', async () => {
    await open();
    await bench.feed(['a']);
    const { task } = bench;
    task.storeSealed = () => Promise.reject(new Error('no space'));
    await assert.rejects(bench.commit(), failsWith('STORE_IO_FAILED'));
    assert.equal(bench.cycle.state, 'IDLE');
    await bench.startTasks();
    assert.equal(await bench.stored('a'), 1, 'the changelog has what the store missed');
    await bench.feed(['a']);
    await bench.commit();
    assert.deepEqual(await bench.outputs(), ['a=1', 'a=2']);
    assert.equal(bench.cycle.counters.producersCreated, 1);
  });

  it('leaves the stores alone when it is closed under a commit', async () => {
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await open({
      change: (producer) => ({
        commit: async () => {
          await producer.commit();
          await released;
        },
      }),
    });
    await bench.feed(['a']);
    const commit = bench.commit();
    await eventually(() => bench.cycle.state === 'COMMITTING', { what: 'the commit to be on its way' });
    await bench.cycle.close();
    release();
    await assert.rejects(commit, failsWith('BROKER_REQUEST_FAILED'));
    assert.equal(bench.cycle.state, 'NONE');
    assert.equal(await bench.stored('a'), undefined);
    await bench.startTasks();
    assert.equal(await bench.stored('a'), 1, 'it was committed, and the changelog says so');
  });
});
