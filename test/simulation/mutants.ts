/**
 * Engines with one rule of docs/spec broken on purpose, as patches of the compiled files: production code needs
 * no switches for them. The simulator has to catch each; one that it cannot catch would say that a checker or
 * a fault is missing. A patch whose text is no longer there fails its test: then the mutant is to be rewritten.
 */

import type { FaultKind } from '../../src/testing/index.ts';

export interface Patch {
  /** Below dist/src. */
  readonly file: string;
  /** Must be there exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutant {
  readonly name: string;
  readonly patches: readonly Patch[];
  /** The faults that it takes, where all kinds together would need thousands of seeds to hit on them. */
  readonly kinds?: readonly FaultKind[];
  /** The family of DSL programs that has to catch it. Default: the ledger does. */
  readonly family?: string;
}

const cycle = 'commit/commit-cycle.js';
const sendOffsets = 'await this.#again(deadlineMs, () => producer.sendOffsets(offsets, member));';
const commit = 'await this.#again(deadlineMs, () => producer.commit());';
const storeAll =
  'for (const { task, sealed } of tasks)\n                await storeTask(task, sealed, positions.get(task.id));';
const commitByGuarantee = "if (this.#guarantee === 'exactly_once_v2')\n                await";
const failed = "throw await this.#failed(producer, asStreamsError(error, 'BROKER_REQUEST_FAILED'));";
const proven = 'const positions = await this.#provenPositions(tasks.map(({ task }) => task));';

export const mutants: readonly Mutant[] = [
  {
    name: 'the store is written before the commit',
    patches: [
      { file: cycle, find: storeAll, replace: '' },
      {
        file: cycle,
        find: commitByGuarantee,
        replace: `for (const { task, sealed } of tasks) await storeTask(task, sealed, positions.get(task.id));\n${commitByGuarantee}`,
      },
    ],
  },
  {
    name: 'offsets are committed outside the transaction',
    patches: [
      { file: cycle, find: sendOffsets, replace: '' },
      { file: cycle, find: commit, replace: `${commit} await member.commitOffsets(offsets);` },
    ],
  },
  {
    name: 'a transaction goes without offsets',
    patches: [
      { file: cycle, find: sendOffsets, replace: `if (this.counters.commits % 3 !== 0) ${sendOffsets}` },
    ],
  },
  {
    name: 'a sealed generation is kept after an abort',
    patches: [
      {
        file: cycle,
        find: failed,
        replace: `for (const { task, sealed } of tasks) await storeTask(task, sealed, undefined).catch(() => {}); ${failed}`,
      },
    ],
  },
  {
    name: 'the cache is not evicted when a task is given up',
    patches: [
      {
        file: 'thread/task-restores.js',
        find: 'return new TaskState(await openTaskBackend(plan.taskId), storesOf(plan), settings.cacheEntriesMax);',
        replace: `this.kept ??= new Map();
          const state = new TaskState(await openTaskBackend(plan.taskId), storesOf(plan), settings.cacheEntriesMax, this.kept.get(plan.taskId));
          this.kept.set(plan.taskId, state);
          return state;`,
      },
      {
        file: 'store/task-state.js',
        find: 'constructor(backend, stores, cacheEntriesMax) {',
        replace: 'constructor(backend, stores, cacheEntriesMax, kept) {',
      },
      {
        file: 'store/task-state.js',
        find: 'generations: new Generations(settings.cacheEntriesMax ?? cacheEntriesMax)',
        replace:
          'generations: kept?.generations(name) ?? new Generations(settings.cacheEntriesMax ?? cacheEntriesMax)',
      },
      { file: 'store/generations.js', find: 'this.#cache.clear();', replace: '' },
    ],
  },
  {
    name: 'a stale prefetch wins over a sealed change',
    patches: [
      {
        file: 'store/generations.js',
        find: `return (this.#open.entries.get(key) ??
            this.#sealed?.entries.get(key) ??
            this.#batch.get(key) ??`,
        replace: `return (this.#open.entries.get(key) ??
            this.#batch.get(key) ??
            this.#sealed?.entries.get(key) ??`,
      },
      {
        file: 'store/generations.js',
        find: 'if (this.read(key) !== undefined)\n            return;',
        replace: '',
      },
      {
        file: 'store/generations.js',
        find: 'const entry = this.read(key);',
        replace: 'const entry = this.#open.entries.get(key) ?? this.#batch.get(key);',
      },
    ],
  },
  {
    name: 'a restore ends at the last stable offset',
    patches: [
      {
        file: 'restore/replay-plan.js',
        find: "broker.admin.endOffsets(stores, 'read_uncommitted')",
        replace: "broker.admin.endOffsets(stores, 'read_committed')",
      },
    ],
  },
  {
    name: 'an unknown outcome is taken for committed',
    patches: [
      {
        file: cycle,
        find: commit,
        replace: `await producer.commit().catch((error) => { if (error.code !== 'TRANSACTION_OUTCOME_UNKNOWN') throw error; });`,
      },
    ],
  },
  {
    name: 'a revoked task goes on',
    patches: [
      {
        file: 'thread/ownership.js',
        find: 'await this.close(taskId);',
        replace: "if (event.type !== 'revoked') await this.close(taskId);",
      },
    ],
  },
  {
    name: 'a producer is trusted though its request may have been retried',
    kinds: ['late duplicate', 'crash', 'fence'],
    patches: [{ file: cycle, find: 'this.#producer?.mayHaveRetried() === true', replace: 'false' }],
  },
  {
    name: 'the changelog position is read after the commit',
    kinds: ['pause', 'delay'],
    patches: [
      { file: cycle, find: proven, replace: '' },
      {
        file: cycle,
        find: 'this.counters.commits++;',
        replace: `this.counters.commits++; ${proven}`,
      },
    ],
  },
];
