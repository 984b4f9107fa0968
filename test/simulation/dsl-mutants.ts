/**
 * Operators of the DSL with their durable state broken on purpose (see mutants.ts for how). Undisturbed, most of these
 * engines give what the right one gives: only a restart, a move or an abort shows what they have kept in memory.
 */
import type { Mutant } from './mutants.ts';

const operators = 'dsl/operators';

export const dslMutants: readonly (Mutant & { readonly family: string })[] = [
  {
    name: "a windowed aggregate's clock is kept in a field",
    family: 'windows',
    patches: [
      {
        file: `${operators}/window-clock.js`,
        find: "row === undefined || row === null || row === 'there' ? freshClock : row",
        replace: 'this.kept ?? freshClock',
      },
      {
        file: `${operators}/window-clock.js`,
        find: 'if (this.#clock !== this.#before)\n',
        replace: 'this.kept = this.#clock;\nif (this.#clock !== this.#before)\n',
      },
    ],
  },
  {
    name: "suppression's clock is kept in a field",
    family: 'suppress',
    patches: [
      {
        file: `${operators}/suppress-buffer.js`,
        find: "const clock = row?.kind === 'clock' ? row.clock : freshClock;",
        replace: 'const clock = this.kept ?? freshClock;',
      },
      {
        file: `${operators}/suppress-buffer.js`,
        find: "this.#store.put(new BufferKey(), { kind: 'clock', clock: this.#clock });",
        replace:
          "this.kept = this.#clock; this.#store.put(new BufferKey(), { kind: 'clock', clock: this.#clock });",
      },
    ],
  },
  {
    name: "suppression's buffer has no changelog",
    family: 'suppress',
    patches: [
      {
        file: 'dsl/suppress-table.js',
        find: '...storeSettings(suppressed),',
        replace: '...storeSettings(suppressed), changelog: false,',
      },
    ],
  },
  {
    name: 'a join forgets at a restart which records have no partner yet',
    family: 'stream joins',
    patches: [
      {
        file: `${operators}/join-state.js`,
        find: "return row?.kind === 'clock' ? row.clock : freshClock;",
        replace: `const forgets = this.begun !== true;
          this.begun = true;
          if (row?.kind !== 'clock') return freshClock;
          return forgets ? { ...row.clock, pendingMs: [] } : row.clock;`,
      },
    ],
  },
  {
    name: 'a strict join forgets at a restart that its idle timer is set, and since when',
    family: 'strict joins',
    patches: [
      {
        file: `${operators}/join-state.js`,
        find: "return row?.kind === 'idle' ? row.idle : { arrivals: 0, watched: -1, sinceMs: -1 };",
        replace: `const forgets = this.looked !== true;
          this.looked = true;
          if (row?.kind !== 'idle') return { arrivals: 0, watched: -1, sinceMs: -1 };
          return forgets ? { ...row.idle, watched: row.idle.arrivals, sinceMs: 0 } : row.idle;`,
      },
    ],
  },
  {
    name: 'the grace buffer of a stream-table join has no changelog',
    family: 'stream-table joins',
    patches: [{ file: 'dsl/join-stream-table.js', find: 'changelog: true', replace: 'changelog: false' }],
  },
  {
    name: "a versioned table's clock is kept in a field",
    family: 'stream-table joins',
    patches: [
      {
        file: 'task/versioned-store.js',
        find: 'const { bytes } = this.#read(clockKey);',
        replace: 'const bytes = this.kept ?? null;',
      },
      {
        file: 'task/versioned-store.js',
        find: 'this.#write(clockKey, Buffer.concat([',
        replace:
          'this.kept = Buffer.concat([sortableInteger(observedMs), sortableInteger(expiredMs)]); this.#write(clockKey, Buffer.concat([',
      },
    ],
  },
  {
    name: 'the subscriptions of a foreign-key join have no changelog',
    family: 'foreign keys',
    patches: [
      {
        file: 'dsl/join-foreign-key.js',
        find: 'valueSerde: subscriptions,\n        changelog: true',
        replace: 'valueSerde: subscriptions,\n        changelog: false',
      },
    ],
  },
  {
    name: 'the questions of a foreign-key join have no changelog',
    family: 'foreign keys',
    patches: [
      {
        file: 'dsl/join-foreign-key.js',
        find: 'valueSerde: askedSerde,\n            changelog: true',
        replace: 'valueSerde: askedSerde,\n            changelog: false',
      },
    ],
  },
  {
    name: 'tasks run before the global tables are filled',
    family: 'globals',
    patches: [
      { file: 'thread/global-tables.js', find: 'while (!replica.isFilled(', replace: 'while (false && !(' },
    ],
  },
  {
    name: 'an async result is applied twice after a restart',
    family: 'async steps',
    patches: [
      {
        file: 'thread/running-tasks.js',
        find: 'offset: offsetOf.get(input.topic) ?? 0',
        replace: 'offset: Math.max(0, (offsetOf.get(input.topic) ?? 0) - (task.hasAsyncSteps ? 1 : 0))',
      },
    ],
  },
  {
    name: 'records whose calls are under way count as processed',
    family: 'async steps',
    patches: [
      {
        file: 'task/stream-task.js',
        find: 'return this.#inputs.nextOffset(input, position);',
        replace: 'return this.hasAsyncSteps ? position(input) : this.#inputs.nextOffset(input, position);',
      },
    ],
  },
];
