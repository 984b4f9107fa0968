/** A worker of the fault tests (test/faults/worker.ts) as its parent sees it: a process and what it tells. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { WorkerNews, WorkerOrder, WorkerPlan, WorkerStatus } from '../faults/worker.ts';
import { eventually } from './eventually.ts';
import type { CommitPoint } from './hooked-broker.ts';
import type { StoreDump } from './state-dump.ts';

const workerFile = fileURLToPath(new URL('../faults/worker.js', import.meta.url));

export class WorkerProcess {
  readonly plan: WorkerPlan;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #told: WorkerNews[] = [];
  #orders = 0;
  #stopped = false;

  constructor(plan: WorkerPlan) {
    this.plan = plan;
    this.#child = fork(workerFile, [JSON.stringify(plan)], {
      env: { ...process.env, UV_THREADPOOL_SIZE: '16' },
    });
    this.#child.on('message', (news: WorkerNews) => this.#told.push(news));
    // A message to a process that has just died is no error of the test.
    this.#child.on('error', () => {});
    this.#exited = once(this.#child, 'exit');
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Stopped by `pause`, or by itself when it was told to hit itself. */
  get isPaused(): boolean {
    return this.#stopped;
  }

  /** Shape: `SIGKILL` or an exit code; undefined while it lives. */
  get ending(): string | undefined {
    const { exitCode, signalCode } = this.#child;
    return signalCode ?? (exitCode === null ? undefined : String(exitCode));
  }

  /** Why the instance died, if it said so. */
  get failure(): { readonly code: string; readonly message: string } | undefined {
    for (const news of this.#told) if (news.news === 'failed') return news;
    return undefined;
  }

  get started(): boolean {
    return this.#told.some(({ news }) => news === 'started');
  }

  async kill(): Promise<void> {
    if (this.isAlive) this.#child.kill('SIGKILL');
    await this.exited();
  }

  pause(): void {
    this.#child.kill('SIGSTOP');
    this.#stopped = true;
  }

  goOn(): void {
    this.#child.kill('SIGCONT');
    this.#stopped = false;
  }

  /** Asks it to stop cleanly; resolves when it is gone. */
  async remove(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.exited();
  }

  async exited(): Promise<void> {
    await this.#exited;
  }

  /** At that point of its next commit (after passing it `skip` times) it hits itself with the signal. */
  hitAt(point: CommitPoint, signal: 'SIGKILL' | 'SIGSTOP', skip = 0): void {
    this.#order({ order: 'hit', point, signal, skip });
  }

  /** Its next transaction is aborted once everything is in it. */
  abortNext(): void {
    this.#order({ order: 'abort' });
  }

  /** Resolves when the ordered hit has happened; false when it did not within `timeoutMs`. */
  async hit(signal: 'SIGKILL' | 'SIGSTOP', timeoutMs: number): Promise<boolean> {
    const told = () => this.#told.findIndex((news) => news.news === 'hitting' && news.signal === signal);
    const has = () => (signal === 'SIGKILL' ? !this.isAlive : told() >= 0);
    try {
      await eventually(has, { timeoutMs, what: 'the hit' });
    } catch {
      return false;
    }
    if (signal === 'SIGSTOP') {
      // Taken off, so that it is not mistaken for the next hit.
      this.#told.splice(told(), 1);
      this.#stopped = true;
    }
    return true;
  }

  /** Undefined when it does not answer in time. */
  async status(timeoutMs = 2_000): Promise<WorkerStatus | undefined> {
    const news = await this.#ask('status', timeoutMs);
    return news?.news === 'status' ? news.status : undefined;
  }

  async dump(timeoutMs = 20_000): Promise<Readonly<Record<string, StoreDump>>> {
    const news = await this.#ask('dump', timeoutMs);
    if (news?.news !== 'dump') throw new Error(`worker ${this.pid} does not dump its stores`);
    return news.tasks;
  }

  async #ask(order: 'status' | 'dump', timeoutMs: number): Promise<WorkerNews | undefined> {
    if (!this.isAlive || this.#stopped) return undefined;
    const id = ++this.#orders;
    this.#order({ order, id });
    const answer = () => this.#told.findIndex((news) => 'id' in news && news.id === id);
    try {
      await eventually(() => answer() >= 0 || !this.isAlive, { timeoutMs, what: `the ${order}` });
    } catch {
      return undefined;
    }
    const at = answer();
    return at < 0 ? undefined : this.#told.splice(at, 1)[0];
  }

  #order(order: WorkerOrder): void {
    if (this.#child.connected) this.#child.send(order);
  }
}
