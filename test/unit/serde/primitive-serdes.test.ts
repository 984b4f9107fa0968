/** What primitive serdes refuse, and what comes back. That the bytes are Java's says test/oracle/serde-bytes.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  bigintSerde,
  booleanSerde,
  bytesSerde,
  doubleSerde,
  floatSerde,
  integerSerde,
  longSerde,
  type Serde,
  shortSerde,
  stringSerde,
  uuidSerde,
  voidSerde,
} from '../../../src/serde/serde.ts';

function bytesOf<T>(serde: Serde<T>, value: T): string | undefined {
  return serde.serialize(value, 't')?.toString('hex');
}

function refuses<T>(serde: Serde<T>, ...values: readonly T[]): void {
  for (const value of values)
    assert.throws(() => serde.serialize(value, 't'), { code: 'VALUE_NOT_SERIALIZABLE' }, String(value));
}

function cannotRead<T>(serde: Serde<T>, ...texts: readonly string[]): void {
  for (const text of texts)
    assert.throws(
      () => serde.deserialize(Buffer.from(text, 'hex'), 't'),
      { code: 'RECORD_UNREADABLE' },
      text,
    );
}

describe('primitive serdes', () => {
  it('null is no bytes, and no bytes are null', () => {
    const all = [stringSerde, bytesSerde, shortSerde, integerSerde, longSerde, bigintSerde, floatSerde];
    for (const serde of [...all, doubleSerde, booleanSerde, uuidSerde, voidSerde]) {
      assert.equal(serde.serialize(null, 't'), null, serde.name);
      assert.equal(serde.deserialize(null, 't'), null, serde.name);
    }
  });

  it('whole numbers refuse what does not fit, fractions too', () => {
    refuses(shortSerde, 32_768, -32_769, 1.5, Number.NaN);
    refuses(integerSerde, 2 ** 31, -(2 ** 31) - 1, 0.1, Number.POSITIVE_INFINITY);
    refuses(longSerde, 2 ** 53, 1.5, Number.NaN);
    refuses(bigintSerde, 2n ** 63n, -(2n ** 63n) - 1n);
    cannotRead(shortSerde, '', '00', '000000');
    cannotRead(integerSerde, '000000');
    cannotRead(longSerde, '7fffffffffffffff', '00');
    cannotRead(bigintSerde, '00');
    assert.equal(bigintSerde.deserialize(Buffer.from('7fffffffffffffff', 'hex'), 't'), 2n ** 63n - 1n);
  });

  it('every NaN is the same bytes, whatever bits it came with', () => {
    const strange = doubleSerde.deserialize(Buffer.from('fff8000000000001', 'hex'), 't') as number;
    assert.equal(bytesOf(doubleSerde, strange), '7ff8000000000000');
    assert.equal(bytesOf(floatSerde, strange), '7fc00000');
    doubleSerde.serialize(Number.NaN, 't')?.fill(1);
    assert.equal(bytesOf(doubleSerde, Number.NaN), '7ff8000000000000', 'a caller cannot change the next one');
    cannotRead(doubleSerde, '00');
    cannotRead(floatSerde, '00');
  });

  it('half a character is a question mark', () => {
    assert.equal(bytesOf(stringSerde, 'a\ud83db\ude00'), Buffer.from('a?b?').toString('hex'));
    assert.equal(bytesOf(stringSerde, 'a😀'), Buffer.from('a😀').toString('hex'));
  });

  it('a boolean is one byte, a UUID its text in lower case, and void nothing', () => {
    assert.equal(booleanSerde.deserialize(Buffer.from([1]), 't'), true);
    assert.equal(booleanSerde.deserialize(Buffer.from([0]), 't'), false);
    cannotRead(booleanSerde, '', '02', '0001');
    const uuid = '123e4567-E89B-12d3-a456-426614174000';
    assert.equal(uuidSerde.deserialize(uuidSerde.serialize(uuid, 't'), 't'), uuid.toLowerCase());
    refuses(uuidSerde, '', '123e4567', `${uuid}0`);
    cannotRead(uuidSerde, '', 'ff');
    cannotRead(voidSerde, '', '00');
  });
});
