/**
 * Goal: whatever the order of writes, savepoints, seals, stores and aborts, a read sees what a plain model
 * sees. Method: random operations against a map of committed values and a list of uncommitted ones.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { openMemoryBackend } from '../../../src/store/memory-backend.ts';
import { TaskState } from '../../../src/store/task-state.ts';

const keys = ['a', 'b', 'c', 'd', 'e', 'f'];

type Step =
  | { do: 'write'; key: string; value: number | null }
  | { do: 'failed record'; key: string; value: number | null }
  | { do: 'round'; keys: string[] }
  | { do: 'seal' | 'store' | 'abort' };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('write' as const),
    key: fc.constantFrom(...keys),
    value: fc.option(fc.nat(99)),
  }),
  fc.record({
    do: fc.constant('failed record' as const),
    key: fc.constantFrom(...keys),
    value: fc.option(fc.nat(99)),
  }),
  fc.record({ do: fc.constant('round' as const), keys: fc.subarray(keys) }),
  fc.record({ do: fc.constantFrom('seal' as const, 'store' as const, 'abort' as const) }),
);

function bytes(value: number | null): Buffer | null {
  return value === null ? null : Buffer.from(String(value));
}

describe('the generations of a task', () => {
  it('read as a plain map would, through commits and aborts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        async (steps, cacheMax) => {
          const state = new TaskState(await openMemoryBackend(), ['s'], cacheMax);
          const generations = state.generations('s');
          let committed = new Map<string, number | null>();
          let sealed: Map<string, number | null> | undefined;
          let open = new Map<string, number | null>();
          for (const now of steps) {
            if (now.do === 'write') {
              generations.write(now.key, bytes(now.value), now.value);
              open.set(now.key, now.value);
            } else if (now.do === 'failed record') {
              const mark = state.savepoint();
              generations.write(now.key, bytes(now.value), now.value);
              state.rollback(mark);
            } else if (now.do === 'round') {
              await state.load(now.keys.map((key) => ({ store: 's', key: Buffer.from(key) })));
              await state.load([{ store: 's', from: Buffer.from('b'), to: Buffer.from('e') }]);
              const value = (key: string) =>
                open.get(key) ??
                (open.has(key)
                  ? null
                  : (sealed?.get(key) ?? (sealed?.has(key) ? null : (committed.get(key) ?? null))));
              for (const key of now.keys)
                assert.equal(generations.read(key)?.bytes?.toString(), value(key)?.toString());
              assert.deepEqual(
                generations.readRange('b', 'e')?.map(([key, entry]) => [key, entry.bytes?.toString()]),
                ['b', 'c', 'd'].filter((key) => value(key) !== null).map((key) => [key, String(value(key))]),
              );
              state.endRound();
            } else if (now.do === 'seal') {
              if (sealed !== undefined) continue;
              const writes = state.seal()[0]?.writes ?? [];
              assert.equal(
                new Set(writes.map(({ key }) => key.toString())).size,
                writes.length,
                'one write per key',
              );
              sealed = open;
              open = new Map();
            } else if (now.do === 'store') {
              if (sealed === undefined) continue;
              await state.storeSealed(new Map([['position', '7']]));
              committed = new Map([...committed, ...sealed]);
              sealed = undefined;
            } else {
              state.discard();
              sealed = undefined;
              open = new Map();
            }
          }
          for (const key of keys) {
            assert.equal(
              (await state.getCommitted('s', Buffer.from(key)))?.toString(),
              committed.get(key)?.toString(),
              'queries see committed values only',
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('refuses to seal twice without storing', async () => {
    const state = new TaskState(await openMemoryBackend(), ['s'], 10);
    state.seal();
    assert.throws(() => state.seal(), { code: 'INVARIANT_BROKEN' });
  });

  it('writes changes and positions in one batch', async () => {
    const state = new TaskState(await openMemoryBackend(), ['s'], 10);
    state.generations('s').write('k', Buffer.from('v'), 'v');
    state.seal();
    await state.storeSealed(new Map([['input/topic', '12']]));
    assert.deepEqual(await state.readMeta(['input/topic', 'changelog/x']), ['12', undefined]);
    assert.equal((await state.getCommitted('s', Buffer.from('k')))?.toString(), 'v');
  });

  it('reads a small range without looking at twenty thousand other changes each time', async () => {
    const state = new TaskState(await openMemoryBackend(), ['s'], 10);
    const generations = state.generations('s');
    const began = process.cpuUsage().user;
    await state.load([{ store: 's', from: Buffer.from('k0500'), to: Buffer.from('k0501') }]);
    for (let n = 0; n < 20_000; n++) {
      generations.write(`k${n % 10}${n}`, Buffer.from('v'), 'v');
      assert.ok(generations.readRange('k0500', 'k0501'));
    }
    const ms = (process.cpuUsage().user - began) / 1_000;
    assert.ok(ms < 3_000, `${ms} ms of processor time`);
  });
});
