import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { hasPrefix, prefixBytes, readPrefix, writePrefix } from '../../../src/serde/wire-format.ts';

describe('the wire format', () => {
  it('is a zero, then the id as four bytes, big-endian', () => {
    const bytes = Buffer.alloc(prefixBytes, 0xff);
    writePrefix(bytes, 0x01020304);
    assert.equal(bytes.toString('hex'), '0001020304');
    assert.deepEqual(readPrefix(bytes), { schemaId: 0x01020304, payloadAt: 5 });
    assert.equal(hasPrefix(bytes), true);
  });

  it('tells too few bytes from a wrong first byte', () => {
    assert.throws(() => readPrefix(Buffer.from('00000001', 'hex')), {
      code: 'RECORD_NOT_AVRO',
      message: /4 bytes/,
    });
    assert.throws(() => readPrefix(Buffer.from('7b22613a31', 'hex')), {
      code: 'RECORD_NOT_AVRO',
      message: /123/,
    });
    assert.equal(hasPrefix(Buffer.alloc(4)), false);
    assert.equal(hasPrefix(Buffer.from('7b22613a31', 'hex')), false);
  });
});
