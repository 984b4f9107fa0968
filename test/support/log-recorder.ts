/** A log that a test reads afterwards: what an instance said about its faults. */
import type { LogFields, Logger } from '../../src/base/telemetry-port.ts';
import { silentTelemetry, type Telemetry } from '../../src/base/telemetry-port.ts';

export interface LogLine {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly message: string;
  readonly fields: LogFields;
  readonly error: unknown;
}

export class LogRecorder {
  readonly lines: LogLine[] = [];
  readonly log: Logger = this.#logger({});

  get telemetry(): Telemetry {
    return { log: this.log, metrics: silentTelemetry.metrics };
  }

  /** How many lines have such a message. */
  count(part: string): number {
    return this.lines.filter(({ message }) => message.includes(part)).length;
  }

  /** The reasons of all rebuilds. */
  get rebuilds(): string[] {
    return this.lines
      .filter(({ message }) => message.includes('rebuilt'))
      .map(({ fields }) => String(fields.reason));
  }

  text(linesMax = 30): string {
    return this.lines
      .filter(({ level }) => level === 'warn' || level === 'error')
      .slice(-linesMax)
      .map(
        ({ level, message, fields, error }) =>
          `${level} ${message} ${JSON.stringify(fields)} ${error instanceof Error ? error.message : ''}`,
      )
      .join('\n');
  }

  #logger(bound: LogFields): Logger {
    const add =
      (level: LogLine['level']) =>
      (message: string, fields: LogFields = {}, error?: unknown): void => {
        this.lines.push({ level, message, fields: { ...bound, ...fields }, error });
      };
    return {
      error: add('error'),
      warn: add('warn'),
      info: add('info'),
      debug: add('debug'),
      child: (fields) => this.#logger({ ...bound, ...fields }),
    };
  }
}
