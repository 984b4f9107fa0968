/**
 * Kills, zombies, joins and leaves on a ledger of processes, in an order and at moments drawn from a seed.
 * Everything that is done is in the run's fault log, and counted: a test asserts that its faults happened.
 */
import assert from 'node:assert/strict';
import type { Random } from '../../src/base/clock-port.ts';
import { shuffled } from '../../src/base/seeded-random.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { eventually } from './eventually.ts';
import { type CommitPoint, commitPoints } from './hooked-broker.ts';
import { type LedgerRun, sessionTimeoutMs } from './ledger-run.ts';

/** How often each fault is to happen. */
export interface FaultCounts {
  readonly kills?: number;
  /** Paused for longer than session and transaction time-out together, then continued. */
  readonly zombies?: number;
  readonly removals?: number;
}

type Fault = keyof FaultCounts;

/** What has happened, for asserts. */
export interface FaultTally {
  kills: number;
  /** Kills at a named point of a commit. */
  killsAtPoints: number;
  zombies: number;
  /** Zombies whose tasks others had taken when they woke. */
  zombiesReplaced: number;
  removals: number;
}

/** The pause between two faults. */
const pauseMs = { min: 300, spread: 2_500 };
const restartMs = 3_000;

export class FaultSchedule {
  readonly tally: FaultTally = { kills: 0, killsAtPoints: 0, zombies: 0, zombiesReplaced: 0, removals: 0 };
  readonly #run: LedgerRun;
  readonly #random: Random;
  /** Restarts and awakenings that are still to come. */
  readonly #pending = new Set<Promise<void>>();
  #points: CommitPoint[] = [];

  readonly #victims: readonly string[] | undefined;

  /** `victims`: the workers it may hit; all when not given. */
  constructor(run: LedgerRun, random: Random, victims?: readonly string[]) {
    this.#run = run;
    this.#random = random;
    this.#victims = victims;
  }

