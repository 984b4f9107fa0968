/** One spec or more per row of the order machine: given these events, when that comes, then phase, commands, timers. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { table } from '../../topology/order/table.ts';
import { OrderSpec, summaryOf } from './support/order-events.ts';
import { endingSpecs } from './support/row-specs-ending.ts';
import { movingSpecs } from './support/row-specs-moving.ts';
import { openSpecs } from './support/row-specs-open.ts';

const specs = [...openSpecs, ...movingSpecs, ...endingSpecs];

describe('the rows of the order machine', () => {
  for (const spec of specs) {
    it(`row ${spec.row}: ${spec.name}`, () => {
      const order = new OrderSpec();
      const given = spec.given();
      if (given.length > 0) order.apply(...given);
      const { commands = [], timers = [], incidents = [], deadLetters = [] } = spec;
      const expected = { row: spec.row, phase: spec.phase, commands, timers, incidents, deadLetters };
      assert.deepEqual(summaryOf(order.apply(spec.when())), expected);
    });
  }

  it('has a spec for every row that the table names', () => {
    const rows = new Set(
      Object.values(table).flatMap((cells) => Object.values(cells).flatMap((cell) => cell.rows)),
    );
    const specified = new Set<string>([...specs.map(({ row }) => row), 'dup']);
    assert.deepEqual(
      [...rows].filter((row) => !specified.has(row)),
      [],
    );
  });
});
