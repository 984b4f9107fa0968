/**
 * Stock answers: rows 6, 7 and 8 (reserved, refused), 11 (no answer), 53 (a grant that came too late) and the
 * releases of row 51. The asking side of the sku-keyed processor in inventory/. Handlers of the table.
 */
import type { StockRejected, StockReleased, StockReserved } from '../schema-types.ts';
import { finishCancelling, releaseLine, startCancelling } from './decide-cancel.ts';
import { ignored } from './decide-default.ts';
import { askForMoney, confirmOrder, isPaid } from './decide-pay.ts';
import type { CommandBase, Work } from './decision.ts';
import type { Firing } from './events.ts';
import { extendReservations, reservedUntil } from './holds.ts';
import { notify } from './notify.ts';
import type { Row } from './row.ts';
import type { LineState } from './state.ts';

/** Row 2: asks for a line's whole quantity. */
export function reserveLine(work: Work, line: LineState): void {
  work.setLine(line.lineId, { stock: 'asked' });
  work.send('ReserveStock', line.lineId, reserveCommand(work, line));
}

function reserveCommand(work: Work, line: LineState) {
  return (base: CommandBase) =>
    ({
      type: 'ReserveStock',
      ...base,
      lineId: line.lineId,
      sku: line.sku,
      quantity: line.ordered,
      locationId: line.locationId,
      expiresAt: reservedUntil(work),
      waitAllowed: false,
    }) as const;
}

/** Rows 6 and 7: the last line held starts the payment, or confirms at once what is paid or free. */
export function stockReserved(work: Work, event: StockReserved): Row {
  const line = work.line(event.lineId);
  if (line === undefined || line.stock !== 'asked') return ignored(work, event);
  work.count('applied');
  work.setLine(line.lineId, { stock: 'held', reserved: Math.min(event.quantity, line.ordered) });
  if (work.state.lines.some((other) => other.reserved < other.ordered)) return '6';
  work.cancel('reserveReply');
  if (isPaid(work)) {
    confirmOrder(work);
    return '7';
  }
  askForMoney(work);
  extendReservations(work, 'ExtendReservation/authorize');
  work.schedule('authReply');
  work.enter('AUTHORIZING');
  return '7';
}

/** Row 8: one refused line refuses the order. */
export function stockRejected(work: Work, event: StockRejected): Row {
  const line = work.line(event.lineId);
  if (line === undefined || line.stock !== 'asked') return ignored(work, event);
  work.count('applied');
  work.setLine(line.lineId, { stock: 'refused' });
  notify(work, 'out_of_stock', '', { sku: line.sku });
  startCancelling(work, { outcome: 'REJECTED', reasonCode: 'out_of_stock', unanswered: 'wait' });
  return '8';
}

/** Row 11: the same question again, less and less often, then a person. */
export function reserveReplyTimer(work: Work, _firing: Firing): Row {
  const silent = work.state.lines.filter((line) => line.stock === 'asked');
  const tries = Math.max(0, ...silent.map((line) => work.attempts('ReserveStock', line.lineId)));
  if (tries >= work.context.policy.maxTries) {
    work.incident('participant_silent', 'inventory', `${silent.length} lines without an answer`);
    return '11';
  }
  for (const line of silent) work.resend('ReserveStock', line.lineId, reserveCommand(work, line));
  const { delayMs } = work.context.profile.timers.reserveReply;
  work.schedule('reserveReply', '', { delayMs: delayMs * 2 ** tries });
  return '11';
}

/** Row 53: a grant for an order that is going or gone is given back at once. */
export function stockReservedTooLate(work: Work, event: StockReserved): Row {
  const line = work.line(event.lineId);
  if (line === undefined) return ignored(work, event);
  work.count('applied');
  if (line.stock === 'asked') {
    work.setLine(line.lineId, { reserved: Math.min(event.quantity, line.ordered) });
    releaseLine(work, line, work.state.reasonCode ?? 'late_grant');
  }
  return '53';
}

/** A refusal for an order that is going or gone: nothing to give back. */
export function stockRejectedTooLate(work: Work, event: StockRejected): Row {
  const line = work.line(event.lineId);
  if (line === undefined) return ignored(work, event);
  work.count('applied');
  if (line.stock === 'asked') work.setLine(line.lineId, { stock: 'refused' });
  return '8';
}

/** Row 51: a line's stock is back. After the end (row 53) it only closes the books. */
export function stockReleased(work: Work, event: StockReleased): Row {
  const line = work.line(event.lineId);
  if (line === undefined) return ignored(work, event);
  work.count('applied');
  work.setLine(line.lineId, { stock: 'released', reserved: 0 });
  work.answered(`release:${line.lineId}`);
  if (work.state.phase !== 'CANCELLING') return '53';
  finishCancelling(work);
  return '51';
}
