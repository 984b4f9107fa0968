/**
 * Goal: the index in memory and the entries in the store always say the same, through scheduling, moving,
 * cancelling, rolled-back records, commits and reloads. Method: random operations against a plain map.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { openMemoryBackend } from '../../../src/store/memory-backend.ts';
import { TaskState } from '../../../src/store/task-state.ts';
import { TimerIndex } from '../../../src/task/timer-index.ts';

const operation = fc.oneof(
  fc.record({
    do: fc.constant('schedule' as const),
    key: fc.constantFrom('a', 'b', 'c'),
    due: fc.nat(20),
    fails: fc.boolean(),
  }),
  fc.record({ do: fc.constant('cancel' as const), key: fc.constantFrom('a', 'b', 'c'), fails: fc.boolean() }),
  fc.record({ do: fc.constant('fire' as const), now: fc.nat(20) }),
  fc.record({ do: fc.constantFrom('commit' as const, 'reload' as const) }),
);

const timer = (key: string, dueMs: number) => ({
  node: 'n',
  name: 't',
  key: Buffer.from(key),
  clock: 'wall' as const,
  dueMs,
});

describe('the timer index', () => {
  it('fires what a plain map says is due, in order, also after reloads', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
        const state = new TaskState(await openMemoryBackend(), ['task'], 10);
        const index = new TimerIndex(state.generations('task'));
        const model = new Map<string, number>();
        const commit = async () => {
          state.seal();
          index.sealed();
          await state.storeSealed(new Map());
        };
        for (const now of operations) {
          const marks = { state: state.savepoint(), timers: index.savepoint() };
          if (now.do === 'schedule') {
            index.schedule(timer(now.key, now.due));
            if (!now.fails) model.set(now.key, now.due);
          } else if (now.do === 'cancel') {
            index.cancel(timer(now.key, 0));
            if (!now.fails) model.delete(now.key);
          } else if (now.do === 'fire') {
            const expected = [...model]
              .filter(([, due]) => due <= now.now)
              .sort(([a, x], [b, y]) => x - y || (a < b ? -1 : 1));
            assert.deepEqual(
              index.peekDue('wall', now.now, 100).map(({ key, dueMs }) => [key.toString(), dueMs]),
              expected,
            );
            for (let due = index.due('wall', now.now); due !== undefined; due = index.due('wall', now.now)) {
              index.cancel(due);
              model.delete(due.key.toString());
            }
          } else {
            await commit();
            if (now.do === 'reload') await index.load(state.scanCommitted('task', 2));
          }
          if ('fails' in now && now.fails) {
            state.rollback(marks.state);
            index.rollback(marks.timers);
          }
          assert.equal(index.count, model.size);
        }
        await commit();
        await index.load(state.scanCommitted('task', 2));
        assert.equal(index.count, model.size);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps clocks with the state and takes a rolled-back change back', async () => {
    const state = new TaskState(await openMemoryBackend(), ['task'], 10);
    const index = new TimerIndex(state.generations('task'));
    index.setClock('watermark', 5);
    const mark = index.savepoint();
    index.setClock('watermark', 9);
    index.rollback(mark);
    assert.equal(index.clock('watermark'), 5);
  });

  it('holds no more than a few entries for a timer that is moved a hundred thousand times', async () => {
    const state = new TaskState(await openMemoryBackend(), ['task'], 10);
    const index = new TimerIndex(state.generations('task'));
    for (let due = 0; due < 100_000; due++) {
      index.schedule(timer('a', 1_000_000 + due));
      index.sealed();
    }
    assert.equal(index.count, 1);
    assert.ok(index.heapCount < 2_000, `${index.heapCount} entries`);
    assert.equal(index.due('wall', 1_099_998), undefined);
    assert.equal(index.due('wall', 1_099_999)?.dueMs, 1_099_999);
  });
});
