/** Goal: the tables of states in the code and in docs/spec/task-states.md are the same, and are enforced. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'mocha';
import { TaskLifecycles, taskTransitions } from '../../../src/thread/task-lifecycle.ts';
import { ThreadLifecycle, threadTransitions } from '../../../src/thread/thread-lifecycle.ts';

type Table = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The table below a heading, in the shape of the code's. */
function tableBelow(heading: string): Table {
  const text = readFileSync('docs/spec/task-states.md', 'utf8');
  const section = text.slice(text.indexOf(`\n## ${heading}\n`)).split('\n## ')[1] ?? '';
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const [head, , ...states] = rows;
  const table: Record<string, Record<string, string>> = {};
  for (const [state, ...cells] of states) {
    table[state as string] = Object.fromEntries(
      cells.map((cell, index) => [head?.[index + 1] as string, cell === '' ? 'illegal' : cell]),
    );
  }
  return table;
}

/** States that can be reached from the first one. */
function reachable(table: Table, first: string): Set<string> {
  const found = new Set([first]);
  for (const state of found) {
    for (const next of Object.values(table[state] ?? {})) if (next !== 'illegal') found.add(next);
  }
  return found;
}

describe('the states', () => {
  it('of a task are those of the document', () => {
    assert.deepEqual(tableBelow('A task in one instance'), taskTransitions);
  });

  it('of the thread are those of the document', () => {
    assert.deepEqual(tableBelow('The thread'), threadTransitions);
  });

  it('can all be reached, and every one but the last can be left', () => {
    for (const [table, first, last] of [
      [taskTransitions, 'CREATED', 'CLOSED'],
      [threadTransitions, 'CREATED', 'DEAD'],
    ] as [Table, string, string][]) {
      assert.deepEqual([...reachable(table, first)].sort(), Object.keys(table).sort());
      for (const state of Object.keys(table))
        assert.ok(reachable(table, state).has(last), `${state} can end`);
    }
  });

  it('refuse a step out of order', () => {
    const tasks = new TaskLifecycles();
    tasks.create('0_0');
    tasks.move('0_0', 'restore');
    assert.throws(() => tasks.move('0_0', 'restore'), { code: 'INVARIANT_BROKEN' });
    assert.throws(() => tasks.create('0_0'), { code: 'INVARIANT_BROKEN' });
    assert.throws(() => tasks.move('0_1', 'close'), { code: 'INVARIANT_BROKEN' }, 'it never was here');
    tasks.move('0_0', 'close');
    assert.equal(tasks.stateOf('0_0'), 'CLOSED');
    tasks.create('0_0');
    const thread = new ThreadLifecycle();
    assert.throws(() => thread.move('settled'), { code: 'INVARIANT_BROKEN' });
    assert.equal(thread.state, 'CREATED');
  });
});
