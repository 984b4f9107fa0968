/**
 * Goal: the stores of windowed aggregates find what a plain list finds, whatever is on disk, sealed or open
 * (stores that expire by themselves: stores.test.ts).
 * Method: random puts, deletions, fetches, commits and rollbacks, with keys that begin with each other.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { StoreSpec } from '../../../src/graph/node.ts';
import { longSerde, stringSerde } from '../../../src/serde/serde.ts';
import { openMemoryBackend } from '../../../src/store/memory-backend.ts';
import { TaskState } from '../../../src/store/task-state.ts';
import type { StoreServices } from '../../../src/task/timed-rows.ts';
import { StateMiss } from '../../../src/task/typed-stores.ts';
import { TypedSessionStore, TypedSingleWindowStore } from '../../../src/task/windowed-stores.ts';

const key = fc.constantFrom('a', 'aa', 'a\0', 'b', '');
const time = fc.integer({ min: 0, max: 300 });
const value = fc.option(fc.nat(99), { nil: null, freq: 3 });
const common = { commit: fc.record({ do: fc.constant('commit' as const) }) };

function spec(kind: 'window' | 'session'): StoreSpec {
  return {
    name: 's',
    kind,
    keySerde: stringSerde as StoreSpec['keySerde'],
    valueSerde: longSerde as StoreSpec['valueSerde'],
    changelog: true,
    retentionMs: 1_000,
    expiry: 'operator',
  };
}

/** Nothing expires here: the time of these stores is their operator's. */
const services: StoreServices = { clocks: { clock: () => undefined, setClock: () => {} }, expired: () => {} };

/** A small cache, so that most reads go to the disk. */
async function openState(): Promise<TaskState> {
  return new TaskState(await openMemoryBackend(), ['s'], 3);
}

/** As a task runs an operator: under a savepoint, and again after each slow read. */
async function run<T>(state: TaskState, work: () => T): Promise<T> {
  for (;;) {
    const savepoint = state.savepoint();
    try {
      return work();
    } catch (error) {
      state.rollback(savepoint);
      if (!(error instanceof StateMiss)) throw error;
      await state.load(error.requests);
    }
  }
}

async function commit(state: TaskState): Promise<void> {
  state.endRound();
  state.seal();
  await state.storeSealed(new Map());
}

