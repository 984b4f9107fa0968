/**
 * What Kafka's numbers mean to the runtime: an error of the client becomes a StreamsError here and nowhere
 * else. Pure. Called by every kafka-*.ts adapter.
 *
 * Source: librdkafka's rd_kafka_resp_err_t; negative numbers are the client's own, positive ones the broker's.
 */
import { type ErrorCode, type ErrorContext, StreamsError } from '../base/errors.ts';
import type { NativeError } from './kafka-client-types.ts';

/** The numbers that the adapters look at. */
export const kafkaCode = {
  autoOffsetReset: -140,
  fatal: -150,
  queueFull: -184,
  timedOut: -185,
  state: -172,
  assignPartitions: -175,
  revokePartitions: -174,
  unknownTopic: 3,
  topicExists: 36,
  groupNotFound: 69,
  unstableOffsetCommit: 88,
} as const;

const unknownTopicCodes = new Set([kafkaCode.unknownTopic, 100, -188, -190]);
const fencedProducerCodes = new Set([47, 90, -144]);
const fencedMemberCodes = new Set([25, 82, 110]);
const staleMemberCodes = new Set([22, 27, 113]);
const tooLargeCodes = new Set([10, 18]);
/** Transport, name resolution, time-outs, elections, coordinators that move or load. */
const unavailableCodes = new Set([
  -195, -193, -192, -187, -185, -180, -166, 5, 6, 7, 8, 13, 14, 15, 16, 19, 20, 51, 88,
]);
const deniedCodes = new Set([-169, 29, 30, 31, 33, 34, 53, 58]);

function codeOf(native: number): ErrorCode {
  if (unknownTopicCodes.has(native)) return 'TOPIC_UNKNOWN';
  if (native === kafkaCode.topicExists) return 'TOPIC_EXISTS';
  if (native === kafkaCode.autoOffsetReset || native === 1) return 'OFFSET_OUT_OF_RANGE';
  if (tooLargeCodes.has(native)) return 'RECORD_TOO_LARGE';
  if (fencedProducerCodes.has(native)) return 'PRODUCER_FENCED';
  if (fencedMemberCodes.has(native)) return 'MEMBER_FENCED';
  return unavailableCodes.has(native) ? 'BROKER_UNAVAILABLE' : 'BROKER_REQUEST_FAILED';
}

/**
 * An error of committing offsets outside a transaction. A member whose generation is on its way to the next
 * one tries again with the new one; whether it is still a member is what the next attempt tells.
 */
export function offsetsError(error: NativeError, context: ErrorContext = {}): StreamsError {
  if (!staleMemberCodes.has(error.code)) return requestError(error, 'offsets cannot be committed', context);
  return new StreamsError('BROKER_UNAVAILABLE', `the group is being shared out anew: ${error.message}`, {
    context: { ...context, kafkaCode: error.code },
    cause: error,
  });
}

const deniedHint =
  'check the principal of this client and its rights: read on sources and the group, write on outputs, ' +
  'and write on its transactional id';

/** An error of a call that is not transactional. Arguments: `doing` is what failed, as a sentence's start. */
export function requestError(error: NativeError, doing: string, context: ErrorContext = {}): StreamsError {
  return new StreamsError(codeOf(error.code), `${doing}: ${error.message}`, {
    context: { ...context, kafkaCode: error.code },
    cause: error,
    ...(deniedCodes.has(error.code) ? { hint: deniedHint } : {}),
  });
}

/**
 * An error of a transactional call. Order of the questions: who is fenced, what an abort cures, what can be
 * tried again; the rest ends this producer.
 */
export function transactionError(
  error: NativeError,
  doing: string,
  context: ErrorContext = {},
): StreamsError {
  const failed = (code: ErrorCode) =>
    new StreamsError(code, `${doing}: ${error.message}`, {
      context: { ...context, kafkaCode: error.code },
      cause: error,
    });
  if (fencedProducerCodes.has(error.code)) return failed('PRODUCER_FENCED');
  if (fencedMemberCodes.has(error.code)) return failed('MEMBER_FENCED');
  if (error.isFatal === true) return requestFatal(error, doing, context);
  if (error.isTxnRequiresAbort === true || staleMemberCodes.has(error.code)) {
    return failed('TRANSACTION_ABORT_REQUIRED');
  }
  if (error.isRetriable === true) return failed('BROKER_UNAVAILABLE');
  if (error.code === kafkaCode.state) return failed('TRANSACTION_STATE_INVALID');
  return requestError(error, doing, context);
}

/** A client that declared itself dead: the text is all it tells, its number is -150 whatever the reason. */
function requestFatal(error: NativeError, doing: string, context: ErrorContext): StreamsError {
  const fenced = /fenced|newer (producer|instance)|invalid producer epoch/i.test(error.message);
  return new StreamsError(
    fenced ? 'PRODUCER_FENCED' : 'BROKER_REQUEST_FAILED',
    `${doing}: ${error.message}`,
    { context: { ...context, kafkaCode: error.code }, cause: error },
  );
}

/** Whether the same transactional call may be made again. */
export function isWorthRepeating(error: NativeError): boolean {
  return (
    error.isFatal !== true &&
    error.isTxnRequiresAbort !== true &&
    (error.isRetriable === true || error.code === kafkaCode.timedOut)
  );
}

/** The client throws its errors as objects that are not always `instanceof Error`. */
export function asNativeError(thrown: unknown): NativeError {
  const shape = thrown as { code?: unknown; message?: unknown };
  return {
    ...(typeof thrown === 'object' ? (thrown as object) : {}),
    code: typeof shape?.code === 'number' ? shape.code : -1,
    message: typeof shape?.message === 'string' ? shape.message : String(thrown),
  };
}
