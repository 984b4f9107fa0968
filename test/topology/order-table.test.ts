/** The table of the order machine as a whole: nothing missing, nothing unreachable. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { cellOf } from '../../topology/order/decide.ts';
import type { InputType } from '../../topology/order/events.ts';
import { type Phase, phases } from '../../topology/order/state.ts';
import { table } from '../../topology/order/table.ts';
import { topicRecords } from '../../topology/schema-types.ts';
import { timerKinds } from '../../topology/timer-profiles.ts';

const inputTopics = [
  'purchase.events',
  'payment.events',
  'inventory.replies',
  'shipment.events',
  'tracking.updates',
] as const;

describe('the table of the order machine', () => {
  it('has a cell for every phase with every record of its topics and every timer', () => {
    const records = inputTopics.flatMap((topic) => topicRecords[topic].map((name) => name.split('.').at(-1)));
    const inputs = [...records, ...timerKinds.map((kind) => `timer:${kind}`)].sort();
    assert.deepEqual(Object.keys(table).sort(), [...phases].sort());
    for (const phase of phases) assert.deepEqual(Object.keys(table[phase]).sort(), inputs, phase);
  });

  it('parks events only where a later phase has a row for them', () => {
    for (const phase of phases) {
      for (const input of Object.keys(table[phase]) as InputType[]) {
        if (!cellOf(phase, input).parks) continue;
        const later = phases.slice(phases.indexOf(phase) + 1);
        assert.ok(
          later.some((other) => !cellOf(other, input).parks),
          `${phase} x ${input}`,
        );
      }
    }
  });

  it('reaches every phase but BACKORDERED, whose rows come later, from PENDING', () => {
    const reached = new Set<Phase>(['PENDING']);
    for (const phase of reached) {
      for (const cell of Object.values(table[phase])) for (const next of cell.to) reached.add(next);
    }
    assert.deepEqual(
      phases.filter((phase) => !reached.has(phase)),
      ['BACKORDERED'],
    );
  });

  it('leads nowhere from the phases that have ended, and from DELIVERED only to CLOSED', () => {
    const nextOf = (phase: Phase) => [
      ...new Set(Object.values(table[phase]).flatMap((cell) => [...cell.to])),
    ];
    for (const phase of ['CLOSED', 'CANCELLED', 'REJECTED'] as const)
      assert.deepEqual(nextOf(phase), [], phase);
    assert.deepEqual(nextOf('DELIVERED'), ['CLOSED']);
  });
});
