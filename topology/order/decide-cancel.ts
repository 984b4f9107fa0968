/**
 * The way back: rows 12, 27 and 32 (a cancel asked for), 44 (too late), the compensations that rows 8, 19 and 22
 * start as well, and row 51, where all of them are answered. Handlers of the table.
 */
import type { OrderCancelRequested, ShipmentCancelled } from '../schema-types.ts';
import { alarmed, ignored } from './decide-default.ts';
import type { CommandBase, Work } from './decision.ts';
import { refundableMinor, voidableMinor } from './money.ts';
import { notify } from './notify.ts';
import type { Row } from './row.ts';
import { isDispatched, type LineState, undispatchedQuantity } from './state.ts';

/** `unanswered`: what becomes of questions without an answer: `undo` them now, or `wait` for a late grant (row 53). */
export interface Cancelling {
  readonly outcome: 'CANCELLED' | 'REJECTED';
  readonly reasonCode: string;
  readonly unanswered: 'undo' | 'wait';
}

/** Names every open line, or none (the whole order). Cancelling some lines comes with rows 9 and 15. */
export function isWholeCancel(work: Work, event: OrderCancelRequested): boolean {
  const { lineIds } = event;
  return lineIds === null || work.state.lines.every((line) => lineIds.includes(line.lineId));
}

/** Undoes everything that nothing was shipped of, and ends at once when there is nothing to undo. */
export function startCancelling(work: Work, how: Cancelling): void {
  stopWaiting(work);
  work.state.reasonCode = how.reasonCode;
  work.state.outcome = how.outcome;
  work.enter('CANCELLING');
  for (const line of work.state.lines) {
    if (line.stock === 'held' || (line.stock === 'asked' && how.unanswered === 'undo')) {
      releaseLine(work, line, how.reasonCode);
    }
  }
  settlePayments(work, how.reasonCode);
  finishCancelling(work);
}

function stopWaiting(work: Work): void {
  for (const kind of ['reserveReply', 'authReply', 'paymentDue', 'payRetry', 'graceRelease'] as const) {
    work.cancel(kind);
  }
}

/** Gives a line's stock back, once. */
export function releaseLine(work: Work, line: LineState, reasonCode: string): void {
  const quantity = line.stock === 'asked' ? line.ordered : line.reserved;
  work.setLine(line.lineId, { stock: 'releasing' });
  if (work.state.phase === 'CANCELLING') work.await(`release:${line.lineId}`);
  work.send('ReleaseStock', line.lineId, (base) => ({
    type: 'ReleaseStock',
    ...base,
    lineId: line.lineId,
    sku: line.sku,
    quantity,
    locationId: line.locationId,
    reasonCode,
  }));
}

/** Voids what is authorised or asked for, refunds what was taken, beyond what shipped parcels have earned. */
export function settlePayments(work: Work, reasonCode: string): void {
  for (const { paymentId } of work.state.payments) {
    voidRest(work, paymentId, reasonCode);
    refundRest(work, paymentId, reasonCode);
  }
}

function voidRest(work: Work, paymentId: string, reasonCode: string): void {
  const payment = work.payment(paymentId);
  if (payment === undefined) return;
  const amountMinor = voidableMinor(payment);
  if (amountMinor <= 0) return;
  const generation = work.state.generation + payment.voids;
  work.setPayment(paymentId, {
    voids: payment.voids + 1,
    voidRequestedMinor: payment.voidRequestedMinor + amountMinor,
  });
  if (work.state.phase === 'CANCELLING') work.await(`void:${paymentId}`);
  const build = (base: CommandBase) =>
    ({
      type: 'VoidAuthorization',
      ...base,
      paymentId,
      pspReference: payment.pspReference,
      amountMinor,
      currencyCode: work.state.currencyCode ?? '',
      reasonCode,
    }) as const;
  work.send('VoidAuthorization', paymentId, build, generation);
}

function refundRest(work: Work, paymentId: string, reasonCode: string): void {
  const payment = work.payment(paymentId);
  if (payment === undefined) return;
  const amountMinor = refundableMinor(payment);
  if (amountMinor <= 0) return;
  const generation = work.state.generation + payment.refunds;
  work.setPayment(paymentId, {
    refunds: payment.refunds + 1,
    refundRequestedMinor: payment.refundRequestedMinor + amountMinor,
  });
  if (work.state.phase === 'CANCELLING') work.await(`refund:${paymentId}`);
  const build = (base: CommandBase) =>
    ({
      type: 'RefundPayment',
      ...base,
      paymentId,
      pspReference: payment.pspReference,
      amountMinor,
      currencyCode: work.state.currencyCode ?? '',
      reasonCode,
    }) as const;
  work.send('RefundPayment', paymentId, build, generation);
}

