/** Holds handlers to what their cells promise: the row that was taken and the phase that was reached. */
import assert from 'node:assert/strict';
import { cellOf } from '../../../topology/order/decide.ts';
import type { Decision } from '../../../topology/order/decision.ts';
import type { InputType } from '../../../topology/order/events.ts';
import type { Phase } from '../../../topology/order/state.ts';

/** Every timeline entry names a row of its cell, and a phase that the cell may lead to. */
export function checkAgainstTable(decision: Decision): void {
  for (const { kind, name, row, phaseBefore, phaseAfter } of decision.timeline) {
    if (row === 'dup' || row === 'stale') continue;
    const input = kind === 'timer' ? `timer:${name.split(':')[0]}` : name;
    const cell = cellOf(phaseBefore as Phase, input as InputType);
    const where = `${phaseBefore} x ${input}`;
    assert.ok((cell.rows as readonly string[]).includes(row), `${where} took row ${row}`);
    const reachable: readonly string[] = [phaseBefore, ...cell.to];
    assert.ok(reachable.includes(phaseAfter), `${where} led to ${phaseAfter}`);
  }
}
