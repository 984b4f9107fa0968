/**
 * Goal: every kind of store holds what plain arrays and maps hold. Method: random operations against a naive
 * oracle, with commits (also two-step, with work in between), failing records, aborts, crashes and replays of the
 * changelog between them, on RocksDB and in memory. A failure prints the seed and the path that replay it.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { afterEach, describe, it } from 'mocha';
import { timestampedSerde, type ValueAndTimestamp } from '../../../src/dsl/timestamped.ts';
import type { StoreSpec } from '../../../src/graph/node.ts';
import type {
  KeyValueStore,
  SessionKey,
  SessionStore,
  StateStore,
  VersionedKeyValueStore,
  WindowStore,
} from '../../../src/graph/processor.ts';
import { longSerde, type Serde, stringSerde } from '../../../src/serde/serde.ts';
import { type Disk, memoryDisk, rocksDisk, StoreRig } from '../../support/store-rig.ts';

/** A store's operations and what they mean. `Model` is plain data: it is copied at a commit. */
interface Kind<Store extends StateStore, Model, Op> {
  readonly spec: StoreSpec;
  readonly op: fc.Arbitrary<Op>;
  readonly model: () => Model;
  /** Does it and returns what it showed. */
  readonly act: (store: Store, op: Op) => unknown;
  /** The same on the model. */
  readonly expect: (model: Model, op: Op) => unknown;
}

type Life = 'commit' | 'seal' | 'stored' | 'abort' | 'crash' | 'move';

const lives: readonly Life[] = ['commit', 'commit', 'seal', 'stored', 'abort', 'crash', 'move'];

let disks: Disk[] = [];

async function hold<Store extends StateStore, Model, Op>(
  kind: Kind<Store, Model, Op>,
  disk: Disk,
  steps: readonly (Life | { readonly op: Op; readonly undone: boolean })[],
): Promise<void> {
  const rig = await StoreRig.open(kind.spec, disk);
  let model = kind.model();
  let sealed = structuredClone(model);
  let committed = structuredClone(model);
  for (const step of steps) {
    if (typeof step !== 'string') {
      const before = structuredClone(model);
      const expected = kind.expect(model, step.op);
      const shown = await rig.run(() => kind.act(rig.store as StateStore as Store, step.op), step.undone);
      assert.deepEqual(shown, expected, JSON.stringify(step));
      if (step.undone) model = before;
    } else if (step === 'seal') {
      if (rig.hasSealed) continue;
      rig.seal();
      sealed = structuredClone(model);
    } else if (step === 'stored') {
      if (!rig.hasSealed) continue;
      await rig.stored();
      committed = structuredClone(sealed);
    } else {
      await rig[step]();
      if (step === 'commit') committed = structuredClone(model);
      else model = structuredClone(committed);
    }
  }
  await rig.close();
}

function holds<Store extends StateStore, Model, Op>(kind: Kind<Store, Model, Op>): void {
  const steps = fc.array(
    fc.oneof(
      { weight: 2, arbitrary: fc.record({ op: kind.op, undone: fc.constant(true) }) },
      { weight: 8, arbitrary: fc.record({ op: kind.op, undone: fc.constant(false) }) },
      { weight: 3, arbitrary: fc.constantFrom(...lives) },
    ),
    { maxLength: 80, size: 'max' },
  );
  const check = (open: () => Promise<Disk>, spec: StoreSpec, numRuns: number): Promise<void> =>
    fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const disk = await open();
        disks.push(disk);
        await hold({ ...kind, spec }, disk, all);
      }),
      { numRuns },
    );
  const inMemory = async (): Promise<Disk> => memoryDisk();
  it('holds what its model holds', function () {
    this.timeout(60_000);
    return check(inMemory, kind.spec, 250);
  });
  it('holds it on RocksDB', function () {
    this.timeout(60_000);
    return check(rocksDisk, kind.spec, 12);
  });
  it('holds it when it is not persistent', function () {
    this.timeout(60_000);
    return check(inMemory, { ...kind.spec, persistent: false }, 120);
  });
}

