/** Goal: the table of the transaction is what its page says, and nothing goes past it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { seededRandom } from '../../../src/base/seeded-random.ts';
import {
  type TransactionEvent,
  TransactionMachine,
  type TransactionState,
  transactionTable,
} from '../../../src/commit/transaction-states.ts';

const states = Object.keys(transactionTable) as TransactionState[];
const events = Object.keys(transactionTable.NONE) as TransactionEvent[];

/** The page's tables by their first column. Shape: rows of cells, without the backticks. */
function tables(): string[][][] {
  const page = readFileSync('docs/spec/transaction-states.md', 'utf8');
  return page.split(/\n\n/).flatMap((block) => {
    if (!block.startsWith('| ')) return [];
    const rows = block.split('\n').map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    );
    return [rows];
  });
}

function tableOf(name: string): string[][] {
  return tables().find((rows) => rows[0]?.[0] === name) ?? [];
}

describe('docs/spec/transaction-states.md', () => {
  it('has the table of the code, cell by cell', () => {
    const [head = [], , ...rows] = tableOf('state / event');
    assert.deepEqual(head.slice(1), events);
    const documented = rows.map(([state, ...cells]) => [state, cells]);
    const coded = states.map((state) => [
      state,
      events.map((event) => {
        const next = transactionTable[state][event];
        return next === 'illegal' ? '' : next;
      }),
    ]);
    assert.deepEqual(documented, coded);
  });

  it('explains every state and every event', () => {
    const explained = (name: string): (string | undefined)[] => tableOf(name).map(([first]) => first);
    assert.deepEqual(explained('state').slice(2), states);
    assert.deepEqual(explained('event').slice(2), events);
  });
});

describe('the transaction of a commit cycle', () => {
  it('refuses every event that its table has no cell for, and stays where it is', () => {
    const random = seededRandom(3);
    let refused = 0;
    const machine = new TransactionMachine();
    for (let i = 0; i < 5_000; i++) {
      const event = events[random.integer(events.length)] as TransactionEvent;
      const before = machine.state;
      const next = transactionTable[before][event];
      if (next === 'illegal') {
        refused++;
        assert.throws(
          () => machine.apply(event),
          (error) => error instanceof StreamsError && error.code === 'INVARIANT_BROKEN',
        );
        assert.equal(machine.state, before);
      } else {
        machine.apply(event);
        assert.equal(machine.state, next);
      }
    }
    assert.ok(refused > 1_000);
  });

  it('is dropped from every state, and leads from every state to a new producer', () => {
    for (const state of states) assert.equal(transactionTable[state].dropped, 'NONE');
  });

  it('is believed to be committed only by the answer to a commit', () => {
    for (const state of states) {
      for (const event of events) {
        if (transactionTable[state][event] !== 'COMMITTED') continue;
        assert.deepEqual([state, event], ['COMMITTING', 'committed']);
      }
    }
  });

  it('begins again only when the stores have the one before', () => {
    const before = states.filter((state) => transactionTable[state].begun !== 'illegal');
    assert.deepEqual(before, ['IDLE']);
    const toIdle = states.flatMap((state) =>
      events.filter((event) => transactionTable[state][event] === 'IDLE').map((event) => [state, event]),
    );
    assert.deepEqual(toIdle, [
      ['INITIALISING', 'initialised'],
      ['COMMITTED', 'settled'],
    ]);
  });
});
