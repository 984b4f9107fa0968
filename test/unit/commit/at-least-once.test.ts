/**
 * Goal: without transactions a crash at any call repeats and never loses. Method: exhaustive. The n-th call of a
 * run crashes the instance, before or after it was carried out, for every n until a run has no n-th call; then
 * it starts again and everything has to be there. Every record has a key of its own, so no repeat hides a loss.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import type { GroupMember, Producer } from '../../../src/broker/broker-port.ts';
import { writeOrder } from '../../../src/commit/at-least-once.ts';
import { CommitBench } from '../../support/commit-bench.ts';

class Crash {
  readonly #at: number;
  readonly #after: boolean;
  #calls = 0;
  happened = false;

  constructor(at: number, after: boolean) {
    this.#at = at;
    this.#after = after;
  }

  async around(call: () => Promise<void>): Promise<void> {
    if (this.happened) throw new StreamsError('BROKER_REQUEST_FAILED', 'the process is gone (injected)');
    const now = this.#calls++ === this.#at;
    if (now) this.happened = true;
    if (!now || this.#after) await call();
    if (now) throw new StreamsError('BROKER_REQUEST_FAILED', 'the process is gone (injected)');
  }
}

function crashing(member: GroupMember, crash: () => Crash | undefined): GroupMember {
  const { commitOffsets } = member;
  member.commitOffsets = async (offsets) => {
    const real = () => commitOffsets.call(member, offsets);
    await (crash()?.around(real) ?? real());
  };
  return member;
}

/** Whether the n-th call was there to crash at. */
async function run(at: number, after: boolean, disk: 'kept' | 'lost'): Promise<boolean> {
  let crash: Crash | undefined;
  const guarded = (call: () => Promise<void>): Promise<void> => crash?.around(call) ?? call();
  const bench = await CommitBench.open({
    processingGuarantee: 'at_least_once',
    partitions: 2,
    change: (producer: Producer) => ({
      send: (records) => guarded(() => producer.send(records)),
      flush: () => guarded(() => producer.flush()),
    }),
  });
  try {
    crashing(bench.member, () => crash);
    await bench.feed(['a0', 'a1'], 0);
    await bench.feed(['b0'], 1);
    await bench.commit();
    await bench.feed(['a2'], 0);
    await bench.feed(['b1', 'b2'], 1);
    crash = new Crash(at, after);
    await bench.commit().catch(() => {});
    const { happened } = crash;
    crash = undefined;
    if (disk === 'lost') {
      bench.disk.kill();
      bench.disk.remove('');
    }
    await bench.startTasks();
    await bench.feed([]);
    await bench.commit();
    const keys = ['a0', 'a1', 'a2', 'b0', 'b1', 'b2'];
    const seen = new Set((await bench.outputs()).map((output) => output.split('=')[0]));
    assert.deepEqual([...seen].sort(), keys, `outputs after call ${at}`);
    for (const key of keys) {
      const task = bench.tasks[key.startsWith('a') ? 0 : 1];
      assert.ok(((await bench.stored(key, task)) ?? 0) >= 1, `state of ${key} after call ${at}`);
    }
    assert.deepEqual([await bench.committed(0), await bench.committed(1)], [3, 3]);
    return happened;
  } finally {
    crash = undefined;
    await bench.close();
  }
}

describe('at least once', () => {
  for (const after of [false, true]) {
    for (const disk of ['kept', 'lost'] as const) {
      it(`loses nothing by a crash ${after ? 'after' : 'before'} any call, with its disk ${disk}`, async () => {
        let at = 0;
        while (await run(at, after, disk)) at++;
        assert.ok(at >= 9, `${at} calls crashed`);
      });
    }
  }

  it('has no transactional id, no transaction and no aborted records', async () => {
    const ids: (string | undefined)[] = [];
    const bench = await CommitBench.open({
      processingGuarantee: 'at_least_once',
      change: (_, transactionalId) => {
        ids.push(transactionalId);
        return {};
      },
    });
    try {
      await bench.feed(['a']);
      await bench.commit();
      assert.deepEqual(ids, [undefined]);
      for (const call of ['init', 'begin', 'sendOffsets', 'commit', 'abort'])
        assert.ok(!bench.trace.includes(call), call);
      assert.deepEqual(await bench.outputs('read_uncommitted'), ['a=1']);
      // One offset per record: there are no markers.
      assert.deepEqual(
        await bench.broker.admin.endOffsets([{ topic: 'totals', partition: 0 }], 'read_committed'),
        [1],
      );
    } finally {
      await bench.close();
    }
  });

  it('acknowledges each part before it sends the next, and the offsets when everything is written', async () => {
    const bench = await CommitBench.open({ processingGuarantee: 'at_least_once' });
    try {
      const { member, trace } = bench;
      const { commitOffsets } = member;
      member.commitOffsets = (offsets) => {
        trace.push('commitOffsets');
        return commitOffsets.call(member, offsets);
      };
      await bench.feed(['a']);
      await bench.commit();
      assert.deepEqual(trace, [
        'step flush',
        'step seal',
        'step begin',
        'send totals',
        'flush',
        'send app-task-0-changelog',
        'flush',
        'send app-counts-changelog',
        'flush',
        'step offsets',
        'step commit',
        'commitOffsets',
        'send app-task-0-changelog',
        'flush',
        'step store',
      ]);
    } finally {
      await bench.close();
    }
  });

  it('writes what a timer waits for after it is set and before it is gone', async () => {
    const bench = await CommitBench.open();
    try {
      const { plan } = bench.task;
      const topic = 'app-task-0-changelog';
      const record = (key: string, value: string | null, into = topic) => ({
        topic: into,
        partition: 0,
        key: Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
        timestamp: 1,
        headers: [],
      });
      const sealed = {
        outputs: [record('k', 'out', 'totals')],
        changelog: [
          record('k', 'state', 'app-counts-changelog'),
          record('t000000000-gone', null),
          record('t000000001-moved', null),
          record('t000000002-moved', '1'),
          record('t000000003-set', '1'),
          record('cinput/words', '12345678'),
        ],
        offsets: [],
      };
      const { beforeOffsets, afterOffsets } = writeOrder([{ task: { plan }, sealed }]);
      assert.deepEqual(
        beforeOffsets.map((part) => part.map(({ key }) => String(key))),
        [['k'], ['t000000001-moved', 't000000002-moved', 't000000003-set'], ['k'], ['t000000000-gone']],
      );
      assert.deepEqual(
        afterOffsets.map(({ key }) => String(key)),
        ['cinput/words'],
      );
    } finally {
      await bench.close();
    }
  });

  it('refuses the offsets of a member that lost its place, and stores nothing', async () => {
    const bench = await CommitBench.open({ processingGuarantee: 'at_least_once' });
    try {
      await bench.feed(['a']);
      await bench.member.close();
      await assert.rejects(
        bench.commit(),
        (error) => error instanceof StreamsError && error.code === 'MEMBER_FENCED',
      );
      assert.equal(await bench.stored('a'), undefined);
      assert.equal(await bench.committed(), undefined);
      assert.equal(bench.cycle.state, 'NONE');
    } finally {
      await bench.close();
    }
  });
});