  /** Resolves when every fault has happened and every worker is up again. */
  async play(counts: FaultCounts): Promise<void> {
    const left: Fault[] = (['kills', 'zombies', 'removals'] as const).flatMap((fault) =>
      Array.from({ length: counts[fault] ?? 0 }, () => fault),
    );
    while (left.length > 0) {
      await wallClock.sleep(pauseMs.min + this.#random.integer(pauseMs.spread));
      const at = this.#random.integer(left.length);
      if (await this.#inject(left[at] as Fault)) left.splice(at, 1);
    }
    await this.settle();
  }

  /** One fault, without waiting for its end: a zombie sleeps while others die. */
  async begin(fault: Fault): Promise<void> {
    await wallClock.sleep(pauseMs.min + this.#random.integer(pauseMs.spread));
    await this.#inject(fault);
  }

  /** One kill at a named point of a commit, and the restart. Errors: when the point is not reached. */
  async killAt(name: string, point: CommitPoint): Promise<void> {
    const worker = this.#run.worker(name);
    await eventually(async () => ((await worker.status())?.commits ?? 0) > 0, {
      timeoutMs: 60_000,
      what: `the first commit of ${name}`,
    });
    this.#run.expectEnd(name);
    worker.hitAt(point, 'SIGKILL');
    assert.ok(await worker.hit('SIGKILL', 20_000), `${name} did not get to "${point}"`);
    this.tally.kills++;
    this.tally.killsAtPoints++;
    this.#run.note(`kill -9 ${name} at "${point}"`);
    this.#run.restart(name);
  }

  /** Everything that was ended or paused is up again. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  async #inject(fault: Fault): Promise<boolean> {
    // Often only when others work: faults on a cluster that stands still would hit nothing but each other.
    if (this.#random.next() < 0.6) await this.#settled();
    const name = await this.#victim();
    if (name === undefined) return false;
    if (fault === 'kills') await this.#kill(name);
    else if (fault === 'zombies') await this.#pause(name);
    else await this.#remove(name);
    return true;
  }

  /** Resolves when records are being processed by two instances, or after a while. */
  async #settled(): Promise<void> {
    const run = this.#run;
    const working = async () => {
      const statuses = [...(await run.statuses()).values()];
      return statuses.filter(({ tasks, commits }) => tasks.length > 0 && commits > 0).length >= 2;
    };
    await eventually(working, { timeoutMs: 20_000, what: 'two instances at work' }).catch(() => {});
  }

  /** Mostly one that is committing; now and then one that is still starting or restoring. */
  async #victim(): Promise<string | undefined> {
    const live = this.#run.live.filter((name) => this.#victims?.includes(name) ?? true);
    if (live.length === 0) {
      await Promise.race(this.#pending);
      return undefined;
    }
    const name = live[this.#random.integer(live.length)] as string;
    if (this.#random.next() < 0.2) return name;
    const worker = this.#run.worker(name);
    const busy = async () => ((await worker.status(1_000))?.commits ?? 0) > 0 || !worker.isAlive;
    try {
      await eventually(busy, { timeoutMs: 15_000, what: 'its first commit' });
    } catch {
      return undefined;
    }
    return worker.isAlive ? name : undefined;
  }

  async #kill(name: string): Promise<void> {
    const worker = this.#run.worker(name);
    this.#run.expectEnd(name);
    let how = 'at a random moment';
    if (this.#random.next() < 0.6) {
      const point = this.#nextPoint();
      worker.hitAt(point, 'SIGKILL', this.#random.integer(4));
      if (await worker.hit('SIGKILL', 4_000)) {
        how = `at "${point}"`;
        this.tally.killsAtPoints++;
      }
    }
    await this.#run.kill(name);
    this.tally.kills++;
    this.#run.note(`kill -9 ${name} ${how}`);
    const wipe = this.#random.next() < 0.2;
    const afterMs = this.#random.integer(restartMs);
    this.#later(afterMs, async () => {
      this.#run.restart(name, { wipe });
    });
  }

  async #pause(name: string): Promise<void> {
    const run = this.#run;
    const worker = run.worker(name);
    const owned = new Set((await worker.status())?.tasks ?? []);
    let how = 'at a random moment';
    if (this.#random.next() < 0.6) {
      const point = this.#nextPoint();
      worker.hitAt(point, 'SIGSTOP', this.#random.integer(4));
      if (await worker.hit('SIGSTOP', 4_000)) how = `at "${point}"`;
    }
    if (!worker.isPaused) worker.pause();
    run.note(`stop ${name} ${how}, with ${owned.size} tasks`);
    const longMs = sessionTimeoutMs + run.transactionTimeoutMs + 2_000 + this.#random.integer(4_000);
    this.#later(longMs, async () => {
      const others = [...(await run.statuses()).values()].flatMap(({ tasks }) => tasks);
      const taken = [...owned].filter((task) => others.includes(task)).length;
      worker.goOn();
      this.tally.zombies++;
      if (owned.size > 0 && taken > 0) this.tally.zombiesReplaced++;
      run.note(`continue ${name}; others run ${taken} of its ${owned.size} tasks`);
    });
  }

  /** Every point comes before any comes again. */
  #nextPoint(): CommitPoint {
    if (this.#points.length === 0) this.#points = shuffled(commitPoints, this.#random);
    return this.#points.pop() as CommitPoint;
  }

  async #remove(name: string): Promise<void> {
    await this.#run.remove(name);
    this.tally.removals++;
    this.#later(this.#random.integer(restartMs), async () => {
      this.#run.restart(name);
    });
  }

  #later(afterMs: number, what: () => Promise<void>): void {
    const pending: Promise<void> = wallClock
      .sleep(afterMs)
      .then(what)
      .finally(() => this.#pending.delete(pending));
    this.#pending.add(pending);
    pending.catch(() => {});
  }
}
