/**
 * The metrics of one instance, by name: counted where the work is done, read when somebody scrapes. Called once,
 * when a StreamsApp starts.
 */
import type { Metrics } from '../base/telemetry-port.ts';
import type { RestoreStatus } from '../restore/restore-watch.ts';
import type { StreamThread } from '../thread/stream-thread.ts';

export interface MetricsOptions {
  readonly metrics: Metrics;
  /** The application id, a label of every value. */
  readonly application: string;
  readonly thread: StreamThread;
  readonly ready: () => boolean;
}

export function registerMetrics(options: MetricsOptions): void {
  const { metrics, application, thread, ready } = options;
  const perTask = (read: (task: ReturnType<StreamThread['tasks']>[number]) => number) => () =>
    thread.tasks().map((task) => ({ labels: { application, task: task.id }, value: read(task) }));
  const single = (read: () => number) => () => [{ labels: { application }, value: read() }];
  metrics.counter(
    'millrace_records_processed_total',
    'Records taken from the inputs.',
    perTask((task) => task.counters.processed),
  );
  metrics.counter(
    'millrace_records_dead_lettered_total',
    'Records parked in a dead-letter topic.',
    perTask((task) => task.counters.deadLettered),
  );
  metrics.counter(
    'millrace_timers_fired_total',
    'Durable timers that fired.',
    perTask((task) => task.counters.timersFired),
  );
  metrics.counter(
    'millrace_slow_state_reads_total',
    'Reads of state that had not been loaded with the batch.',
    perTask((task) => task.state.slowReads),
  );
  metrics.gauge(
    'millrace_records_queued',
    'Records polled and not yet processed.',
    perTask((task) => task.queued),
  );
  metrics.gauge(
    'millrace_timers',
    'Durable timers scheduled.',
    perTask((task) => task.timerCount),
  );
  metrics.counter(
    'millrace_commits_total',
    'Transactions committed.',
    single(() => thread.commitCycle.counters.commits),
  );
  metrics.counter(
    'millrace_aborts_total',
    'Transactions given up; their work was done again.',
    single(() => thread.commitCycle.counters.aborts),
  );
  metrics.counter(
    'millrace_producers_created_total',
    'Transactional producers initialised.',
    single(() => thread.commitCycle.counters.producersCreated),
  );
  metrics.counter(
    'millrace_output_records_total',
    'Records committed to topics, changelogs apart.',
    single(() => thread.commitCycle.counters.outputRecords),
  );
  metrics.counter(
    'millrace_changelog_records_total',
    'Records committed to changelogs.',
    single(() => thread.commitCycle.counters.changelogRecords),
  );
  registerCalls(options);
  const perRestore = (read: (restore: RestoreStatus) => number) => () =>
    thread
      .restoring()
      .map((restore) => ({ labels: { application, task: restore.taskId }, value: read(restore) }));
  metrics.gauge(
    'millrace_restore_remaining_records',
    'Changelog offsets still to be replayed.',
    perRestore(({ remaining }) => remaining),
  );
  metrics.gauge(
    'millrace_restore_records_per_second',
    'Changelog records written to the store, over the last ten seconds.',
    perRestore(({ recordsPerSecond }) => recordsPerSecond),
  );
  metrics.counter(
    'millrace_restored_records_total',
    'Changelog records that restores have written to stores.',
    single(() => thread.restoredTotal),
  );
  metrics.gauge('millrace_standby_lag_records', 'Changelog offsets that a standby is behind.', () =>
    thread
      .standbys()
      .flatMap(({ taskId, lag }) =>
        lag === undefined ? [] : [{ labels: { application, task: taskId }, value: lag }],
      ),
  );
  metrics.gauge(
    'millrace_standby_tasks',
    'Tasks that others own and this instance follows.',
    single(() => thread.standbys().length),
  );
  metrics.gauge(
    'millrace_ready',
    '1 when every task of this instance is restored.',
    single(() => (ready() ? 1 : 0)),
  );
}

/** Of async steps, by task and step. Their mean latency: seconds by calls. */
function registerCalls({ metrics, application, thread }: MetricsOptions): void {
  type Calls = ReturnType<ReturnType<StreamThread['tasks']>[number]['calls']>[number];
  const perStep = (read: (calls: Calls) => number) => () =>
    thread
      .tasks()
      .flatMap((task) =>
        task
          .calls()
          .map((calls) => ({ labels: { application, task: task.id, step: calls.step }, value: read(calls) })),
      );
  metrics.gauge(
    'millrace_async_calls_in_flight',
    'Calls of async steps that have begun and not ended, pauses between tries included.',
    perStep(({ underWay }) => underWay),
  );
  metrics.counter(
    'millrace_async_calls_total',
    'Tries of async steps, repeated ones included.',
    perStep(({ attempts }) => attempts),
  );
  metrics.counter(
    'millrace_async_calls_retried_total',
    'Tries of async steps that failed and were made again.',
    perStep(({ retries }) => retries),
  );
  metrics.counter(
    'millrace_async_calls_failed_total',
    'Calls of async steps whose tries were used up.',
    perStep(({ failed }) => failed),
  );
  metrics.counter(
    'millrace_async_calls_timed_out_total',
    'Tries of async steps that did not answer in time.',
    perStep(({ timedOut }) => timedOut),
  );
  metrics.counter(
    'millrace_async_call_seconds_total',
    'What the tries of async steps took, all together.',
    perStep(({ busyMs }) => busyMs / 1000),
  );
}
