/**
 * Metrics in Prometheus' text form: the adapter of base/telemetry-port.ts for production, and the gateway
 * of `prom-client`. app/ makes one per process and hands it to every layer; app/http-server.ts serves `text()`.
 *
 * The work is counted in plain numbers where it is done. A scrape calls the registered functions, fills a
 * registry made for this scrape alone and writes it down, so that a series whose source is gone is gone too.
 * Never on the path of a record, never unbounded: `seriesMax` caps each metric.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { StreamsError } from '../base/errors.ts';
import type { Labels, Metrics } from '../base/telemetry-port.ts';

type Reader = () => Iterable<{ labels?: Labels; value: number }>;

interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** A metric read at scrape time. Order of `readers`: registration; the later one wins a series. */
interface Family {
  readonly kind: 'gauge' | 'counter';
  readonly help: string;
  readers: Reader[];
}

export interface PrometheusMetricsOptions {
  /** Put before each name that does not carry it yet, for example `millrace_`. Default: none. */
  readonly prefix?: string;
  /** Adds prom-client's process metrics (event-loop lag, heap, collections), under their usual names. */
  readonly defaultMetrics?: boolean;
  /** Most series of one metric; what is beyond is left out and counted. Default: 2000. */
  readonly seriesMax?: number;
}

/** The metrics port and its page. */
export interface PrometheusMetrics extends Metrics {
  /** The page of one scrape. A reader that throws is left out and counted, the rest is served. */
  text(): Promise<string>;
  readonly contentType: string;
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/** Shape: name=value pairs in name order, for telling two series apart. */
function seriesKey(labels: Labels): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)));
}

class ScrapedMetrics implements PrometheusMetrics {
  readonly #lasting = new Registry();
  readonly #families = new Map<string, Family>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #prefix: string;
  readonly #seriesMax: number;
  #readFailures = 0;
  #seriesDropped = 0;

  constructor(options: PrometheusMetricsOptions) {
    this.#prefix = options.prefix ?? '';
    this.#seriesMax = options.seriesMax ?? 2000;
    if (options.defaultMetrics === true) collectDefaultMetrics({ register: this.#lasting });
    const own = (value: () => number): Reader => {
      return () => [{ value: value() }];
    };
    this.counter(
      'metrics_read_failures_total',
      'Functions behind a metric that threw during a scrape.',
      own(() => this.#readFailures),
    );
    this.counter(
      'metrics_series_dropped_total',
      'Series left out of a scrape because their metric has too many.',
      own(() => this.#seriesDropped),
    );
  }

  get contentType(): string {
    return this.#lasting.contentType;
  }

  gauge(name: string, help: string, read: Reader): void {
    this.#add('gauge', name, help, read);
  }

  counter(name: string, help: string, read: Reader): void {
    this.#add('counter', name, help, read);
  }

  histogram(
    name: string,
    help: string,
    bucketsSeconds: readonly number[],
  ): { observe(valueSeconds: number): void } {
    const full = this.#fullName(name);
    if (this.#families.has(full)) throw clash(full);
    const known = this.#histograms.get(full);
    const histogram =
      known ?? new Histogram({ name: full, help, buckets: [...bucketsSeconds], registers: [this.#lasting] });
    this.#histograms.set(full, histogram);
    return { observe: (valueSeconds) => histogram.observe(valueSeconds) };
  }

  async text(): Promise<string> {
    const scrape = new Registry();
    for (const [name, family] of this.#families) this.#write(scrape, name, family);
    const [moving, lasting] = await Promise.all([scrape.metrics(), this.#lasting.metrics()]);
    return `${moving}\n${lasting}`;
  }

  #add(kind: Family['kind'], name: string, help: string, read: Reader): void {
    const full = this.#fullName(name);
    const known = this.#families.get(full);
    if (this.#histograms.has(full) || (known !== undefined && known.kind !== kind)) throw clash(full);
    if (known === undefined) this.#families.set(full, { kind, help, readers: [read] });
    else known.readers.push(read);
  }

  #fullName(name: string): string {
    const full = name.startsWith(this.#prefix) ? name : `${this.#prefix}${name}`;
    if (!NAME.test(full)) throw new StreamsError('INVARIANT_BROKEN', `"${full}" is no name for a metric`);
    return full;
  }

  #write(scrape: Registry, name: string, family: Family): void {
    const samples = this.#samples(family);
    const labelNames = [...new Set(samples.flatMap((sample) => Object.keys(sample.labels)))];
    const settings = { name, help: family.help, labelNames, registers: [scrape] };
    // A metric that cannot be written (a label name with a dash, a negative counter) must not cost the page.
    try {
      if (family.kind === 'gauge') {
        const gauge = new Gauge(settings);
        for (const sample of samples) gauge.set(sample.labels, sample.value);
        if (samples.length === 0) gauge.reset();
      } else {
        const counter = new Counter(settings);
        for (const sample of samples) counter.inc(sample.labels, sample.value);
      }
    } catch {
      this.#readFailures += 1;
      scrape.removeSingleMetric(name);
    }
  }

  /**
   * One sample a series. A reader whose every series a later one supplies is dropped: a task that was
   * closed and made again registers again, and the old closures must not pile up.
   */
  #samples(family: Family): readonly Sample[] {
    const series = new Map<string, Sample>();
    const kept: Reader[] = [];
    for (const reader of [...family.readers].reverse()) {
      let found = 0;
      let fresh = 0;
      try {
        for (const { labels = {}, value } of reader()) {
          found += 1;
          const key = seriesKey(labels);
          if (series.has(key)) continue;
          fresh += 1;
          if (series.size < this.#seriesMax) series.set(key, { labels, value });
          else this.#seriesDropped += 1;
        }
      } catch {
        this.#readFailures += 1;
      }
      if (found === 0 || fresh > 0) kept.push(reader);
    }
    family.readers = kept.reverse();
    return [...series.values()].reverse();
  }
}

function clash(name: string): StreamsError {
  return new StreamsError('INVARIANT_BROKEN', `the metric "${name}" is already registered as another kind`);
}

/** Makes the metrics of one process. */
export function createPrometheusMetrics(options: PrometheusMetricsOptions = {}): PrometheusMetrics {
  return new ScrapedMetrics(options);
}
