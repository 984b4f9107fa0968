/** Which errors end an instance, as pure rules. Called wherever the loop catches one. */
import type { ErrorCode, StreamsError } from '../base/errors.ts';

/** Errors of kind `fatal` that say something about the client or the broker: a new client may do. */
const fatalForTheClient: ReadonlySet<ErrorCode> = new Set([
  'BROKER_REQUEST_FAILED',
  'OFFSET_OUT_OF_RANGE',
  'TRANSACTION_STATE_INVALID',
]);

/**
 * Only these end an instance; everything else is recovered from. `poison` that comes as far as the loop was
 * either decided by the failure policy (`stop`) or would fail every commit from now on.
 */
export function endsTheInstance(error: StreamsError): boolean {
  if (error.kind === 'user' || error.kind === 'poison') return true;
  return error.kind === 'fatal' && !fatalForTheClient.has(error.code);
}

/** The task whose local state this error proves damaged, if it does. */
export function damagedTask(error: StreamsError): string | undefined {
  return error.code === 'STORE_CORRUPTED' ? error.context.taskId : undefined;
}
