/** Logs and metrics of a command: JSON lines on stderr, so that stdout holds results only, and a Prometheus page. */
import {
  createPinoLogger,
  createPrometheusMetrics,
  type LogLevel,
  type PrometheusMetrics,
  type Telemetry,
} from '#streams';

export interface CommandTelemetry extends Telemetry {
  readonly metrics: PrometheusMetrics;
}

export function openTelemetry(level: LogLevel): CommandTelemetry {
  return {
    log: createPinoLogger({ level, destination: 2 }),
    metrics: createPrometheusMetrics({ defaultMetrics: true }),
  };
}
