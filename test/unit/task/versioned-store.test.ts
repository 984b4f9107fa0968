/**
 * Goal: a versioned store holds what a plain list of versions holds, however puts come. Method: random puts,
 * deletes and reads with commits and rollbacks between, against the list; a read of what is not in memory is
 * loaded and done again, as the task does.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { StoreSpec } from '../../../src/graph/node.ts';
import type { VersionedPut, VersionedRecord } from '../../../src/graph/processor.ts';
import { longSerde, type Serde, stringSerde } from '../../../src/serde/serde.ts';
import { openMemoryBackend } from '../../../src/store/memory-backend.ts';
import { TaskState } from '../../../src/store/task-state.ts';
import { StateMiss } from '../../../src/task/typed-stores.ts';
import { TypedVersionedKeyValueStore } from '../../../src/task/versioned-store.ts';

/** Kafka Streams' rules over a list that forgets nothing. */
class VersionList {
  readonly #retentionMs: number;
  readonly #versions = new Map<string, Map<number, number | null>>();
  #observedMs = -1;

  constructor(retentionMs: number) {
    this.#retentionMs = retentionMs;
  }

  put(key: string, value: number | null, atMs: number): VersionedPut {
    if (atMs < this.#observedMs - this.#retentionMs) return 'expired';
    this.#observedMs = Math.max(this.#observedMs, atMs);
    const versions = this.#versions.get(key) ?? new Map<number, number | null>();
    this.#versions.set(key, versions.set(atMs, value));
    const later = [...versions.keys()].filter((ms) => ms > atMs);
    return later.length === 0 ? 'latest' : Math.min(...later);
  }

  get(key: string, asOfMs = Number.POSITIVE_INFINITY): VersionedRecord<number> | undefined {
    const versions = [...(this.#versions.get(key) ?? [])].sort(([a], [b]) => a - b);
    const index = versions.findLastIndex(([fromMs]) => fromMs <= asOfMs);
    const [timestamp, value] = versions[index] ?? [0, null];
    if (value === null) return undefined;
    const next = versions[index + 1];
    if (next === undefined) return { value, timestamp };
    if (asOfMs < this.#observedMs - this.#retentionMs) return undefined;
    return { value, timestamp, validToMs: next[0] };
  }
}

class Rig {
  readonly state: TaskState;
  readonly store: TypedVersionedKeyValueStore<string, number>;

  constructor(state: TaskState, historyRetentionMs: number) {
    const spec = { name: 'v', kind: 'versioned', changelog: true, historyRetentionMs } as const;
    const keySerde = stringSerde as Serde<unknown>;
    const complete: StoreSpec = { ...spec, keySerde, valueSerde: longSerde as Serde<unknown> };
    this.state = state;
    this.store = new TypedVersionedKeyValueStore(complete, state);
  }

  static async open(historyRetentionMs: number): Promise<Rig> {
    return new Rig(new TaskState(await openMemoryBackend(), ['v'], 5), historyRetentionMs);
  }

  /** Under a savepoint, and again after each slow read. */
  async run<T>(work: () => T): Promise<T> {
    await this.state.load(this.store.upkeep());
    for (;;) {
      const savepoint = this.state.savepoint();
      try {
        return work();
      } catch (error) {
        this.state.rollback(savepoint);
        if (!(error instanceof StateMiss)) throw error;
        await this.state.load(error.requests);
      }
    }
  }

  async commit(): Promise<void> {
    this.state.endRound();
    this.state.seal();
    await this.state.storeSealed(new Map());
  }

  async rows(): Promise<number> {
    let count = 0;
    for await (const page of this.state.scanCommitted('v', 100)) count += page.length;
    return count;
  }
}

const key = fc.constantFrom('a', 'aa', 'b', '', 'a\u0000');
const backMs = fc.oneof(fc.nat(3), fc.nat(40));
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), key, backMs, aheadMs: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('jump' as const), aheadMs: fc.nat(500) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key, backMs }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const), key, backMs }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
);

describe('a versioned store', () => {
  it('holds what a plain list of versions holds, whatever the order of puts', async function () {
    this.timeout(60_000);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0, 1, 10, 30),
        fc.array(step, { maxLength: 80 }),
        async (retentionMs, steps) => {
          const rig = await Rig.open(retentionMs);
          const list = new VersionList(retentionMs);
          let nowMs = 50;
          let value = 0;
          for (const now of steps) {
            if (now.do === 'commit') await rig.commit();
            else if (now.do === 'jump') nowMs += now.aheadMs;
            else {
              const atMs = Math.max(0, nowMs - now.backMs);
              if (now.do === 'put') {
                nowMs += now.aheadMs;
                value++;
                const put = await rig.run(() => rig.store.put(now.key, value, atMs));
                assert.equal(put, list.put(now.key, value, atMs));
              } else if (now.do === 'delete') {
                const before = list.get(now.key, atMs);
                const isExpired = list.put(now.key, null, atMs) === 'expired';
                const deleted = await rig.run(() => rig.store.delete(now.key, atMs));
                assert.deepEqual(deleted, isExpired ? undefined : before);
              }
              assert.deepEqual(await rig.run(() => rig.store.get(now.key)), list.get(now.key));
              const asOf = await rig.run(() => rig.store.get(now.key, atMs));
              assert.deepEqual(asOf, list.get(now.key, atMs));
            }
          }
        },
      ),
      { seed: 20261121, numRuns: 400 },
    );
  });

  it('removes what has expired, the tombstones of deleted keys too', async () => {
    const rig = await Rig.open(100);
    for (let at = 0; at < 1_000; at++) {
      await rig.run(() => rig.store.put(`k${at % 10}`, at, at));
      if (at % 50 === 49) await rig.run(() => rig.store.put('gone', null, at));
    }
    for (let n = 0; n < 20; n++) await rig.run(() => rig.store.put('last', n, 2_000));
    await rig.commit();
    // The clock, ten keys and the last one.
    assert.equal(await rig.rows(), 12);
    await rig.state.close();
  });

  it('refuses a time that is none, which would move its clock for good', async () => {
    const rig = await Rig.open(100);
    for (const at of [-1, Number.NaN, 0.5, Number.POSITIVE_INFINITY])
      await assert.rejects(
        rig.run(() => rig.store.put('a', 1, at)),
        { code: 'TIMESTAMP_INVALID' },
      );
    await rig.state.close();
  });
});
