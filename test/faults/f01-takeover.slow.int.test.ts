/**
 * F1, the take-over: an instance is killed whose tasks have standbys on another one. Goal: the standbys take over,
 * replaying the gap and not the changelogs; how long nothing came out of its partitions is printed.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'mocha';
import { partitionKey, type TopicPartition } from '../../src/base/record.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { progress } from '../support/broker-faults.ts';
import { eventually } from '../support/eventually.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { accountsStore, totalsStore } from '../support/ledger-topology.ts';

interface TaskRuns {
  readonly msg: string;
  readonly taskId: string;
  readonly restored: number;
  readonly recycled: boolean;
}

/** When each partition last gave a committed record, and the longest time without one since `mark`. */
class OutputWatch {
  readonly #lastMs = new Map<string, number>();
  readonly #gapMs = new Map<string, number>();
  #closed = false;
  #watching: Promise<void> | undefined;

  static async open(broker: Broker, partitions: readonly TopicPartition[]): Promise<OutputWatch> {
    const watch = new OutputWatch();
    const ends = await broker.admin.endOffsets(partitions, 'read_committed');
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'output-watch' });
    await consumer.assign(partitions.map((each, index) => ({ ...each, offset: ends[index] ?? 0 })));
    watch.#watching = (async () => {
      try {
        while (!watch.#closed) {
          for (const batch of await consumer.poll({ recordsMax: 10_000, waitMs: 20 })) watch.#note(batch);
        }
      } finally {
        await consumer.close();
      }
    })();
    watch.#watching.catch(() => undefined);
    return watch;
  }

  /** From here on gaps are counted; what came last before it opens the first. */
  mark(): void {
    this.#gapMs.clear();
  }

  /** Milliseconds; undefined where nothing has come since `mark`. */
  gapMs(partition: TopicPartition): number | undefined {
    return this.#gapMs.get(partitionKey(partition.topic, partition.partition));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#watching;
  }

  #note({ topic, partition }: TopicPartition): void {
    const key = partitionKey(topic, partition);
    const nowMs = wallClock.monotonicMs();
    const gapMs = nowMs - (this.#lastMs.get(key) ?? nowMs);
    this.#gapMs.set(key, Math.max(gapMs, this.#gapMs.get(key) ?? 0));
    this.#lastMs.set(key, nowMs);
  }
}

describe('F1: an instance with standbys elsewhere is killed', function () {
  this.timeout(300_000);
  let run: LedgerRun;
  let outputs: OutputWatch | undefined;
  afterEach(async () => {
    await outputs?.close();
    outputs = undefined;
    await run?.close();
  });

  it('and they take its tasks over with the gap alone', async () => {
    run = await LedgerRun.open({ brokers: testKafka(), seed: 101 });
    for (const name of ['w1', 'w2']) run.add(name, { plan: { numStandbyReplicas: 1 } });
    run.load.start(300);
    await run.ready();
    await progress(run, 6_000);
    const [dying, heir] = [run.worker('w1'), run.worker('w2')];
    const owned = (await dying.status())?.tasks ?? [];
    assert.equal(owned.length, run.partitions, 'the tasks are shared out');
    await eventually(
      async () => {
        const standbys = (await heir.status())?.standbys ?? [];
        return owned.every((id) =>
          standbys.some(({ taskId, lag }) => taskId === id && lag !== undefined && lag < 500),
        );
      },
      { timeoutMs: 60_000, what: 'the other instance to follow every task of the first' },
    );
    // What a restore from nothing would have to replay.
    const changelogs = owned.map((id) => changelogOf(run, id));
    const ends = await run.broker.admin.endOffsets(changelogs, 'read_committed');
    const wholeChangelogs = ends.reduce((sum, end) => sum + end, 0);
    const watched = owned.map((id) => outputOf(run, id));
    outputs = await OutputWatch.open(run.broker, watched);
    await progress(run, 1_000);
    const watch = outputs;
    await eventually(() => watched.every((each) => watch.gapMs(each) !== undefined), {
      timeoutMs: 30_000,
      what: 'records from every partition before the kill',
    });
    const before = startsOf(run, 'w2').length;
    watch.mark();
    await run.kill('w1');
    run.note(`kill -9 w1 with ${owned}`);
    await eventually(async () => (await heir.status())?.tasks.length === 2 * run.partitions, {
      timeoutMs: 90_000,
      what: 'the other instance to run all tasks',
    });
    await progress(run, 1_000);
    await eventually(() => watched.every((each) => (watch.gapMs(each) ?? 0) > 1_000), {
      timeoutMs: 60_000,
      what: 'records from every partition after the kill',
    });
    // The first start of each: a commit that fails later restores it from its own store.
    const starts = startsOf(run, 'w2').slice(before);
    const taken = owned.flatMap((id) => starts.filter(({ taskId }) => taskId === id).slice(0, 1));
    assert.deepEqual(
      taken.map(({ taskId, recycled }) => `${taskId} ${recycled}`),
      owned.map((id) => `${id} true`),
      `the standbys took over\n  ${run.story}`,
    );
    const restored = taken.reduce((sum, each) => sum + each.restored, 0);
    assert.ok(restored * 5 < wholeChangelogs, `replayed ${restored} of ${wholeChangelogs}\n  ${run.story}`);
    const pauses = watched.map((each) => Math.round(watch.gapMs(each) ?? 0));
    console.log(
      `      pause of its partitions: ${pauses.join(', ')} ms; replayed ${restored} of ${wholeChangelogs}`,
    );
    const verdict = await run.finish();
    run.assertClean(verdict);
  });
});

/** Sub-topology 0 posts, 1 receives. */
function changelogOf(run: LedgerRun, taskId: string): TopicPartition {
  const [part, partition] = taskId.split('_').map(Number) as [number, number];
  const store = part === 0 ? accountsStore : totalsStore;
  return { topic: `${run.applicationId}-${store}-changelog`, partition };
}

function outputOf(run: LedgerRun, taskId: string): TopicPartition {
  const [part, partition] = taskId.split('_').map(Number) as [number, number];
  return { topic: part === 0 ? run.names.balances : run.names.transfers, partition };
}

/** Every start of a task, as the worker's log tells it. */
function startsOf(run: LedgerRun, name: string): TaskRuns[] {
  const lines = readFileSync(join(run.folder, 'logs', `${name}.log`), 'utf8').split('\n');
  return lines
    .filter((line) => line.includes('"msg":"task runs"'))
    .map((line) => JSON.parse(line) as TaskRuns);
}
