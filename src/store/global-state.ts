/**
 * The stores that every instance fills whole, in one backend: written by whoever follows the topics, read by
 * all tasks of the instance. A write is seen as soon as it is made, before it is on the disk.
 *
 * Why a load cannot bring back an older value: a key that is being written is in memory from the write on, and
 * a store write ends only after the loads that were under way when it began.
 */
import type { Write } from '../base/backend-port.ts';
import { mapKey } from '../base/bytes.ts';
import type { Generations } from './generations.ts';
import type { LoadRequest, TaskState } from './task-state.ts';

export class GlobalState {
  readonly #state: TaskState;
  readonly #loads = new Set<Promise<void>>();

  /** Takes the state over: it is closed here. */
  constructor(state: TaskState) {
    this.#state = state;
  }

  generations(store: string): Generations {
    return this.#state.generations(store);
  }

  async load(requests: readonly LoadRequest[]): Promise<void> {
    const load = this.#state.load(requests);
    this.#loads.add(load);
    try {
      await load;
    } finally {
      this.#loads.delete(load);
    }
  }

  endRound(): void {
    this.#state.endRound();
  }

  /** To the disk alone, and with it `meta`, in one batch. Order: before anybody reads. */
  fill(store: string, writes: readonly Write[], meta: ReadonlyMap<string, string>): Promise<void> {
    return this.#state.applyChangelog(store, writes, meta);
  }

  /** Seen at once; with `meta` on the disk when it resolves. Order: one at a time. */
  async write(store: string, writes: readonly Write[], meta: ReadonlyMap<string, string>): Promise<void> {
    const generations = this.#state.generations(store);
    for (const { key, value } of writes) generations.write(mapKey(key), value, undefined, key);
    this.#state.seal();
    await Promise.allSettled(this.#loads);
    await this.#state.storeSealed(meta);
  }

  readMeta(names: readonly string[]): Promise<(string | undefined)[]> {
    return this.#state.readMeta(names);
  }

  getCommitted(store: string, key: Buffer): Promise<Buffer | undefined> {
    return this.#state.getCommitted(store, key);
  }

  committedView(store: string): TaskState {
    return this.#state.committedView(store);
  }

  close(): Promise<void> {
    return this.#state.close();
  }
}