// Keys that begin with each other, and whose order as text is not that of their bytes.
const key = fc.constantFrom('a', 'aa', 'a\0', 'a\0\0b', 'a\u0001', 'b', '', '\uffee', '\u{10000}');
const orNull = fc.option(key, { nil: null, freq: 4 });
const value = fc.nat(99);
const longs = longSerde as Serde<unknown>;
const keySerde = stringSerde as Serde<unknown>;

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function isBetween(one: string, from: string | null, to: string | null): boolean {
  return (from === null || byBytes(from, one) <= 0) && (to === null || byBytes(one, to) <= 0);
}

/** One shape for each of several names. */
type Each<Names extends string, Shape> = { [Name in Names]: { do: Name } & Shape }[Names];

type KeyValueOp =
  | Each<'put' | 'putIfAbsent' | 'delete' | 'get' | 'getMany' | 'prefix', { key: string; value: number }>
  | Each<'putAll' | 'range' | 'clear', { from: string | null; to: string | null; value: number }>;

/** `box`: how a number lies in the store. */
function keyValue<V>(
  spec: StoreSpec,
  box: (value: number) => V,
): Kind<KeyValueStore<string, V>, Map<string, V>, KeyValueOp> {
  const sorted = (model: Map<string, V>): [string, V][] => [...model].sort(([a], [b]) => byBytes(a, b));
  return {
    spec,
    op: fc.oneof(
      fc.record({
        do: fc.constantFrom('put', 'put', 'putIfAbsent', 'delete', 'get', 'getMany', 'prefix'),
        key,
        value,
      }),
      fc.record({
        do: fc.constantFrom('putAll', 'range', 'range', 'clear'),
        from: orNull,
        to: orNull,
        value,
      }),
    ) as fc.Arbitrary<KeyValueOp>,
    model: () => new Map(),
    act: (store, op) => {
      if (op.do === 'put') return store.put(op.key, op.value % 4 === 0 ? null : box(op.value));
      if (op.do === 'putIfAbsent') return store.putIfAbsent(op.key, box(op.value));
      if (op.do === 'delete') return store.delete(op.key);
      if (op.do === 'get') return store.get(op.key);
      if (op.do === 'getMany') return store.getMany([op.key, 'a', 'none']);
      if (op.do === 'prefix') return [...store.prefixScan(op.key, stringSerde)];
      if (op.do === 'putAll')
        return store.putAll([
          [op.from ?? 'x', box(op.value)],
          [op.to ?? 'y', null],
        ]);
      if (op.do === 'range')
        return [
          [...store.range(op.from, op.to)],
          [...store.reverseRange(op.from, op.to)],
          [...store.all()],
          [...store.reverseAll()],
          store.approximateNumEntries(),
        ];
      // Changed while it is iterated: what iterates shows what was there.
      const seen: [string, V][] = [];
      for (const [at, each] of store.range(op.from, op.to)) {
        seen.push([at, each]);
        store.delete(at);
        store.put(`${at}+`, each);
      }
      return seen;
    },
    expect: (model, op) => {
      const before = 'key' in op ? model.get(op.key) : undefined;
      if (op.do === 'put') {
        if (op.value % 4 === 0) model.delete(op.key);
        else model.set(op.key, box(op.value));
        return undefined;
      }
      if (op.do === 'putIfAbsent') {
        if (before === undefined) model.set(op.key, box(op.value));
        return before;
      }
      if (op.do === 'delete') {
        model.delete(op.key);
        return before;
      }
      if (op.do === 'get') return before;
      if (op.do === 'getMany') return [before, model.get('a'), undefined];
      if (op.do === 'prefix') {
        const prefix = Buffer.from(op.key);
        return sorted(model).filter(([at]) => Buffer.from(at).subarray(0, prefix.length).equals(prefix));
      }
      if (op.do === 'putAll') {
        model.set(op.from ?? 'x', box(op.value));
        model.delete(op.to ?? 'y');
        return undefined;
      }
      const found = sorted(model).filter(([at]) => isBetween(at, op.from, op.to));
      if (op.do === 'range') {
        const all = sorted(model);
        return [found, found.toReversed(), all, all.toReversed(), all.length];
      }
      for (const [at, each] of found) {
        model.delete(at);
        model.set(`${at}+`, each);
      }
      return found;
    },
  };
}

