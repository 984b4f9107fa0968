import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { changeSerde } from '../../../src/dsl/change.ts';
import {
  mayBePending,
  PendingKey,
  sequencedSerde,
  sharedKeySerde,
  sharedRowSerde,
  withPending,
} from '../../../src/dsl/operators/join-state.ts';
import { timestampedSerde } from '../../../src/dsl/timestamped.ts';
import { bytesSerde, integerSerde, type Serde, stringSerde } from '../../../src/serde/serde.ts';

function again<T>(serde: Serde<T>, value: T): T | null {
  return serde.deserialize(serde.serialize(value, 't'), 't');
}

/** Remembers what it was asked to prepare. */
function preparing(): { serde: Serde<string>; asked: string[] } {
  const asked: string[] = [];
  const prepare = (bytes: Buffer): Promise<void> => {
    asked.push(bytes.toString());
    return Promise.resolve();
  };
  return { serde: { ...stringSerde, prepare }, asked };
}

describe('serdes of the DSL', () => {
  it('a timestamped value is eight bytes of milliseconds and the value', () => {
    const serde = timestampedSerde(stringSerde);
    assert.deepEqual(
      serde.serialize({ value: 'x', timestamp: 258 }, 't'),
      Buffer.from([0, 0, 0, 0, 0, 0, 1, 2, 'x'.charCodeAt(0)]),
    );
    assert.deepEqual(again(serde, { value: '', timestamp: 0 }), { value: '', timestamp: 0 });
    assert.equal(serde.serialize(null, 't'), null);
    assert.equal(serde.deserialize(null, 't'), null);
    assert.throws(() => serde.deserialize(Buffer.alloc(7), 't'), { code: 'RECORD_UNREADABLE' });
  });

  it('a change keeps absent and empty values apart', () => {
    const serde = changeSerde(stringSerde);
    for (const newValue of ['new', '', null]) {
      for (const oldValue of ['old', '', null])
        assert.deepEqual(again(serde, { newValue, oldValue }), { newValue, oldValue });
    }
    assert.throws(() => serde.deserialize(Buffer.from([0, 0]), 't'), { code: 'RECORD_UNREADABLE' });
    assert.throws(() => serde.deserialize(Buffer.from([0, 0, 0, 9, 1, 0]), 't'), {
      code: 'RECORD_UNREADABLE',
    });
  });

  it('they hand on what their values need prepared', async () => {
    const { serde, asked } = preparing();
    const change = changeSerde(serde);
    await change.prepare?.(change.serialize({ newValue: 'a', oldValue: 'b' }, 't') as Buffer);
    const timestamped = timestampedSerde(serde);
    await timestamped.prepare?.(timestamped.serialize({ value: 'c', timestamp: 1 }, 't') as Buffer);
    assert.deepEqual(asked, ['a', 'b', 'c']);
    assert.equal(changeSerde(stringSerde).prepare, undefined);
    assert.equal(timestampedSerde(stringSerde).prepare, undefined);
  });

  it('a join’s rows come back as they were', () => {
    const rows = sharedRowSerde(stringSerde, integerSerde);
    const clock = { timeMs: 7, leftMs: -1, rightMs: 7, sequence: 3, pendingMs: [1, 5] };
    for (const row of [
      { kind: 'clock', clock } as const,
      { kind: 'left', value: 'x' } as const,
      { kind: 'right', value: 4 } as const,
    ])
      assert.deepEqual(again(rows, row), row);
    const entry = { sequence: 9, value: 'x' };
    assert.deepEqual(again(sequencedSerde(stringSerde), entry), entry);
  });

  it('pending keys sort by time, right before left, key bytes and arrival, whatever bytes the key has', () => {
    const serde = sharedKeySerde(bytesSerde);
    const keys = [[], [0], [0, 0], [0, 1], [0, 255], [1], [1, 0], [255]].map((bytes) => Buffer.from(bytes));
    const sorted: PendingKey<Buffer>[] = [];
    for (const at of [0, 5, 1 << 20]) {
      for (const side of ['right', 'left'] as const) {
        for (const key of keys) {
          for (const sequence of [1, 2, 300]) sorted.push(new PendingKey(at, { side, key, sequence }));
        }
      }
    }
    const bytes = sorted.map((key) => serde.serialize(key, 't') as Buffer);
    assert.deepEqual([...bytes].sort(Buffer.compare), bytes);
    for (const key of sorted) assert.deepEqual(again(serde, key), key);
    const bound = serde.serialize(new PendingKey(5), 't') as Buffer;
    for (const [index, key] of sorted.entries())
      assert.equal(Buffer.compare(bytes[index] as Buffer, bound) >= 0, key.timestampMs >= 5);
  });

  it('whatever is no pending key of a join stands for its clock', () => {
    const serde = sharedKeySerde(stringSerde);
    const clock = serde.serialize(null, 't');
    assert.deepEqual(serde.serialize('a' as never, 't'), clock);
    assert.equal(serde.deserialize(clock, 't'), null);
  });

  it('a join remembers the smallest pending time of each stretch', () => {
    let pending: readonly number[] = [];
    for (const at of [25, 27, 12, 21, 3, 28]) pending = withPending(pending, at, 10);
    assert.deepEqual(pending, [3, 12, 21]);
    assert.equal(mayBePending(pending, 29, 10), true);
    assert.equal(mayBePending(pending, 20, 10), false);
    assert.equal(mayBePending(pending, 35, 10), false);
  });
});
