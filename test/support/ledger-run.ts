/**
 * A ledger on real Kafka from its first topic to its verdict: topics, load, workers as processes, a log of the
 * faults, the wait for rest, and the judgement of everything that is committed. One per test.
 *
 * Order: open ▸ start workers and load ▸ faults ▸ finish (stops the load, waits, judges) ▸ close.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import type { WorkerPlan, WorkerStatus } from '../faults/worker.ts';
import { eventually } from './eventually.ts';
import { openTestKafka, uniqueName } from './kafka.ts';
import {
  checkLedger,
  type Ledger,
  type LedgerState,
  type OffsetSample,
  type Violation,
  violationsText,
} from './ledger-checkers.ts';
import { LedgerLoad } from './ledger-load.ts';
import {
  type AccountState,
  accountsStore,
  LedgerEntries,
  type LedgerNames,
  ledgerNames,
  type Move,
  movesTopic,
  type Total,
  totalsStore,
} from './ledger-topology.ts';
import type { StoreDump } from './state-dump.ts';
import { partitionsOf, readJson, readTable, readTopic } from './topic-records.ts';
import { WorkerProcess } from './worker-process.ts';

export interface LedgerRunOptions {
  /** Shape: `host:port,…`: where the load and the judge connect, and the workers unless told otherwise. */
  readonly brokers: string;
  readonly seed: number;
  readonly partitions?: number;
  readonly accounts?: number;
  readonly commitIntervalMs?: number;
  readonly transactionTimeoutMs?: number;
  readonly groupProtocol?: 'auto' | 'classic' | 'consumer';
  /** How long everything may take to come to rest after the last fault. */
  readonly restMs?: number;
}

/** What the brokers of scripts/kafka.mjs say under the new group protocol. */
export const sessionTimeoutMs = 6_000;

interface Slot {
  readonly name: string;
  readonly isStatic: boolean;
  worker: WorkerProcess | undefined;
  /** False between a kill and the restart that the schedule will make, and after a removal. */
  wanted: boolean;
  starts: number;
}

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly entries: number;
  /** Records of the outputs that were written and then aborted: the faults have bitten. */
  readonly aborted: number;
}

export class LedgerRun {
  readonly names: LedgerNames;
  readonly applicationId: string;
  readonly partitions: number;
  readonly transactionTimeoutMs: number;
  readonly folder: string;
  readonly broker: Broker;
  readonly load: LedgerLoad;
  readonly faults: string[] = [];
  /** Workers that ended without having been told to. */
  readonly ownEndings: string[] = [];
  readonly #options: LedgerRunOptions;
  readonly #slots = new Map<string, Slot>();
  readonly #offsets: OffsetSample[] = [];
  readonly #beganMs = wallClock.monotonicMs();
  #watching: Promise<void> | undefined;
  #closed = false;
  #failed = true;

  private constructor(
    options: LedgerRunOptions,
    names: LedgerNames,
    applicationId: string,
    broker: Broker,
    load: LedgerLoad,
  ) {
    this.#options = options;
    this.names = names;
    this.applicationId = applicationId;
    this.partitions = options.partitions ?? 4;
    this.transactionTimeoutMs = options.transactionTimeoutMs ?? 4_000;
    this.broker = broker;
    this.load = load;
    this.folder = mkdtempSync(join(tmpdir(), 'millrace-ledger-'));
  }

  static async open(options: LedgerRunOptions): Promise<LedgerRun> {
    const applicationId = uniqueName('ledger');
    const names = ledgerNames(applicationId);
    const broker = await openTestKafka({ brokers: options.brokers });
    const partitions = options.partitions ?? 4;
    try {
      await broker.admin.createTopics(
        Object.values<string>({ ...names }).map((name) => ({ name, partitions })),
      );
      const entries = new LedgerEntries(seededRandom(options.seed), options.accounts ?? 1_000);
      const load = await LedgerLoad.open(broker, names.entries, partitions, entries);
      const run = new LedgerRun(options, names, applicationId, broker, load);
      run.#watching = run.#watch();
      return run;
    } catch (error) {
      await broker.close();
      throw error;
    }
  }

