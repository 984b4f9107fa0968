/**
 * The one error class of the runtime, and the list of its codes.
 *
 * Who reads what: `kind` decides the reaction (failure/failure-policy.ts), `code` is the contract with
 * users and tests, `context` says where, `hint` says what to do. Nobody parses messages.
 * Foreign errors are wrapped once, in the gateway file of their package, with `cause`.
 */

/**
 * What has to happen next:
 * - `retriable`: the same call again, after a pause;
 * - `abort`: abort the transaction, discard the open and sealed changes, rewind, go on;
 * - `fenced`: another instance owns this now: close without committing, rejoin;
 * - `poison`: this one record can never be processed: dead-letter it;
 * - `corrupted`: local state is proven damaged: rebuild it from its changelog;
 * - `user`: a setting, a file or a topology is wrong: say so and end;
 * - `fatal`: a broken invariant or an unusable client: end the process.
 */
export type ErrorKind = 'retriable' | 'abort' | 'fenced' | 'poison' | 'corrupted' | 'user' | 'fatal';

/** Every code with its kind. docs/errors.md explains each; a test compares the two lists. */
export const errorCodes = {
  // base
  INVARIANT_BROKEN: 'fatal',
  SETTING_INVALID: 'user',
  PORT_IN_USE: 'user',
  // broker
  BROKER_UNAVAILABLE: 'retriable',
  BROKER_CLIENT_MISSING: 'user',
  BROKER_REQUEST_FAILED: 'fatal',
  BROKER_CLIENT_STUCK: 'fatal',
  TOPIC_EXISTS: 'user',
  TOPIC_UNKNOWN: 'user',
  TOPIC_MISMATCH: 'user',
  OFFSET_OUT_OF_RANGE: 'fatal',
  RECORD_TOO_LARGE: 'poison',
  PRODUCER_FENCED: 'fenced',
  MEMBER_FENCED: 'fenced',
  TRANSACTION_ABORT_REQUIRED: 'abort',
  TRANSACTION_OUTCOME_UNKNOWN: 'fenced',
  TRANSACTION_STATE_INVALID: 'fatal',
  // serde and registry
  RECORD_NOT_AVRO: 'poison',
  SCHEMA_UNKNOWN: 'poison',
  SCHEMA_UNREADABLE: 'poison',
  RECORD_UNREADABLE: 'poison',
  VALUE_NOT_SERIALIZABLE: 'poison',
  SCHEMA_INVALID: 'user',
  SCHEMA_INCOMPATIBLE: 'user',
  SUBJECT_UNKNOWN: 'user',
  REGISTRY_UNAVAILABLE: 'retriable',
  REGISTRY_REQUEST_FAILED: 'fatal',
  // store
  STORE_LOCKED: 'user',
  STORE_LIBRARY_UNUSABLE: 'user',
  STORE_IO_FAILED: 'corrupted',
  STORE_CORRUPTED: 'corrupted',
  STATE_NOT_LOADED: 'fatal',
  STORE_UNKNOWN: 'user',
  STORE_READ_ONLY: 'user',
  // topology and runtime
  TOPOLOGY_INVALID: 'user',
  TOPOLOGY_CHANGED: 'user',
  PARTITIONS_MISMATCH: 'user',
  TIMESTAMP_INVALID: 'poison',
  PROCESSING_FAILED: 'poison',
  CALL_FAILED: 'poison',
  CALL_TIMED_OUT: 'retriable',
  SUPPRESS_BUFFER_FULL: 'user',
  SHUTDOWN_TIMEOUT: 'fatal',
  // input files and command line
  INPUT_MISSING: 'user',
  INPUT_INVALID: 'user',
  INSTANCE_UNREACHABLE: 'user',
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorCodes;

/** Where it happened. Only what applies is set. */
export interface ErrorContext {
  readonly topic?: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly taskId?: string;
  readonly node?: string;
  readonly store?: string;
  readonly subject?: string;
  readonly schemaId?: number;
  readonly setting?: string;
  readonly file?: string;
  readonly line?: number;
  readonly [more: string]: string | number | boolean | undefined;
}

/**
 * An error with a code, a place and, where there is one, a line to type.
 *
 * Shape: `message` is the sentence followed by the context and the hint, so a plain log line says it all.
 */
export class StreamsError extends Error {
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly context: ErrorContext;
  readonly hint: string | undefined;

  constructor(
    code: ErrorCode,
    sentence: string,
    options: { context?: ErrorContext; hint?: string; cause?: unknown; kind?: ErrorKind } = {},
  ) {
    const where = Object.entries(options.context ?? {}).filter(([, value]) => value !== undefined);
    const place = where.length > 0 ? ` (${where.map(([name, value]) => `${name} ${value}`).join(', ')})` : '';
    const hint = options.hint === undefined ? '' : `; ${options.hint}`;
    super(`${sentence}${place}${hint}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StreamsError';
    this.code = code;
    this.kind = options.kind ?? errorCodes[code];
    this.context = options.context ?? {};
    this.hint = options.hint;
  }
}

/** The error as a StreamsError: itself, or wrapped under `code` with the original as `cause`. */
export function asStreamsError(error: unknown, code: ErrorCode, context: ErrorContext = {}): StreamsError {
  if (error instanceof StreamsError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new StreamsError(code, text, { context, cause: error });
}
