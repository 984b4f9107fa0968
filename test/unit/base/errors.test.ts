import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { assert as invariant, must, unreachable } from '../../../src/base/assert.ts';
import { asStreamsError, errorCodes, StreamsError } from '../../../src/base/errors.ts';

describe('StreamsError', () => {
  it('says sentence, place and hint in one line', () => {
    const error = new StreamsError('TOPIC_UNKNOWN', 'the topic does not exist', {
      context: { topic: 'a', partition: 3, attempt: undefined },
      hint: 'create it',
    });
    assert.equal(error.message, 'the topic does not exist (topic a, partition 3); create it');
    assert.equal(error.name, 'StreamsError');
    assert.ok(error instanceof Error);
  });

  it('has the kind of its code unless it is given one', () => {
    assert.equal(new StreamsError('PRODUCER_FENCED', 'x').kind, 'fenced');
    assert.equal(new StreamsError('PRODUCER_FENCED', 'x', { kind: 'fatal' }).kind, 'fatal');
    assert.deepEqual(
      Object.keys(errorCodes).filter((code) => !/^[A-Z]+(_[A-Z]+)+$/.test(code)),
      [],
    );
  });

  it('keeps the cause, and has none when it was given none', () => {
    const cause = new Error('inner');
    assert.equal(new StreamsError('STORE_IO_FAILED', 'x', { cause }).cause, cause);
    assert.equal('cause' in new StreamsError('STORE_IO_FAILED', 'x'), false);
  });
});

describe('asStreamsError', () => {
  it('leaves a StreamsError as it is and wraps anything else under the code', () => {
    const own = new StreamsError('STORE_LOCKED', 'x');
    assert.equal(asStreamsError(own, 'PROCESSING_FAILED'), own);
    const foreign = new TypeError('no such function');
    const wrapped = asStreamsError(foreign, 'PROCESSING_FAILED', { taskId: '0_1' });
    assert.equal(wrapped.code, 'PROCESSING_FAILED');
    assert.equal(wrapped.message, 'no such function (taskId 0_1)');
    assert.equal(wrapped.cause, foreign);
    assert.equal(asStreamsError('text', 'PROCESSING_FAILED').message, 'text');
  });
});

describe('assert, must and unreachable', () => {
  it('throw INVARIANT_BROKEN with the sentence, and pass what is right', () => {
    const broken = { code: 'INVARIANT_BROKEN', kind: 'fatal' };
    assert.throws(() => invariant(false, 'must hold', { taskId: '0_0' }), broken);
    assert.doesNotThrow(() => invariant(1, 'must hold'));
    assert.equal(must(0, 'must be there'), 0);
    assert.equal(must('', 'must be there'), '');
    assert.throws(() => must(undefined, 'must be there'), broken);
    assert.throws(() => must(null, 'must be there'), broken);
    assert.throws(() => unreachable('new case' as never, 'unknown case'), /unknown case: new case/);
  });
});
