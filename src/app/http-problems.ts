/**
 * How an error looks from outside: the HTTP status and the JSON body of an answer that is not a success.
 * Called by app/http-server.ts only. Pure. An error that is not ours shows no detail to the caller: its
 * text may hold anything, and it is in the log.
 */
import { type ErrorCode, type ErrorKind, StreamsError } from '../base/errors.ts';
import type { ApiProblem } from './http-api-types.ts';

export interface HttpProblem {
  readonly status: number;
  readonly body: ApiProblem;
}

/** Codes whose status is not that of their kind. */
const statusByCode: Partial<Record<ErrorCode, number>> = {
  TOPIC_UNKNOWN: 404,
  STORE_UNKNOWN: 404,
  SUBJECT_UNKNOWN: 404,
  TOPIC_EXISTS: 409,
  BROKER_CLIENT_MISSING: 501,
  INSTANCE_UNREACHABLE: 503,
};

/** `user` is a wrong request; what passes by itself (a restart elsewhere, a broker away) is 503. */
const statusByKind: Readonly<Record<ErrorKind, number>> = {
  user: 400,
  poison: 422,
  retriable: 503,
  abort: 503,
  fenced: 503,
  corrupted: 503,
  fatal: 500,
};

/** The answer for an error that a handler threw. */
export function problemOf(error: unknown): HttpProblem {
  if (error instanceof StreamsError) {
    const body: ApiProblem = {
      code: error.code,
      message: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    };
    return { status: statusByCode[error.code] ?? statusByKind[error.kind], body };
  }
  const status = requestStatus(error);
  if (status !== undefined) {
    return { status, body: { code: 'REQUEST_INVALID', message: (error as Error).message } };
  }
  return {
    status: 500,
    body: {
      code: 'INTERNAL',
      message: 'The instance could not answer',
      hint: 'the log of the instance says why',
    },
  };
}

/** The status of an error that the HTTP library raised about the request itself (a bad escape, a long URL). */
function requestStatus(error: unknown): number | undefined {
  const status = (error as { statusCode?: unknown } | null)?.statusCode;
  return error instanceof Error && typeof status === 'number' && status >= 400 && status < 500
    ? status
    : undefined;
}

export function notFound(path: string): HttpProblem {
  return {
    status: 404,
    body: { code: 'NOT_FOUND', message: `There is nothing at ${path}`, hint: 'check the id and the path' },
  };
}

/**
 * JSON text of anything a handler returns. Shape: a bigint becomes a number where that is exact, else a
 * string; bytes become base64; a Map becomes an object.
 */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_name, item: unknown) => {
    if (typeof item === 'bigint') {
      const number = Number(item);
      return Number.isSafeInteger(number) ? number : item.toString();
    }
    if (item instanceof Map) return Object.fromEntries(item);
    if (isBufferJson(item)) return Buffer.from(item.data).toString('base64');
    return item;
  });
}

/** A Buffer reaches a replacer as what its own toJSON made of it. */
function isBufferJson(item: unknown): item is { data: number[] } {
  return (
    typeof item === 'object' &&
    item !== null &&
    (item as { type?: unknown }).type === 'Buffer' &&
    Array.isArray((item as { data?: unknown }).data)
  );
}
