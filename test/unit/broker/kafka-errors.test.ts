/** Kafka's error numbers as errors of the runtime, and the client that is not installed. */
import assert from 'node:assert/strict';
import Module from 'node:module';
import { describe, it } from 'mocha';
import type { StreamsError } from '../../../src/base/errors.ts';
import { silentTelemetry } from '../../../src/base/telemetry-port.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import { openKafkaBroker } from '../../../src/broker/kafka-broker.ts';
import type { NativeError } from '../../../src/broker/kafka-client-types.ts';
import { isWorthRepeating, requestError, transactionError } from '../../../src/broker/kafka-errors.ts';

const native = (code: number, flags: Partial<NativeError> = {}): NativeError => ({
  code,
  message: 'text',
  ...flags,
});

describe('errors of the Kafka client', () => {
  it('outside transactions get the code that tells what to do', () => {
    const expected: [number, string][] = [
      [3, 'TOPIC_UNKNOWN'],
      [36, 'TOPIC_EXISTS'],
      [-140, 'OFFSET_OUT_OF_RANGE'],
      [10, 'RECORD_TOO_LARGE'],
      [-195, 'BROKER_UNAVAILABLE'],
      [6, 'BROKER_UNAVAILABLE'],
      [42, 'BROKER_REQUEST_FAILED'],
    ];
    for (const [code, name] of expected) assert.equal(requestError(native(code), 'it failed').code, name);
  });

  it('that deny something say which rights to check', () => {
    assert.match(requestError(native(29), 'it failed').hint ?? '', /principal/);
  });

  it('inside transactions tell fencing from what an abort cures', () => {
    const expected: [NativeError, string, string][] = [
      [native(-144, { isFatal: true }), 'PRODUCER_FENCED', 'fenced'],
      [native(90), 'PRODUCER_FENCED', 'fenced'],
      [native(25, { isTxnRequiresAbort: true }), 'MEMBER_FENCED', 'fenced'],
      [native(82, { isTxnRequiresAbort: true }), 'MEMBER_FENCED', 'fenced'],
      [native(22, { isTxnRequiresAbort: true }), 'TRANSACTION_ABORT_REQUIRED', 'abort'],
      [native(113), 'TRANSACTION_ABORT_REQUIRED', 'abort'],
      [native(-185, { isRetriable: true }), 'BROKER_UNAVAILABLE', 'retriable'],
      [native(-172), 'TRANSACTION_STATE_INVALID', 'fatal'],
      [native(-150, { isFatal: true }), 'BROKER_REQUEST_FAILED', 'fatal'],
    ];
    for (const [error, code, kind] of expected) {
      const wrapped = transactionError(error, 'it failed');
      assert.deepEqual([wrapped.code, wrapped.kind], [code, kind]);
    }
  });

  it('are worth the same call again when they are retriable or a time-out, and nothing forbids it', () => {
    assert.equal(isWorthRepeating(native(51, { isRetriable: true })), true);
    assert.equal(isWorthRepeating(native(-185)), true);
    assert.equal(isWorthRepeating(native(-185, { isTxnRequiresAbort: true })), false);
    assert.equal(isWorthRepeating(native(-144, { isFatal: true, isRetriable: true })), false);
  });

  it('that is not installed say the line to type', async () => {
    const loader = Module as unknown as { _load: (name: string, ...rest: unknown[]) => unknown };
    const load = loader._load;
    loader._load = (name, ...rest) => {
      if (name.startsWith('@confluentinc/')) throw new Error('Cannot find module');
      return load.call(loader, name, ...rest);
    };
    try {
      await assert.rejects(
        openKafkaBroker({ brokers: 'x:1', clientId: 'x', clock: wallClock, log: silentTelemetry.log }),
        (error: StreamsError) =>
          error.code === 'BROKER_CLIENT_MISSING' &&
          error.message.includes('run: node scripts/setup/kafka-client.mjs'),
      );
    } finally {
      loader._load = load;
    }
  });
});
