/**
 * Logs as JSON lines: the adapter of base/telemetry-port.ts for production, and the gateway of `pino`.
 * app/ and the command line make one per process; each layer below gets a `child` with its own fields.
 *
 * Shape of a line: `level` (word), `time` (ISO 8601, UTC), the fields, `msg`, and for an error `err` with
 * `code`, `kind`, `context`, `hint`, `stack` and the chain of causes. With wall-clock.ts the only file that
 * reads the time by itself. Never throws at a caller, never holds a line back: a killed process has said all.
 */
import { type DestinationStream, destination, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';
import { StreamsError } from '../base/errors.ts';
import type { LogFields, Logger } from '../base/telemetry-port.ts';

export type LogLevel = 'error' | 'warn' | 'info' | 'debug' | 'silent';

export interface PinoLoggerOptions {
  readonly level: LogLevel;
  /** A file to append to, a file descriptor (1 = standard output, 2 = standard error) or a stream. Default: 1. */
  readonly destination?: string | number | DestinationStream;
  /** Fields of every line, for example `applicationId`. */
  readonly fields?: LogFields;
}

const CAUSES_MAX = 5;

/** An error as plain data. `depth` bounds the chain of causes, which may hold a circle. */
function errorFields(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const own = error instanceof StreamsError ? streamsErrorFields(error) : foreignErrorFields(error);
  const cause =
    error.cause === undefined || depth >= CAUSES_MAX ? {} : { cause: errorFields(error.cause, depth + 1) };
  return { type: error.name, message: error.message, ...own, stack: error.stack, ...cause };
}

function streamsErrorFields(error: StreamsError): object {
  return { code: error.code, kind: error.kind, context: error.context, hint: error.hint };
}

function foreignErrorFields(error: Error): object {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' || typeof code === 'number' ? { code } : {};
}

class JsonLinesLogger implements Logger {
  readonly #pino: PinoLogger;

  constructor(inner: PinoLogger) {
    this.#pino = inner;
  }

  error(message: string, fields: LogFields = {}, error?: unknown): void {
    this.#pino.error(withError(fields, error), message);
  }

  warn(message: string, fields: LogFields = {}, error?: unknown): void {
    this.#pino.warn(withError(fields, error), message);
  }

  info(message: string, fields: LogFields = {}): void {
    this.#pino.info(fields, message);
  }

  debug(message: string, fields: LogFields = {}): void {
    this.#pino.debug(fields, message);
  }

  child(fields: LogFields): Logger {
    return new JsonLinesLogger(this.#pino.child(fields));
  }
}

function withError(fields: LogFields, error: unknown): object {
  return error === undefined ? fields : { ...fields, err: errorFields(error) };
}

function openDestination(target: string | number | DestinationStream): DestinationStream {
  if (typeof target === 'object') return target;
  try {
    return destination({ dest: target, sync: true, append: true });
  } catch (error) {
    throw new StreamsError('SETTING_INVALID', 'the log file cannot be opened', {
      context: { file: String(target) },
      hint: 'name a file in a folder that exists and may be written to',
      cause: error,
    });
  }
}

/** Makes the logger of a process. Errors: SETTING_INVALID when the destination's folder is not there. */
export function createPinoLogger(options: PinoLoggerOptions): Logger {
  const stream = openDestination(options.destination ?? 1);
  return new JsonLinesLogger(
    pino(
      {
        level: options.level,
        base: options.fields ?? null,
        timestamp: stdTimeFunctions.isoTime,
        formatters: { level: (label) => ({ level: label }) },
        // Ours says code, context and causes; pino's own would flatten it.
        serializers: { err: (fields: unknown) => fields },
      },
      stream,
    ),
  );
}