interface TimedModel<Row> {
  observedMs: number;
  rows: Row[];
}

const retentionMs = 100;

interface WindowRow {
  key: string;
  timeMs: number;
  value: number;
}

type WindowOp =
  | { do: 'put'; key: string; backMs: number; aheadMs: number; value: number }
  | { do: 'read'; key: string; to: string | null; from: string | null; backMs: number; spanMs: number };

/** Times are relative to the largest so far, so that most of them are about the retention. */
function windows(
  spec: Partial<StoreSpec>,
  duplicates: boolean,
): Kind<WindowStore<string, number>, TimedModel<WindowRow> & { nowMs: number }, WindowOp> {
  // The store's side counts for itself what now is: the same steps for both.
  const clock = { nowMs: 200 };
  const at = (nowMs: number, backMs: number): number => Math.max(0, nowMs - backMs);
  const put = (op: WindowOp & { do: 'put' }): number | null => (op.value % 5 === 0 ? null : op.value);
  return {
    spec: { name: 'w', kind: 'window', keySerde, valueSerde: longs, changelog: true, retentionMs, ...spec },
    op: fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constant('put' as const),
          key,
          backMs: fc.oneof(fc.constant(0), fc.nat(150)),
          aheadMs: fc.oneof(fc.nat(10), fc.nat(10), fc.nat(300)),
          value,
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('read' as const),
          key,
          from: orNull,
          to: orNull,
          backMs: fc.nat(200),
          spanMs: fc.oneof(fc.constant(0), fc.nat(200), fc.constant(Number.POSITIVE_INFINITY)),
        }),
      },
    ),
    model: () => ({ observedMs: -1, rows: [], nowMs: 200 }),
    act: (store, op) => {
      const { nowMs } = clock;
      if (op.do === 'put') return store.put(op.key, put(op), at(nowMs + op.aheadMs, op.backMs));
      const fromMs = at(nowMs, op.backMs);
      const toMs = fromMs + op.spanMs;
      return [
        store.fetch(op.key, fromMs),
        [...store.fetch(op.key, fromMs, toMs)],
        [...store.backwardFetch(op.key, fromMs, toMs)],
        [...store.fetch(op.from, op.to, fromMs, toMs)],
        [...store.backwardFetch(op.from, op.to, fromMs, toMs)],
        [...store.fetchAll(fromMs, toMs)],
        [...store.backwardFetchAll(fromMs, toMs)],
        [...store.all()],
        [...store.backwardAll()],
      ];
    },
    expect: (model, op) => {
      clock.nowMs = model.nowMs;
      if (op.do === 'put') {
        model.nowMs += op.aheadMs;
        const row = { key: op.key, timeMs: at(model.nowMs, op.backMs), value: op.value };
        const given = put(op);
        if (duplicates && given === null) return undefined;
        model.observedMs = Math.max(model.observedMs, row.timeMs);
        if (row.timeMs <= model.observedMs - retentionMs) return undefined;
        if (!duplicates)
          model.rows = model.rows.filter((other) => other.key !== row.key || other.timeMs !== row.timeMs);
        if (given !== null) model.rows.push(row);
        return undefined;
      }
      const fromMs = at(model.nowMs, op.backMs);
      const toMs = fromMs + op.spanMs;
      const all = model.rows
        .filter(({ timeMs }) => timeMs > model.observedMs - retentionMs)
        .toSorted((a, b) => byBytes(a.key, b.key) || a.timeMs - b.timeMs);
      const timed = all.filter(({ timeMs }) => timeMs >= fromMs && timeMs <= toMs);
      const own = timed
        .filter((row) => row.key === op.key)
        .map(({ timeMs, value: shown }): [number, number] => [timeMs, shown]);
      const windowed = (rows: WindowRow[]) =>
        rows.map((row) => [{ key: row.key, timestampMs: row.timeMs }, row.value]);
      const between = windowed(timed.filter((row) => isBetween(row.key, op.from, op.to)));
      return [
        own.find(([timeMs]) => timeMs === fromMs)?.[1],
        own,
        own.toReversed(),
        between,
        between.toReversed(),
        windowed(timed),
        windowed(timed).reverse(),
        windowed(all),
        windowed(all).reverse(),
      ];
    },
  };
}

