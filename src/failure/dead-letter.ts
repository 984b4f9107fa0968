/**
 * Dead letters: the record as it came, with headers that say what was wrong. Header names are Kafka
 * Streams' (KIP-1034) where it has one, ours begin with `__millrace.errors.`.
 */
import type { StreamsError } from '../base/errors.ts';
import type { Header, Headers } from '../base/record.ts';

/** Shape: `<topic>.dlq`, same key, same partition as the original. */
export function deadLetterTopic(topic: string): string {
  return `${topic}.dlq`;
}

export interface DeadLetterOrigin {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly taskId: string;
}

function header(key: string, value: string): Header {
  return { key, value: Buffer.from(value) };
}

/** The stack is cut: it is for a person, and a header is not a log. */
const stackCharactersMax = 2_000;

export function deadLetterHeaders(original: Headers, error: StreamsError, origin: DeadLetterOrigin): Headers {
  const cause = error.cause instanceof Error ? error.cause : error;
  return [
    ...original,
    header('__streams.errors.exception', error.code),
    header('__streams.errors.message', error.message),
    header('__streams.errors.stacktrace', (cause.stack ?? '').slice(0, stackCharactersMax)),
    header('__streams.errors.topic', origin.topic),
    header('__streams.errors.partition', String(origin.partition)),
    header('__streams.errors.offset', String(origin.offset)),
    header('__millrace.errors.task', origin.taskId),
    ...(error.context.schemaId === undefined
      ? []
      : [header('__millrace.errors.schema.id', String(error.context.schemaId))]),
    ...(error.context.node === undefined ? [] : [header('__millrace.errors.node', error.context.node)]),
  ];
}
