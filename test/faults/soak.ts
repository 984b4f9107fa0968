/**
 * F20: kills, zombies, leaves, repeated requests and broker kills, in a random mix for as long as asked. Run by
 * scripts/soak.mjs. Prints its seed, its fault log as it goes, the verdict, and how the one instance that was
 * never killed has grown.
 *
 *   node dist/test/faults/soak.js MINUTES SEED BROKERS
 */
import type { KafkaCluster } from '../../scripts/kafka.mjs';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { bounceBroker } from '../support/broker-faults.ts';
import { FaultSchedule } from '../support/fault-schedule.ts';
import {
  KafkaFaultProxy,
  type TransactionalRequest,
  transactionalRequests,
} from '../support/kafka-fault-proxy.ts';
import { violationsText } from '../support/ledger-checkers.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { startCluster, stopCluster } from '../support/test-cluster.ts';
import type { WorkerStatus } from './worker.ts';

interface Sample {
  readonly atMs: number;
  readonly status: WorkerStatus;
}

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

class Soak {
  readonly #cluster: KafkaCluster;
  readonly #run: LedgerRun;
  readonly #proxy: KafkaFaultProxy | undefined;
  readonly #random;
  readonly #schedule: FaultSchedule;
  readonly #samples: Sample[] = [];
  readonly #counts = new Map<string, number>();
  #printed = 0;
  #over = false;

  constructor(cluster: KafkaCluster, run: LedgerRun, proxy: KafkaFaultProxy | undefined, seed: number) {
    this.#cluster = cluster;
    this.#run = run;
    this.#proxy = proxy;
    this.#random = seededRandom(seed);
    this.#schedule = new FaultSchedule(run, seededRandom(seed + 1), ['w1', 'w2', 'w3']);
  }

  async play(minutes: number): Promise<void> {
    const run = this.#run;
    const address = await this.#proxy?.start();
    // Never killed, so that what it grows by can be seen; its requests are the ones that are repeated.
    run.add('steady', address === undefined ? {} : { plan: { brokers: address } });
    for (const name of ['w1', 'w2', 'w3']) run.add(name, { isStatic: name === 'w3' });
    run.load.start(200);
    await run.ready(180_000);
    const endMs = wallClock.monotonicMs() + minutes * 60_000;
    const sampling = this.#sample();
    while (wallClock.monotonicMs() < endMs) {
      const [name, fault] = this.#draw();
      await fault();
      this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
      this.#print();
    }
    await this.#schedule.settle();
    this.#over = true;
    await sampling;
  }

  report(): void {
    this.#print();
    say(`faults: ${[...this.#counts].map(([name, count]) => `${name} ${count}`).join(', ')}`);
    // The first minute is spent on growing to working size.
    const settled = this.#samples.filter(({ atMs }) => atMs - (this.#samples[0]?.atMs ?? 0) > 60_000);
    const [first, last] = [settled[0], settled.at(-1)];
    if (first === undefined || last === undefined || first === last) return;
    const hours = (last.atMs - first.atMs) / 3_600_000;
    const line = (name: string, read: (status: WorkerStatus) => number, unit: string) =>
      say(
        `steady instance, ${name}: ${read(first.status).toFixed(1)} then ${read(last.status).toFixed(1)} ${unit} ` +
          `(${((read(last.status) - read(first.status)) / hours).toFixed(1)} per hour; fit ${(slope(settled, read) * 3_600_000).toFixed(1)})`,
      );
    line('resident memory', ({ residentBytes }) => residentBytes / 2 ** 20, 'MiB');
    line('heap', ({ heapBytes }) => heapBytes / 2 ** 20, 'MiB');
    line('open files', ({ files }) => files, '');
    say(`steady instance: ${last.status.commits} commits, ${last.status.aborts} given up`);
  }

  #draw(): [string, () => Promise<void>] {
    const dice = this.#random.next();
    if (dice < 0.35) return ['kill', () => this.#schedule.begin('kills')];
    if (dice < 0.5) return ['zombie', () => this.#schedule.begin('zombies')];
    if (dice < 0.6) return ['leave', () => this.#schedule.begin('removals')];
    if (dice < 0.65) return ['broker kill', () => this.#killBroker()];
    const proxy = this.#proxy;
    if (proxy === undefined) return ['pause', () => wallClock.sleep(2_000)];
    return ['repeated request', () => this.#repeat(proxy)];
  }

  async #killBroker(): Promise<void> {
    const index = this.#random.integer(this.#cluster.ports.length);
    await bounceBroker(this.#run, this.#cluster, index, this.#random.integer(5_000));
  }

  async #repeat(proxy: KafkaFaultProxy): Promise<void> {
    const kinds = Object.keys(transactionalRequests) as TransactionalRequest[];
    const request = kinds[this.#random.integer(kinds.length)] as TransactionalRequest;
    const action = (['hold', 'hold', 'double', 'cut'] as const)[this.#random.integer(4)] as 'hold';
    const release = request === 'TxnOffsetCommit' ? 'TxnOffsetCommit' : 'Produce';
    const outcome = await proxy.inject({ request, action, release });
    this.#run.note(`${action} ${request}: ${JSON.stringify(outcome)}`);
  }

  async #sample(): Promise<void> {
    const worker = this.#run.worker('steady');
    while (!this.#over) {
      const status = await worker.status();
      if (status !== undefined) this.#samples.push({ atMs: wallClock.monotonicMs(), status });
      await wallClock.sleep(5_000);
    }
  }

  #print(): void {
    for (const line of this.#run.faults.slice(this.#printed)) say(line);
    this.#printed = this.#run.faults.length;
  }
}

/** Least squares: units per millisecond. */
function slope(samples: readonly Sample[], read: (status: WorkerStatus) => number): number {
  const meanAt = samples.reduce((sum, { atMs }) => sum + atMs, 0) / samples.length;
  const mean = samples.reduce((sum, { status }) => sum + read(status), 0) / samples.length;
  let above = 0;
  let below = 0;
  for (const { atMs, status } of samples) {
    above += (atMs - meanAt) * (read(status) - mean);
    below += (atMs - meanAt) ** 2;
  }
  return below === 0 ? 0 : above / below;
}

async function main(minutes: number, seed: number, brokers: number): Promise<boolean> {
  say(`seed ${seed}, ${minutes} minutes, ${brokers} broker(s)`);
  const cluster = await startCluster({ brokers });
  const stop = () => void stopCluster(cluster).then(() => process.exit(130));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  let run: LedgerRun | undefined;
  // With three brokers a client would go round a proxy that stands before one.
  const proxy = brokers === 1 ? new KafkaFaultProxy(cluster.bootstrap) : undefined;
  try {
    run = await LedgerRun.open({ brokers: cluster.bootstrap, seed, restMs: 240_000 });
    const soak = new Soak(cluster, run, proxy, seed);
    await soak.play(minutes);
    const verdict = await run.finish();
    soak.report();
    say(`${verdict.entries} entries, ${verdict.aborted} records aborted`);
    say(violationsText(verdict.violations));
    for (const ending of run.ownEndings) say(`ended by itself: ${ending}`);
    return verdict.violations.length === 0;
  } catch (error) {
    say(run?.story ?? '');
    say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return false;
  } finally {
    await run?.close();
    await proxy?.close();
    await stopCluster(cluster);
  }
}

const [minutes, seed, brokers] = process.argv.slice(2).map(Number);
if (minutes !== undefined && seed !== undefined) {
  const passed = await main(minutes, seed, brokers ?? 1);
  say(passed ? 'soak passed' : 'soak FAILED');
  process.exit(passed ? 0 : 1);
}