type SessionRow = [SessionKey<string>, number];
type SessionOp =
  | Each<'put' | 'remove', { key: string; backMs: number; aheadMs: number; lengthMs: number; value: number }>
  | { do: 'read'; key: string; from: string | null; to: string | null; backMs: number; spanMs: number };

function sessions(): Kind<
  SessionStore<string, number>,
  TimedModel<SessionRow> & { nowMs: number },
  SessionOp
> {
  const clock = { nowMs: 200 };
  const sessionOf = (op: SessionOp & { do: 'put' | 'remove' }, nowMs: number): SessionKey<string> => {
    const endMs = Math.max(0, nowMs + op.aheadMs - op.backMs);
    return { key: op.key, startMs: Math.max(0, endMs - op.lengthMs), endMs };
  };
  return {
    spec: { name: 's', kind: 'session', keySerde, valueSerde: longs, changelog: true, retentionMs },
    op: fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constantFrom('put' as const, 'put' as const, 'remove' as const),
          key,
          backMs: fc.oneof(fc.constant(0), fc.nat(5), fc.nat(150)),
          aheadMs: fc.oneof(fc.constant(0), fc.nat(10), fc.nat(300)),
          lengthMs: fc.nat(3),
          value,
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('read' as const),
          key,
          from: orNull,
          to: orNull,
          backMs: fc.nat(200),
          spanMs: fc.nat(200),
        }),
      },
    ) as fc.Arbitrary<SessionOp>,
    model: () => ({ observedMs: -1, rows: [], nowMs: 200 }),
    act: (store, op) => {
      const { nowMs } = clock;
      if (op.do === 'put') return store.put(sessionOf(op, nowMs), op.value);
      if (op.do === 'remove') return store.remove(sessionOf(op, nowMs));
      const fromMs = Math.max(0, nowMs - op.backMs);
      const toMs = fromMs + op.spanMs;
      const own = [...store.fetch(op.key)];
      return [
        own,
        own.map(([session]) => store.fetchSession(session)),
        [...store.backwardFetch(op.key)],
        [...store.fetch(op.from, op.to)],
        [...store.backwardFetch(op.from, op.to)],
        [...store.findSessions(op.key, fromMs, toMs)],
        [...store.backwardFindSessions(op.key, fromMs, toMs)],
        [...store.findSessions(op.from, op.to, fromMs, toMs)],
        [...store.backwardFindSessions(op.from, op.to, fromMs, toMs)],
        [...store.findSessions(fromMs, toMs)],
      ];
    },
    expect: (model, op) => {
      clock.nowMs = model.nowMs;
      if (op.do !== 'read') {
        const session = sessionOf(op, model.nowMs);
        model.nowMs += op.aheadMs;
        model.observedMs = Math.max(model.observedMs, session.endMs);
        if (session.endMs <= model.observedMs - retentionMs) return undefined;
        const id = JSON.stringify(session);
        model.rows = model.rows.filter(([other]) => JSON.stringify(other) !== id);
        if (op.do === 'put') model.rows.push([session, op.value]);
        return undefined;
      }
      const fromMs = Math.max(0, model.nowMs - op.backMs);
      const toMs = fromMs + op.spanMs;
      const all = model.rows
        .filter(([{ endMs }]) => endMs > model.observedMs - retentionMs)
        .toSorted(([a], [b]) => byBytes(a.key, b.key) || a.endMs - b.endMs || a.startMs - b.startMs);
      const own = all.filter(([session]) => session.key === op.key);
      const between = all.filter(([session]) => isBetween(session.key, op.from, op.to));
      const touching = (rows: SessionRow[]) =>
        rows.filter(([{ startMs, endMs }]) => endMs >= fromMs && startMs <= toMs);
      return [
        own,
        own.map(([, shown]) => shown),
        own.toReversed(),
        between,
        between.toReversed(),
        touching(own),
        touching(own).reverse(),
        touching(between),
        touching(between).reverse(),
        all.filter(([{ endMs }]) => endMs >= fromMs && endMs <= toMs),
      ];
    },
  };
}

