import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { murmur2, partitionForKey } from '../../../src/base/murmur2.ts';

/** Computed with org.apache.kafka.common.utils.Utils.murmur2, 4.3.1; the partition is that among 6. */
const vectors: readonly (readonly [string, number, number?])[] = [
  ['', 275646681],
  ['a', -1563381124],
  ['abc', 479470107],
  ['abcd', -1323649548],
  ['order-1', 1221710326, 4],
  ['order-42', 501153024, 0],
  ['Zürich', -1551140815, 1],
  ['日本', -700811021, 3],
];

const longVectors: readonly (readonly [bigint, number, number])[] = [
  [0n, -522759933, 5],
  [42n, 506863552, 4],
  [-1n, 185950397, 5],
];

describe('murmur2', () => {
  for (const [text, hash, partition] of vectors) {
    it(`hashes the text ${JSON.stringify(text)} as Kafka does`, () => {
      const key = Buffer.from(text, 'utf8');
      assert.equal(murmur2(key), hash);
      if (partition !== undefined) assert.equal(partitionForKey(key, 6), partition);
    });
  }

  for (const [value, hash, partition] of longVectors) {
    it(`hashes the eight bytes of the long ${value} as Kafka does`, () => {
      const key = Buffer.alloc(8);
      key.writeBigInt64BE(value);
      assert.equal(murmur2(key), hash);
      assert.equal(partitionForKey(key, 6), partition);
    });
  }

  it('depends on the bytes alone, not on the buffer they lie in', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(9), (bytes, offset) => {
        const padded = Buffer.alloc(bytes.length + offset + 3, 0xee);
        padded.set(bytes, offset);
        assert.equal(murmur2(padded.subarray(offset, offset + bytes.length)), murmur2(bytes));
      }),
    );
  });

  it('gives a partition that is there, for any key and count', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 1, max: 1000 }), (bytes, count) => {
        const partition = partitionForKey(bytes, count);
        assert.ok(Number.isInteger(partition) && partition >= 0 && partition < count);
      }),
    );
  });
});