  /** The fault log: every line with the time since the run began. */
  note(text: string): void {
    const seconds = ((wallClock.monotonicMs() - this.#beganMs) / 1000).toFixed(1);
    this.faults.push(`+${seconds}s ${text}`);
  }

  get story(): string {
    return [`seed ${this.#options.seed}, logs in ${this.folder}`, ...this.faults].join('\n  ');
  }

  /** A new slot with its own name and volume. */
  add(
    name: string,
    options: { readonly isStatic?: boolean; readonly plan?: Partial<WorkerPlan> } = {},
  ): WorkerProcess {
    const slot: Slot = {
      name,
      isStatic: options.isStatic ?? false,
      worker: undefined,
      wanted: true,
      starts: 0,
    };
    this.#slots.set(name, slot);
    this.note(`start ${name}${slot.isStatic ? ' (static)' : ''}`);
    return this.#start(slot, options.plan);
  }

  get slots(): readonly string[] {
    return [...this.#slots.keys()];
  }

  /** Names of slots whose process lives and is not paused. */
  get live(): readonly string[] {
    return this.slots.filter((name) => {
      const { worker, wanted } = this.#slot(name);
      return wanted && worker?.isAlive === true && !worker.isPaused;
    });
  }

  worker(name: string): WorkerProcess {
    const { worker } = this.#slot(name);
    assert.ok(worker, `worker ${name} is not running`);
    return worker;
  }

  /** kill -9. It is started again by `restart` and not before. */
  async kill(name: string): Promise<void> {
    const slot = this.#slot(name);
    slot.wanted = false;
    await slot.worker?.kill();
  }

  /** The schedule is about to end it in its own way: that is no ending of its own. */
  expectEnd(name: string): void {
    this.#slot(name).wanted = false;
  }

  restart(
    name: string,
    options: { readonly wipe?: boolean; readonly plan?: Partial<WorkerPlan> } = {},
  ): WorkerProcess {
    const slot = this.#slot(name);
    if (options.wipe === true) rmSync(this.#stateDir(name), { recursive: true, force: true });
    this.note(`start ${name} again${options.wipe === true ? ' on an empty volume' : ''}`);
    slot.wanted = true;
    return this.#start(slot, options.plan);
  }

  /** SIGTERM; resolves when it is gone. */
  async remove(name: string): Promise<void> {
    const slot = this.#slot(name);
    slot.wanted = false;
    this.note(`remove ${name}`);
    await slot.worker?.remove();
  }

  async statuses(): Promise<Map<string, WorkerStatus>> {
    const found = new Map<string, WorkerStatus>();
    await Promise.all(
      this.live.map(async (name) => {
        const status = await this.#slot(name).worker?.status();
        if (status !== undefined) found.set(name, status);
      }),
    );
    return found;
  }

  /** Resolves when the live workers own every task, each once, and are ready. */
  async ready(timeoutMs = 60_000): Promise<void> {
    const wanted = 2 * this.partitions;
    let last = '';
    const isReady = async () => {
      const statuses = await this.statuses();
      const tasks = [...statuses.values()].flatMap((status) => status.tasks);
      last = [...statuses].map(([name, status]) => `${name} ${status.state}: ${status.tasks}`).join('; ');
      const all = [...statuses.values()].every(({ ready }) => ready);
      return all && tasks.length === wanted && new Set(tasks).size === wanted;
    };
    await eventually(isReady, { timeoutMs, what: 'all tasks to run' }).catch((error: Error) => {
      throw new Error(`${error.message} (${last})\n  ${this.story}\n${this.#lastWords()}`);
    });
  }

  /** The last warnings of every worker, for a failure that nobody will see the folder of. */
  #lastWords(): string {
    return [...this.#slots.keys()]
      .flatMap((name) => {
        const path = join(this.folder, 'logs', `${name}.log`);
        const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
        const told = lines.filter((line) => /"level":("(info|warn|error)"|[345]0)/.test(line)).slice(-15);
        return [`  ${name}:`, ...told.map((line) => `    ${line}`)];
      })
      .join('\n');
  }

  /** Stops the load, lets everything come to rest and judges it. */
  async finish(): Promise<Verdict> {
    await this.load.stop();
    await this.load.writeClosing();
    this.note('the load has ended');
    await this.ready(this.#options.restMs ?? 90_000);
    await this.rest();
    const verdict = await this.judge();
    this.note(`judged ${verdict.entries} entries: ${verdict.violations.length} violations`);
    this.#failed = verdict.violations.length > 0;
    return verdict;
  }

  /** Every input is read to its end and nothing is open anywhere. */
  async rest(timeoutMs = this.#options.restMs ?? 90_000): Promise<void> {
    const { admin } = this.broker;
    const inputs = [this.names.entries, this.#internal(movesTopic)].flatMap((topic) =>
      partitionsOf(topic, this.partitions),
    );
    const all = this.#topics().flatMap((topic) => partitionsOf(topic, this.partitions));
    let last = '';
    let before = '';
    const isAtRest = async () => {
      const committed = await admin.committedOffsets(this.applicationId, inputs).catch(() => undefined);
      if (committed === undefined) return false;
      const ends = await admin.endOffsets(inputs, 'read_uncommitted');
      const lag = ends.reduce((sum, end, index) => sum + end - (committed[index] ?? 0), 0);
      const stable = await admin.endOffsets(all, 'read_committed');
      const uncommitted = await admin.endOffsets(all, 'read_uncommitted');
      const open = uncommitted.filter((end, index) => end !== stable[index]).length;
      last = `lag ${lag}, ${open} partitions with an open transaction`;
      if (lag > 0 || open > 0) return false;
      // Twice the same: what was on its way between the questions has arrived.
      const now = uncommitted.join();
      const isSame = now === before;
      before = now;
      if (!isSame) await wallClock.sleep(300);
      return isSame;
    };
    await eventually(isAtRest, { timeoutMs, what: 'everything to come to rest' }).catch((error: Error) => {
      throw new Error(`${error.message} (${last})\n  ${this.story}`);
    });
  }

  async judge(): Promise<Verdict> {
    const read = <V>(topic: string) => readJson<V>(this.broker, topic, this.partitions);
    const { names } = this;
    const ledger: Ledger = {
      entries: await read(names.entries),
      balances: await read(names.balances),
      transfers: await read(names.transfers),
      reminders: await read(names.reminders),
    };
    const moves = await read<Move>(this.#internal(movesTopic));
    const violations = checkLedger(ledger, { state: await this.#state(), offsets: this.#offsets, moves });
    let aborted = 0;
    for (const [topic, committed] of [
      [names.balances, ledger.balances.length],
      [names.transfers, ledger.transfers.length],
    ] as const) {
      const all = await readTopic(this.broker, topic, this.partitions, 'read_uncommitted');
      aborted += all.length - committed;
    }
    return { violations, entries: ledger.entries.length, aborted };
  }

  /** Fails with all that is known when the verdict is not clean. */
  assertClean(verdict: Verdict): void {
    assert.equal(verdict.violations.length, 0, `${violationsText(verdict.violations)}\n  ${this.story}`);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const slot of this.#slots.values()) {
      slot.wanted = false;
      if (slot.worker?.isPaused === true) slot.worker.goOn();
      await slot.worker?.kill();
    }
    await this.#watching;
    await this.load.close();
    await this.broker.close();
    // What a failed run leaves is what its failure is understood from.
    if (!this.#failed) rmSync(this.folder, { recursive: true, force: true });
  }

  #start(slot: Slot, plan: Partial<WorkerPlan> = {}): WorkerProcess {
    slot.starts += 1;
    mkdirSync(join(this.folder, 'logs'), { recursive: true });
    slot.worker = new WorkerProcess({
      brokers: this.#options.brokers,
      applicationId: this.applicationId,
      runs: { ledger: this.names },
      instanceId: slot.isStatic ? `${this.applicationId}-${slot.name}` : undefined,
      transactionalId: `${this.applicationId}-${slot.name}`,
      stateDir: this.#stateDir(slot.name),
      logFile: join(this.folder, 'logs', `${slot.name}.log`),
      commitIntervalMs: this.#options.commitIntervalMs ?? 50,
      sessionTimeoutMs,
      transactionTimeoutMs: this.transactionTimeoutMs,
      groupProtocol: this.#options.groupProtocol ?? 'auto',
      properties: {},
      ...plan,
    });
    return slot.worker;
  }

  /** Beside the test: samples committed offsets, and starts workers again that ended by themselves. */
  async #watch(): Promise<void> {
    const inputs = partitionsOf(this.names.entries, this.partitions);
    for (let turn = 0; !this.#closed; turn++) {
      for (const slot of this.#slots.values()) {
        if (!slot.wanted || slot.worker === undefined || slot.worker.isAlive) continue;
        const { failure, ending } = slot.worker;
        const why = failure === undefined ? `ended with ${ending}` : `${failure.code}: ${failure.message}`;
        this.note(`${slot.name} ended by itself: ${why}`);
        this.ownEndings.push(`${slot.name}: ${why}`);
        this.#start(slot);
      }
      if (turn % 10 === 0) {
        const offsets = await this.broker.admin
          .committedOffsets(this.applicationId, inputs)
          .catch(() => undefined);
        inputs.forEach((input, index) => {
          const offset = offsets?.[index];
          if (offset !== undefined) this.#offsets.push({ ...input, offset });
        });
      }
      await wallClock.sleep(100);
    }
  }

  async #state(): Promise<LedgerState> {
    const dumps = await eventually(() => this.#dumps(), {
      timeoutMs: 60_000,
      what: 'the stores of every task, each from its one owner',
    });
    return {
      accounts: {
        store: merged<AccountState>(dumps, accountsStore),
        changelog: await this.#changelog<AccountState>(accountsStore),
      },
      totals: {
        store: merged<Total>(dumps, totalsStore),
        changelog: await this.#changelog<Total>(totalsStore),
      },
    };
  }

  /** Undefined while a task has no owner or two: they are moving. */
  async #dumps(): Promise<StoreDump[] | undefined> {
    const tasks = new Map<string, StoreDump>();
    let count = 0;
    for (const name of this.live) {
      for (const [taskId, dump] of Object.entries(
        await this.worker(name)
          .dump()
          .catch(() => ({})),
      )) {
        tasks.set(taskId, dump);
        count++;
      }
    }
    return count === 2 * this.partitions && tasks.size === count ? [...tasks.values()] : undefined;
  }

  async #changelog<V>(store: string): Promise<Map<string, V>> {
    const table = await readTable(this.broker, this.#internal(`${store}-changelog`), this.partitions);
    return new Map([...table].map(([key, value]) => [key, JSON.parse(String(value)) as V]));
  }

  #topics(): string[] {
    const internal = [movesTopic, `${accountsStore}-changelog`, `${totalsStore}-changelog`];
    return [...Object.values<string>({ ...this.names }), ...internal.map((name) => this.#internal(name))];
  }

  #internal(name: string): string {
    return `${this.applicationId}-${name}`;
  }

  #stateDir(name: string): string {
    return join(this.folder, 'state', name);
  }

  #slot(name: string): Slot {
    const slot = this.#slots.get(name);
    assert.ok(slot, `there is no worker ${name}`);
    return slot;
  }
}

function merged<V>(dumps: readonly StoreDump[], store: string): Map<string, V> {
  const all = new Map<string, V>();
  for (const { stores } of dumps) {
    for (const [key, value] of Object.entries(stores[store] ?? {})) all.set(key, JSON.parse(value) as V);
  }
  return all;
}