interface VersionsModel {
  nowMs: number;
  observedMs: number;
  versions: Map<string, Map<number, number | null>>;
}

type VersionedOp =
  | { do: 'put' | 'delete'; key: string; backMs: number; aheadMs: number; value: number }
  | { do: 'get'; key: string; backMs: number };

function versions(): Kind<VersionedKeyValueStore<string, number>, VersionsModel, VersionedOp> {
  const clock = { nowMs: 200 };
  const asOf = (model: VersionsModel, at: string, asOfMs: number) => {
    const all = [...(model.versions.get(at) ?? [])].sort(([a], [b]) => a - b);
    const index = all.findLastIndex(([fromMs]) => fromMs <= asOfMs);
    const [timestamp, shown] = all[index] ?? [0, null];
    if (shown === null) return undefined;
    const next = all[index + 1];
    if (next === undefined) return { value: shown, timestamp };
    if (asOfMs < model.observedMs - retentionMs) return undefined;
    return { value: shown, timestamp, validToMs: next[0] };
  };
  return {
    spec: {
      name: 'v',
      kind: 'versioned',
      keySerde,
      valueSerde: longs,
      changelog: true,
      historyRetentionMs: retentionMs,
    },
    op: fc.oneof(
      fc.record({
        do: fc.constantFrom('put' as const, 'put' as const, 'delete' as const),
        key,
        backMs: fc.oneof(fc.nat(3), fc.nat(150)),
        aheadMs: fc.oneof(fc.nat(5), fc.nat(300)),
        value,
      }),
      fc.record({ do: fc.constant('get' as const), key, backMs: fc.nat(200) }),
    ) as fc.Arbitrary<VersionedOp>,
    model: () => ({ nowMs: 200, observedMs: -1, versions: new Map() }),
    act: (store, op) => {
      if (op.do === 'get')
        return [store.get(op.key), store.get(op.key, Math.max(0, clock.nowMs - op.backMs))];
      const atMs = Math.max(0, clock.nowMs + op.aheadMs - op.backMs);
      return op.do === 'put' ? store.put(op.key, op.value, atMs) : store.delete(op.key, atMs);
    },
    expect: (model, op) => {
      clock.nowMs = model.nowMs;
      if (op.do === 'get')
        return [
          asOf(model, op.key, Number.POSITIVE_INFINITY),
          asOf(model, op.key, Math.max(0, model.nowMs - op.backMs)),
        ];
      model.nowMs += op.aheadMs;
      const atMs = Math.max(0, model.nowMs - op.backMs);
      if (atMs < model.observedMs - retentionMs) return op.do === 'put' ? 'expired' : undefined;
      const before = asOf(model, op.key, atMs);
      model.observedMs = Math.max(model.observedMs, atMs);
      const own = model.versions.get(op.key) ?? new Map<number, number | null>();
      model.versions.set(op.key, own.set(atMs, op.do === 'put' ? op.value : null));
      if (op.do === 'delete') return before;
      const later = [...own.keys()].filter((ms) => ms > atMs);
      return later.length === 0 ? 'latest' : Math.min(...later);
    },
  };
}

const plain: StoreSpec = { name: 'k', kind: 'key-value', keySerde, valueSerde: longs, changelog: true };

afterEach(async () => {
  for (const disk of disks) await disk.end();
  disks = [];
});

describe('a key-value store', () => {
  holds(keyValue(plain, (number) => number));
});

describe('a timestamped key-value store', () => {
  const valueSerde = timestampedSerde(longSerde) as Serde<unknown>;
  holds(
    keyValue(
      { ...plain, valueSerde },
      (number): ValueAndTimestamp<number> => ({ value: number, timestamp: number * 7 }),
    ),
  );
});

describe('a versioned key-value store', () => {
  holds(versions());
});

describe('a window store', () => {
  holds(windows({}, false));
});

describe('a window store that retains duplicates', () => {
  holds(windows({ retainDuplicates: true }, true));
});

describe('a window store of a join, in segments', () => {
  holds(windows({ retainDuplicates: true, expiry: 'segments' }, true));
});

describe('a session store', () => {
  holds(sessions());
});
