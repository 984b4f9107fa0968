import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import {
  lastHeader,
  parsePartitionKey,
  partitionKey,
  textHeader,
  withHeader,
} from '../../../src/base/record.ts';

describe('partitionKey', () => {
  it('is read back for every topic name that Kafka allows', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-zA-Z0-9._-]{1,60}$/), fc.nat(), (topic, partition) => {
        assert.deepEqual(parsePartitionKey(partitionKey(topic, partition)), { topic, partition });
      }),
    );
  });
});

describe('headers', () => {
  const headers = [
    { key: 'a', value: Buffer.from('1') },
    { key: 'b', value: Buffer.from('ü') },
    { key: 'a', value: Buffer.from('2') },
  ];

  it('of one name: the last counts', () => {
    assert.equal(textHeader(headers, 'a'), '2');
    assert.equal(textHeader(headers, 'b'), 'ü');
    assert.equal(lastHeader(headers, 'c'), undefined);
    assert.equal(textHeader([], 'a'), undefined);
  });

  it('are replaced in a new list, the given one is left alone', () => {
    const replaced = withHeader(headers, 'a', '3');
    assert.deepEqual(
      replaced.map(({ key, value }) => `${key}=${value.toString()}`),
      ['b=ü', 'a=3'],
    );
    assert.equal(headers.length, 3);
    assert.deepEqual(lastHeader(withHeader([], 'x', Buffer.from([0xff])), 'x'), Buffer.from([0xff]));
  });
});
