/** Records as bytes: what goes in comes out, and damage is noticed. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { ChunkData, type ChunkRecord, recordBytes } from '../../../src/broker/embedded-chunk.ts';

const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));
const plainObjects = { noNullPrototype: true };
const nullable = fc.option(bytes, { nil: null });
const record: fc.Arbitrary<ChunkRecord> = fc.record(
  {
    key: nullable,
    value: nullable,
    timestamp: fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 4e12 })),
    headers: fc.array(
      fc.record({ key: fc.string({ unit: 'grapheme', maxLength: 8 }), value: bytes }, plainObjects),
      { maxLength: 3 },
    ),
  },
  plainObjects,
);

function read(data: ChunkData): ChunkRecord[] {
  return Array.from({ length: data.count }, (_, i) => ({
    key: data.key(i),
    value: data.value(i),
    timestamp: data.timestamp(i),
    headers: data.headers(i).map(({ key, value }) => ({ key, value })),
  }));
}

describe('embedded broker: chunks', () => {
  it('give back what was appended, before and after being stored', () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 30 }), (records) => {
        const data = ChunkData.empty();
        for (const [i, one] of records.entries()) data.append(i * 3, one);
        assert.deepEqual(read(data), records);
        const stored = Buffer.from(data.encode());
        data.trim();
        assert.deepEqual(read(data), records);
        const loaded = ChunkData.decode(stored);
        assert.deepEqual(read(loaded), records);
        assert.deepEqual(
          [...records.keys()].map((i) => loaded.delta(i)),
          [...records.keys()].map((i) => i * 3),
        );
      }),
    );
  });

  it('know how many bytes a record takes', () => {
    fc.assert(
      fc.property(record, (one) => {
        const data = ChunkData.empty();
        const before = data.bytes;
        data.append(0, one);
        assert.equal(data.bytes - before, recordBytes(one));
      }),
    );
  });

  it('copy what they take: the sender may use its buffers again', () => {
    const value = Buffer.from('before');
    const data = ChunkData.empty();
    data.append(0, { key: value, value, timestamp: 1, headers: [{ key: 'h', value }] });
    value.fill('x');
    assert.equal(data.value(0)?.toString(), 'before');
    assert.equal(data.headers(0)[0]?.value.toString(), 'before');
  });

  it('keep what was read valid while they grow', () => {
    const data = ChunkData.empty();
    data.append(0, { key: null, value: Buffer.from('first'), timestamp: 1, headers: [] });
    const first = data.value(0);
    for (let i = 1; i < 500; i++)
      data.append(i, { key: null, value: Buffer.alloc(100), timestamp: 1, headers: [] });
    data.trim();
    assert.equal(first?.toString(), 'first');
  });

  it('refuse bytes that are cut short or of another version', () => {
    const data = ChunkData.empty();
    for (let i = 0; i < 3; i++)
      data.append(i, { key: null, value: Buffer.from('v'), timestamp: 1, headers: [] });
    const stored = Buffer.from(data.encode());
    for (let length = 0; length < stored.length; length++) {
      assert.throws(() => ChunkData.decode(stored.subarray(0, length)), { code: 'STORE_CORRUPTED' });
    }
    stored[0] = 9;
    assert.throws(() => ChunkData.decode(stored), { code: 'STORE_CORRUPTED' });
  });
});
