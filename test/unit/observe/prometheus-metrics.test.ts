import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { createPrometheusMetrics } from '../../../src/observe/prometheus-metrics.ts';

/** The sample lines of one metric, without help and type. */
async function lines(metrics: { text(): Promise<string> }, name: string): Promise<string[]> {
  return (await metrics.text()).split('\n').filter((line) => line.startsWith(name));
}

describe('createPrometheusMetrics', () => {
  it('reads gauges and counters at each scrape and not before', async () => {
    const metrics = createPrometheusMetrics({ prefix: 'millrace_' });
    let reads = 0;
    let records = 5;
    metrics.counter('records_total', 'Records processed.', () => {
      reads += 1;
      return [{ labels: { task: '0_1' }, value: records }];
    });
    metrics.gauge('millrace_tasks', 'Tasks owned.', () => [{ value: 3 }]);
    assert.equal(reads, 0);
    assert.deepEqual(await lines(metrics, 'millrace_records_total'), [
      'millrace_records_total{task="0_1"} 5',
    ]);
    records = 8;
    assert.deepEqual(await lines(metrics, 'millrace_records_total'), [
      'millrace_records_total{task="0_1"} 8',
    ]);
    assert.deepEqual(await lines(metrics, 'millrace_tasks'), ['millrace_tasks 3']);
    assert.match(await metrics.text(), /# TYPE millrace_records_total counter/);
    assert.match(metrics.contentType, /^text\/plain; version=0\.0\.4/);
  });

  it('forgets the series of a source that is gone', async () => {
    const metrics = createPrometheusMetrics();
    const tasks = new Map([
      ['0_0', 1],
      ['0_1', 2],
    ]);
    metrics.gauge('lag', 'Records that wait.', () =>
      [...tasks].map(([task, value]) => ({ labels: { task }, value })),
    );
    assert.equal((await lines(metrics, 'lag')).length, 2);
    tasks.delete('0_0');
    assert.deepEqual(await lines(metrics, 'lag'), ['lag{task="0_1"} 2']);
  });

  it('keeps several sources of one name apart and lets the later one win the same series', async () => {
    const metrics = createPrometheusMetrics();
    let oldReads = 0;
    metrics.gauge('lag', 'Records that wait.', () => {
      oldReads += 1;
      return [{ labels: { task: '0_0' }, value: 1 }];
    });
    metrics.gauge('lag', 'Records that wait.', () => [{ labels: { task: '0_1' }, value: 2 }]);
    metrics.gauge('lag', 'Records that wait.', () => [{ labels: { task: '0_0' }, value: 7 }]);
    assert.deepEqual((await lines(metrics, 'lag')).sort(), ['lag{task="0_0"} 7', 'lag{task="0_1"} 2']);
    await metrics.text();
    assert.equal(oldReads, 1, 'a source that was replaced is not asked again');
  });

  it('serves the rest when one source throws, gives a bad label or a negative counter', async () => {
    const metrics = createPrometheusMetrics();
    metrics.gauge('broken', 'Throws.', () => {
      throw new Error('closed');
    });
    metrics.gauge('odd', 'Bad label name.', () => [{ labels: { 'a-b': 'x' }, value: 1 }]);
    metrics.counter('backwards_total', 'Negative.', () => [{ value: -1 }]);
    metrics.gauge('fine', 'Works.', () => [{ value: 1 }]);
    assert.deepEqual(await lines(metrics, 'fine'), ['fine 1']);
    assert.deepEqual(await lines(metrics, 'metrics_read_failures_total'), ['metrics_read_failures_total 3']);
    assert.deepEqual(await lines(metrics, 'odd'), []);
  });

  it('caps the series of a metric and counts what it leaves out', async () => {
    const metrics = createPrometheusMetrics({ seriesMax: 10 });
    metrics.gauge('wide', 'Too many labels.', () =>
      Array.from({ length: 25 }, (_, i) => ({ labels: { order: `o-${i}` }, value: i })),
    );
    assert.equal((await lines(metrics, 'wide')).length, 10);
    assert.deepEqual(await lines(metrics, 'metrics_series_dropped_total'), [
      'metrics_series_dropped_total 15',
    ]);
  });

  it('observes histograms, and the same name twice is one histogram', async () => {
    const metrics = createPrometheusMetrics({ prefix: 'millrace_' });
    metrics.histogram('commit_seconds', 'Time of a commit.', [0.01, 0.1]).observe(0.05);
    metrics.histogram('commit_seconds', 'Time of a commit.', [0.01, 0.1]).observe(0.5);
    const found = await lines(metrics, 'millrace_commit_seconds');
    assert.ok(found.includes('millrace_commit_seconds_bucket{le="0.1"} 1'), found.join('\n'));
    assert.ok(found.includes('millrace_commit_seconds_count 2'), found.join('\n'));
  });

  it('refuses a name that is no metric name and a name of two kinds', () => {
    const metrics = createPrometheusMetrics();
    assert.throws(() => metrics.gauge('a-b', 'x', () => []), { code: 'INVARIANT_BROKEN' });
    metrics.gauge('twice', 'x', () => []);
    assert.throws(() => metrics.counter('twice', 'x', () => []), { code: 'INVARIANT_BROKEN' });
    assert.throws(() => metrics.histogram('twice', 'x', [1]), { code: 'INVARIANT_BROKEN' });
  });

  it('adds the metrics of the process when asked', async () => {
    const text = await createPrometheusMetrics({ defaultMetrics: true, prefix: 'millrace_' }).text();
    assert.match(text, /^nodejs_eventloop_lag_seconds /m);
    assert.match(text, /^process_resident_memory_bytes /m);
  });
});
