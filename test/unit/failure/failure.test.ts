/** Goal: what is not the record's fault is never parked; a dead letter says what was wrong, and where. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { type ErrorKind, StreamsError } from '../../../src/base/errors.ts';
import { deadLetterHeaders, deadLetterTopic } from '../../../src/failure/dead-letter.ts';
import { deadLetterPolicy, decideReaction } from '../../../src/failure/failure-policy.ts';

describe('the failure policy', () => {
  it('parks poison as it is told to, by stage', () => {
    const poison = new StreamsError('RECORD_UNREADABLE', 'no');
    const mixed = { deserialization: 'stop', processing: 'dead-letter' } as const;
    assert.equal(decideReaction('deserialization', poison, mixed), 'stop');
    assert.equal(decideReaction('processing', poison, mixed), 'dead-letter');
    assert.equal(decideReaction('production', poison, mixed), 'dead-letter');
  });

  it('parks nothing that says something about the instance', () => {
    for (const kind of ['retriable', 'abort', 'fenced', 'corrupted', 'user', 'fatal'] as ErrorKind[]) {
      const error = new StreamsError('PROCESSING_FAILED', 'no', { kind });
      assert.equal(decideReaction('processing', error, deadLetterPolicy), 'stop', kind);
    }
  });
});

describe('a dead letter', () => {
  it('keeps the headers of the record and adds reason and origin', () => {
    const error = new StreamsError('SCHEMA_UNKNOWN', 'no schema', { context: { schemaId: 7, node: 'n' } });
    const own = { key: 'trace', value: Buffer.from('1') };
    const origin = { topic: 't', partition: 2, offset: 9, taskId: '0_2' };
    const headers = deadLetterHeaders([own], error, origin);
    assert.equal(headers[0], own);
    const text = Object.fromEntries(headers.map(({ key, value }) => [key, value.toString()]));
    assert.equal(text['__streams.errors.exception'], 'SCHEMA_UNKNOWN');
    assert.equal(text['__streams.errors.topic'], 't');
    assert.equal(text['__streams.errors.partition'], '2');
    assert.equal(text['__streams.errors.offset'], '9');
    assert.equal(text['__millrace.errors.task'], '0_2');
    assert.equal(text['__millrace.errors.schema.id'], '7');
    assert.equal(text['__millrace.errors.node'], 'n');
    assert.ok((text['__streams.errors.stacktrace'] ?? '').length <= 2_000);
    assert.equal(deadLetterTopic('t'), 't.dlq');
  });
});
