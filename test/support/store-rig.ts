/**
 * One store over a task's state, driven as a task drives it: work under a savepoint and again after a slow read,
 * commits in two steps, aborts, crashes, a replay of the changelog. For tests that hold a store to a plain model.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KeyValueBackend, Write } from '../../src/base/backend-port.ts';
import type { StoreSpec } from '../../src/graph/node.ts';
import type { StateStore } from '../../src/graph/processor.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { openRocksDbBackend } from '../../src/store/rocksdb-backend.ts';
import { TaskState } from '../../src/store/task-state.ts';
import { openStore } from '../../src/task/open-store.ts';
import { TimerIndex } from '../../src/task/timer-index.ts';
import { StateMiss, type TaskStore } from '../../src/task/typed-stores.ts';

/** Where folders are: on a disk, or in a memory that outlives its backends. */
export interface Disk {
  open(folder: string): Promise<KeyValueBackend>;
  /** Closes what is open, as the end of a process does. */
  kill(backend: KeyValueBackend, folder: string): Promise<void>;
  end(): Promise<void>;
}

export function memoryDisk(): Disk {
  const disk = new MemoryDisk();
  return {
    open: (folder) => disk.open(folder),
    kill: async (_, folder) => disk.kill(folder),
    end: async () => {},
  };
}

export async function rocksDisk(): Promise<Disk> {
  const folder = await mkdtemp(join(tmpdir(), 'stores-'));
  return {
    open: (name) => openRocksDbBackend(join(folder, name)),
    kill: (backend) => backend.close(),
    end: () => rm(folder, { recursive: true, force: true }),
  };
}

const taskStore = 'task';

export class StoreRig {
  readonly #spec: StoreSpec;
  readonly #disk: Disk;
  /** What the changelogs hold after compaction, by store. */
  readonly #changelog = new Map<string, Map<string, Write>>();
  #sealed: readonly { readonly store: string; readonly writes: readonly Write[] }[] | undefined;
  #folders = 0;
  #backend!: KeyValueBackend;
  #timers!: TimerIndex;
  state!: TaskState;
  store!: StateStore & TaskStore;
  /** Puts that came too late. */
  expired = 0;

  private constructor(spec: StoreSpec, disk: Disk) {
    this.#spec = spec;
    this.#disk = disk;
  }

  static async open(spec: StoreSpec, disk: Disk): Promise<StoreRig> {
    const rig = new StoreRig(spec, disk);
    await rig.#open();
    return rig;
  }

  get #folder(): string {
    return `${this.#spec.name}-${this.#folders}`;
  }

  async #open(): Promise<void> {
    const { name, persistent = true } = this.#spec;
    this.#backend = await this.#disk.open(this.#folder);
    // A small cache, so that most reads go to the disk.
    this.state = new TaskState(this.#backend, [{ name, persistent, changelog: 'log' }, taskStore], 3);
    this.#timers = new TimerIndex(this.state.generations(taskStore));
    this.#sealed = undefined;
    await this.#begin();
  }

  async #begin(): Promise<void> {
    await this.#timers.load(this.state.scanCommitted(taskStore, 100));
    this.store = openStore(this.#spec, this.state, {
      clocks: this.#timers,
      expired: () => {
        this.expired++;
      },
    });
  }

  /** A round with one record. `undone`: its processing fails in the end. */
  async run<T>(work: () => T, undone = false): Promise<T> {
    await this.state.load(this.store.upkeep?.() ?? []);
    for (;;) {
      const savepoint = this.state.savepoint();
      const timers = this.#timers.savepoint();
      const rollback = (): void => {
        this.state.rollback(savepoint);
        this.#timers.rollback(timers);
      };
      try {
        const result = work();
        if (undone) rollback();
        this.state.endRound();
        return result;
      } catch (error) {
        rollback();
        if (!(error instanceof StateMiss)) throw error;
        await this.state.load(error.requests);
      }
    }
  }

  get hasSealed(): boolean {
    return this.#sealed !== undefined;
  }

  seal(): void {
    this.#sealed = this.state.seal();
    this.#timers.sealed();
  }

  /** The transaction with what was sealed has committed. */
  async stored(): Promise<void> {
    for (const { store, writes } of this.#sealed ?? []) {
      const log = this.#changelog.get(store) ?? new Map<string, Write>();
      this.#changelog.set(store, log);
      for (const write of writes) {
        if (write.value === null) log.delete(write.key.toString('latin1'));
        else log.set(write.key.toString('latin1'), write);
      }
    }
    this.#sealed = undefined;
    await this.state.storeSealed(new Map());
  }

  async commit(): Promise<void> {
    if (this.hasSealed) await this.stored();
    this.seal();
    await this.stored();
  }

  async abort(): Promise<void> {
    this.state.discard();
    this.#sealed = undefined;
    await this.#begin();
  }

  /** The process ends and starts again on the same disk. A store in memory is replayed. */
  async crash(): Promise<void> {
    await this.#disk.kill(this.#backend, this.#folder);
    await this.#open();
    if (this.#spec.persistent === false) await this.#replay(this.#spec.name);
    await this.#begin();
  }

  /** Another machine takes over: an empty disk, filled from the changelogs. */
  async move(): Promise<void> {
    await this.#disk.kill(this.#backend, this.#folder);
    this.#folders++;
    await this.#open();
    for (const store of this.#changelog.keys()) await this.#replay(store);
    await this.#begin();
  }

  async #replay(store: string): Promise<void> {
    const writes = [...(this.#changelog.get(store)?.values() ?? [])];
    await this.state.applyChangelog(store, writes, new Map([['changelog/log', String(writes.length)]]));
  }

  /** Rows in the committed store, and in its changelog. */
  async rows(): Promise<{ stored: number; logged: number }> {
    let stored = 0;
    for await (const page of this.state.scanCommitted(this.#spec.name, 1_000)) stored += page.length;
    return { stored, logged: this.#changelog.get(this.#spec.name)?.size ?? 0 };
  }

  async close(): Promise<void> {
    await this.#disk.kill(this.#backend, this.#folder);
  }
}