/** Row 12: before the money was asked for. Releases unanswered lines too: the stock processor remembers it. */
export function cancelReserving(work: Work, event: OrderCancelRequested): Row {
  return cancelUnshipped(work, event, '12');
}

/** Row 27. */
export function cancelPaying(work: Work, event: OrderCancelRequested): Row {
  return cancelUnshipped(work, event, '27');
}

function cancelUnshipped(work: Work, event: OrderCancelRequested, row: Row): Row {
  if (!isWholeCancel(work, event)) return partialCancel(work, event);
  work.count('applied');
  if (row === '27') notify(work, 'cancel_accepted');
  startCancelling(work, { outcome: 'CANCELLED', reasonCode: event.reasonCode, unanswered: 'undo' });
  return row;
}

/** Row 32: what has not left is called back; stock and money follow each answer, in case a parcel leaves after all. */
export function cancelFulfilling(work: Work, event: OrderCancelRequested): Row {
  if (!isWholeCancel(work, event)) return partialCancel(work, event);
  work.count('applied');
  notify(work, 'cancel_accepted');
  work.state.reasonCode = event.reasonCode;
  work.state.outcome = 'CANCELLED';
  work.enter('CANCELLING');
  for (const shipment of work.state.shipments) {
    if (isDispatched(shipment) || shipment.status === 'CANCELLED') continue;
    const { shipmentId } = shipment;
    work.cancel('accept', shipmentId);
    work.cancel('shipBy', shipmentId);
    work.await(`cancel:${shipmentId}`);
    work.send('CancelShipment', shipmentId, (base) => ({
      type: 'CancelShipment',
      ...base,
      shipmentId,
      reasonCode: event.reasonCode,
    }));
  }
  finishCancelling(work);
  return '32';
}

/** Some lines only: no row yet, so a person decides. */
function partialCancel(work: Work, event: OrderCancelRequested): Row {
  work.count('unexpected');
  work.incident('partial_cancel', event.eventId, `lines ${event.lineIds?.join(', ') ?? ''}`);
  return 'default';
}

/** Row 44: everything has left. */
export function cancelTooLate(work: Work, event: OrderCancelRequested): Row {
  work.count('applied');
  notify(work, 'cancel_too_late', '', { reason: event.reasonCode });
  return '44';
}

/** Row 51 for a parcel: its goods go back to the shelf, and after the last one the rest of the money. */
export function shipmentCancelled(work: Work, event: ShipmentCancelled): Row {
  const shipment = work.shipment(event.shipmentId);
  if (shipment === undefined || isDispatched(shipment)) return alarmed(work, event);
  if (shipment.status === 'CANCELLED') return ignored(work, event);
  work.count('applied');
  work.setShipment(shipment.shipmentId, { status: 'CANCELLED' });
  work.answered(`cancel:${shipment.shipmentId}`);
  for (const { lineId } of shipment.lines) {
    const line = work.line(lineId);
    if (line?.stock === 'held' && line.reserved > 0)
      releaseLine(work, line, work.state.reasonCode ?? 'cancelled');
  }
  finishCancelling(work);
  return '51';
}

/** A parcel that was called back has not been heard of: it may leave all the same (row 33). */
export function awaitsParcels(work: Work): boolean {
  return work.state.awaiting.some((key) => key.startsWith('cancel:'));
}

/** Row 51 and the rule `end`: every compensation is answered; what has left goes on, the rest is cancelled. */
export function finishCancelling(work: Work): void {
  if (work.state.phase !== 'CANCELLING') return;
  if (awaitsParcels(work)) return;
  settlePayments(work, work.state.reasonCode ?? 'cancelled');
  if (work.state.awaiting.length > 0) return;
  for (const line of work.state.lines) {
    const rest = undispatchedQuantity(line);
    if (rest > 0) work.setLine(line.lineId, { cancelled: line.cancelled + rest });
  }
  const { lines, outcome, reasonCode } = work.state;
  // Row 33: where every parcel had left, nothing was cancelled, and nobody is told that it was.
  const goesOn = lines.length > 0 && lines.every((line) => line.cancelled === 0);
  if (!goesOn) notify(work, 'order_cancelled', '', { reason: reasonCode ?? '' });
  if (lines.every((line) => line.shipped === 0)) work.enter(outcome ?? 'CANCELLED');
  else if (lines.some((line) => line.shipped > line.delivered + line.lost)) work.enter('SHIPPED');
  else {
    work.enter('DELIVERED');
    if (!work.hasTimer('returnWindow')) work.schedule('returnWindow');
  }
}
