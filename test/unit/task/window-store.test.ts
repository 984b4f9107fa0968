/** Goal: a window store finds what a plain list finds. Method: random puts and fetches, with commits between. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { openMemoryBackend } from '../../../src/store/memory-backend.ts';
import { TaskState } from '../../../src/store/task-state.ts';
import { TypedWindowStore } from '../../../src/task/typed-stores.ts';

const key = fc.constantFrom('a', 'aa', 'b', '');
const time = fc.integer({ min: 0, max: 400_000 });
const step = fc.oneof(
  fc.record({ do: fc.constant('put' as const), key, time, value: fc.nat(99) }),
  fc.record({ do: fc.constant('fetch' as const), key, time, spanMs: fc.nat(200_000) }),
  fc.record({ do: fc.constant('commit' as const) }),
);

describe('a window store', () => {
  for (const retainDuplicates of [false, true]) {
    it(`finds what a plain list finds (${retainDuplicates ? 'with' : 'without'} duplicates)`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
          const state = new TaskState(await openMemoryBackend(), ['w'], 10);
          let sequence = 0;
          const store = new TypedWindowStore<string, number>(
            {
              name: 'w',
              kind: 'window',
              keySerde: stringSerde,
              valueSerde: longSerde,
              changelog: true,
              retentionMs: 100_000,
              retainDuplicates,
            },
            state,
            { next: () => ++sequence },
          );
          let model: { key: string; time: number; value: number }[] = [];
          for (const now of steps) {
            if (now.do === 'put') {
              store.put(now.key, now.value, now.time);
              if (!retainDuplicates)
                model = model.filter((other) => other.key !== now.key || other.time !== now.time);
              model.push(now);
            } else if (now.do === 'commit') {
              state.seal();
              await state.storeSealed(new Map());
            } else {
              const to = now.time + now.spanMs;
              const at = (timestampMs: number) => ({ key: now.key, timestampMs });
              await state.load(store.requests({ store: 'w', from: at(now.time), to: at(to) }));
              assert.deepEqual(
                [...store.fetch(now.key, now.time, to)],
                model
                  .filter((other) => other.key === now.key && other.time >= now.time && other.time <= to)
                  .sort((a, b) => a.time - b.time)
                  .map((other) => [other.time, other.value]),
              );
              state.endRound();
            }
          }
        }),
        { numRuns: 200 },
      );
    });
  }

  it('refuses a fetch over all of time, which would not end', async () => {
    const state = new TaskState(await openMemoryBackend(), ['w'], 10);
    const spec = { name: 'w', kind: 'window', changelog: true, retentionMs: 1_000 } as const;
    const store = new TypedWindowStore<string, number>(
      { ...spec, keySerde: stringSerde, valueSerde: longSerde },
      state,
      { next: () => 0 },
    );
    assert.throws(() => [...store.fetch('a', 0, Number.MAX_SAFE_INTEGER)], { code: 'PROCESSING_FAILED' });
  });
});
