import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  fromMapKey,
  mapKey,
  prefixEnd,
  readSortableInteger,
  sortableInteger,
} from '../../../src/base/bytes.ts';

const safeInteger = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -300, max: 300 }));
const bytes = (maxLength: number) =>
  fc
    .array(fc.oneof(fc.nat(255), fc.constantFrom(0, 0x7f, 0x80, 0xff)), { maxLength })
    .map((items) => Buffer.from(items));

describe('sortableInteger', () => {
  it('sorts as bytes as the numbers sort, negative ones first', () => {
    fc.assert(
      fc.property(safeInteger, safeInteger, (a, b) => {
        assert.equal(Math.sign(Buffer.compare(sortableInteger(a), sortableInteger(b))), Math.sign(a - b));
      }),
    );
  });

  it('is read back as it was, wherever it lies', () => {
    fc.assert(
      fc.property(safeInteger, fc.nat(9), (value, at) => {
        const around = Buffer.concat([Buffer.alloc(at, 0xaa), sortableInteger(value), Buffer.alloc(2, 0xbb)]);
        const before = Buffer.from(around);
        assert.equal(readSortableInteger(around, at), value);
        assert.deepEqual(around, before, 'reading changes nothing');
      }),
    );
  });

  it('holds the largest and the smallest safe integer', () => {
    for (const value of [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0, -1]) {
      assert.equal(readSortableInteger(sortableInteger(value)), value);
    }
  });
});

describe('prefixEnd', () => {
  it('splits all keys into those with the prefix and those after it', () => {
    fc.assert(
      fc.property(bytes(4), bytes(6), (prefix, key) => {
        const end = prefixEnd(prefix);
        const inRange =
          Buffer.compare(key, prefix) >= 0 && (end === undefined || Buffer.compare(key, end) < 0);
        assert.equal(inRange, key.subarray(0, prefix.length).equals(prefix));
      }),
      { numRuns: 2000 },
    );
  });

  it('has no end for a prefix of 0xff only and for none', () => {
    assert.equal(prefixEnd(Buffer.from([0xff, 0xff])), undefined);
    assert.equal(prefixEnd(Buffer.alloc(0)), undefined);
    assert.deepEqual(prefixEnd(Buffer.from([1, 0xff])), Buffer.from([2]));
  });
});

describe('mapKey', () => {
  it('keeps equality and order of the bytes, and is read back', () => {
    fc.assert(
      fc.property(bytes(8), bytes(8), (a, b) => {
        const [left, right] = [mapKey(a), mapKey(b)];
        assert.equal(left < right ? -1 : left > right ? 1 : 0, Buffer.compare(a, b));
        assert.deepEqual(fromMapKey(left), a);
      }),
    );
  });
});
