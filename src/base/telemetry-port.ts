/**
 * What the runtime tells about itself: logs and metrics behind one port. Adapters are in observe/; the
 * no-op below is the default, so that no layer asks whether anybody listens.
 *
 * Levels: error = data at risk, warn = unexpected but recovered, info = a state changed, debug = per batch.
 */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined | null>>;

export interface Logger {
  error(message: string, fields?: LogFields, error?: unknown): void;
  warn(message: string, fields?: LogFields, error?: unknown): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each line. */
  child(fields: LogFields): Logger;
}

export type Labels = Readonly<Record<string, string>>;

/**
 * Metrics are counted in plain numbers where the work is done and read when somebody scrapes:
 * `gauge` and `counter` take a function. Units are in the names (`_seconds`, `_bytes`, `_total`).
 */
export interface Metrics {
  /** A value read at scrape time; registering the same name and labels again replaces it. */
  gauge(name: string, help: string, read: () => Iterable<{ labels?: Labels; value: number }>): void;
  counter(name: string, help: string, read: () => Iterable<{ labels?: Labels; value: number }>): void;
  /** Observed by the caller, a few times a second at most (per batch or commit, never per record). */
  histogram(
    name: string,
    help: string,
    bucketsSeconds: readonly number[],
  ): { observe(valueSeconds: number): void };
}

export interface Telemetry {
  readonly log: Logger;
  readonly metrics: Metrics;
}

const silentLogger: Logger = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
  child: () => silentLogger,
};

export const silentTelemetry: Telemetry = {
  log: silentLogger,
  metrics: { gauge: () => {}, counter: () => {}, histogram: () => ({ observe: () => {} }) },
};