describe('a window store without duplicates', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('put' as const), key, time, value }),
    fc.record({ do: fc.constant('undone' as const), key, time, value }),
    fc.record({ do: fc.constant('fetch' as const), key, time, spanMs: fc.nat(200) }),
    fc.record({ do: fc.constant('points' as const), key, time }),
    common.commit,
  );

  it('finds what a plain list finds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
        const state = await openState();
        const store = new TypedSingleWindowStore<string, number | null>(spec('window'), state, services);
        const model = new Map<string, { key: string; time: number; value: number }>();
        for (const now of steps) {
          if (now.do === 'put') {
            store.put(now.key, now.value, now.time);
            model.delete(`${now.key}@${now.time}`);
            if (now.value !== null) model.set(`${now.key}@${now.time}`, { ...now, value: now.value });
          } else if (now.do === 'undone') {
            const savepoint = state.savepoint();
            store.put(now.key, now.value, now.time);
            state.rollback(savepoint);
          } else if (now.do === 'fetch') {
            const toMs = now.time + now.spanMs;
            const expected = [...model.values()]
              .filter((other) => other.key === now.key && other.time >= now.time && other.time <= toMs)
              .sort((a, b) => a.time - b.time)
              .map((other) => [other.time, other.value] as const);
            const found = await run(state, () => [...store.fetch(now.key, now.time, toMs)]);
            assert.deepEqual(found, expected);
            const back = await run(state, () => [...store.backwardFetch(now.key, now.time, toMs)]);
            assert.deepEqual(back, expected.toReversed());
          } else if (now.do === 'points') {
            const keys = [now.time, now.time + 1, 0].map((timestampMs) => ({ key: now.key, timestampMs }));
            assert.deepEqual(
              await run(state, () => store.fetchMany(keys)),
              keys.map(({ key, timestampMs }) => model.get(`${key}@${timestampMs}`)?.value),
            );
            const one = await run(state, () => store.fetchOne(now.key, now.time));
            assert.equal(one, model.get(`${now.key}@${now.time}`)?.value);
          } else await commit(state);
        }
      }),
    );
  });

  it('reads nothing beyond what was declared', async () => {
    const state = await openState();
    const store = new TypedSingleWindowStore<string, number>(spec('window'), state, services);
    store.put('a', 1, 10);
    await commit(state);
    state.discard();
    const at = (timestampMs: number) => ({ key: 'a', timestampMs });
    await state.load(store.requests({ store: 's', from: at(5), to: at(20) }));
    await state.load(store.requests({ store: 's', key: at(10) }));
    assert.deepEqual([...store.fetch('a', 5, 20)], [[10, 1]]);
    assert.equal(store.fetchOne('a', 10), 1);
    assert.throws(
      () => store.fetchMany([at(10), at(11), at(12)]),
      (error) => {
        assert.ok(error instanceof StateMiss);
        assert.equal(error.requests.length, 2);
        return true;
      },
    );
  });

  it('lays its keys out as Kafka Streams: key, start, four bytes of sequence', async () => {
    const state = await openState();
    new TypedSingleWindowStore<string, number>(spec('window'), state, services).put('ab', 7, 258);
    const [written] = state.seal();
    assert.equal(written?.writes[0]?.key.toString('hex'), '6162000000000000010200000000');
  });
});

describe('a session store', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('put' as const), key, time, lengthMs: fc.nat(50), value }),
    fc.record({ do: fc.constant('find' as const), key, time, lengthMs: fc.nat(50) }),
    fc.record({ do: fc.constant('points' as const), key, time, lengthMs: fc.nat(50) }),
    common.commit,
  );

  it('finds what a plain list finds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 50 }), async (steps) => {
        const state = await openState();
        const store = new TypedSessionStore<string, number | null>(spec('session'), state, services);
        const model = new Map<string, [{ key: string; startMs: number; endMs: number }, number]>();
        for (const now of steps) {
          if (now.do === 'commit') {
            await commit(state);
            continue;
          }
          const session = { key: now.key, startMs: now.time, endMs: now.time + now.lengthMs };
          const id = JSON.stringify(session);
          if (now.do === 'put') {
            store.put(session, now.value);
            model.delete(id);
            if (now.value !== null) model.set(id, [session, now.value]);
          } else if (now.do === 'find') {
            const found = await run(state, () => [
              ...store.findSessions(now.key, session.startMs, session.endMs),
            ]);
            const expected = [...model.values()]
              .filter(([other]) => other.key === now.key)
              .filter(([{ startMs, endMs }]) => endMs >= session.startMs && startMs <= session.endMs)
              .sort(([a], [b]) => a.endMs - b.endMs || a.startMs - b.startMs);
            assert.deepEqual(found, expected);
          } else {
            assert.equal(await run(state, () => store.fetchSession(session)), model.get(id)?.[1]);
            const sessions = [session, { ...session, startMs: 0 }];
            assert.deepEqual(
              await run(state, () => store.fetchSessions(sessions)),
              sessions.map((other) => model.get(JSON.stringify(other))?.[1]),
            );
          }
        }
      }),
    );
  });

  it('lays its keys out as Kafka Streams: key, end, start', async () => {
    const state = await openState();
    new TypedSessionStore<string, number>(spec('session'), state, services).put(
      { key: 'a', startMs: 1, endMs: 2 },
      7,
    );
    const [written] = state.seal();
    assert.equal(written?.writes[0]?.key.toString('hex'), '6100000000000000020000000000000001');
  });
});
