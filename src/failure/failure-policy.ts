/** What to do with a record that cannot be processed: a pure decision from stage and kind. */
import type { ErrorKind, StreamsError } from '../base/errors.ts';

export type FailureStage = 'deserialization' | 'processing' | 'production';
export type Reaction = 'dead-letter' | 'stop';

/** `dead-letter`: park the bytes in `<topic>.dlq` and go on. `stop`: end the instance, offset not moved. */
export interface FailurePolicy {
  readonly deserialization: Reaction;
  readonly processing: Reaction;
}

export const deadLetterPolicy: FailurePolicy = { deserialization: 'dead-letter', processing: 'dead-letter' };

/** Kinds that say something about the instance and not about the record: no policy may swallow them. */
const neverTheRecordsFault: ReadonlySet<ErrorKind> = new Set([
  'retriable',
  'abort',
  'fenced',
  'corrupted',
  'user',
  'fatal',
]);

/** `own`: what the failing step asks for instead of the policy. */
export function decideReaction(
  stage: FailureStage,
  error: StreamsError,
  policy: FailurePolicy,
  own?: Reaction,
): Reaction {
  if (neverTheRecordsFault.has(error.kind)) return 'stop';
  if (own !== undefined) return own;
  return stage === 'deserialization' ? policy.deserialization : policy.processing;
}
