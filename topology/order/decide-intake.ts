/**
 * The purchase: rows 2 (start), 3 (cancelled before it came), 4 (cannot be right) and 56 (it came again).
 * Handlers of the table; see table.ts. The inbox is replayed by decide.ts after the phase has changed.
 */
import type { OrderPlaced } from '../schema-types.ts';
import { stableId } from './command-id.ts';
import { isWholeCancel } from './decide-cancel.ts';
import { reserveLine } from './decide-reserve.ts';
import type { Work } from './decision.ts';
import { notify } from './notify.ts';
import type { Row } from './row.ts';
import { type LineState, newPayment } from './state.ts';

/** Policies PARTIAL and WAIT are treated as ALL_OR_NOTHING until rows 9, 10 and 13 to 15 are built. */
export function placeOrder(work: Work, event: OrderPlaced): Row {
  work.count('applied');
  takeOver(work, event);
  work.cancel('inboxOrphan');
  const fault = faultOf(event);
  if (fault !== undefined) {
    work.state.reasonCode = fault;
    cancelLines(work);
    work.enter('REJECTED');
    notify(work, 'order_rejected', '', { reason: fault });
    return '4';
  }
  const cancel = work.state.inbox.find(
    (other) => other.type === 'OrderCancelRequested' && isWholeCancel(work, other),
  );
  if (cancel?.type === 'OrderCancelRequested') {
    work.state.inbox = work.state.inbox.filter((other) => other !== cancel);
    work.count('applied');
    work.state.reasonCode = cancel.reasonCode;
    cancelLines(work);
    work.enter('CANCELLED');
    notify(work, 'order_cancelled', '', { reason: cancel.reasonCode });
    return '3';
  }
  work.enter('RESERVING');
  for (const line of work.state.lines) reserveLine(work, line);
  notify(work, 'order_received');
  work.schedule('reserveReply');
  return '2';
}

/** Row 56: the same purchase with another event id is a duplicate; another purchase under this id is a conflict. */
export function placeAgain(work: Work, event: OrderPlaced): Row {
  if (contentHash(event) === work.state.placedHash) {
    work.count('duplicates');
    return '56';
  }
  work.count('unexpected');
  work.deadLetter('conflicting_duplicate', event);
  return '56';
}

function takeOver(work: Work, event: OrderPlaced): void {
  const { state } = work;
  state.tenantId = event.tenantId;
  state.customerId = event.customerId;
  state.currencyCode = event.currencyCode;
  state.placedAt = event.placedAt;
  state.promisedAt = event.promisedAt;
  state.totalMinor = event.totalMinor;
  state.shippingMinor = event.shippingMinor;
  state.adjustmentMinor = event.adjustmentMinor;
  state.placedHash = contentHash(event);
  state.lines = event.lines.map(
    (line): LineState => ({
      lineId: line.lineId,
      sku: line.sku,
      sellerId: line.sellerId,
      locationId: line.locationId,
      unitPriceMinor: line.unitPriceMinor,
      shipByAt: line.shipByAt,
      stock: 'none',
      ordered: Math.max(0, line.quantity),
      reserved: 0,
      backordered: 0,
      shipped: 0,
      delivered: 0,
      cancelled: 0,
      returned: 0,
      lost: 0,
    }),
  );
  const payments =
    event.payments.length > 0
      ? event.payments
      : [{ paymentId: `${event.orderId}:main`, method: '', amountMinor: event.totalMinor }];
  state.payments = payments.map((payment) =>
    newPayment(payment.paymentId, payment.method, payment.amountMinor),
  );
}

function cancelLines(work: Work): void {
  work.state.lines = work.state.lines.map((line) => ({ ...line, cancelled: line.ordered }));
}

/** Why a purchase cannot be right; undefined when it can. */
function faultOf(event: OrderPlaced): string | undefined {
  if (event.lines.length === 0) return 'no_lines';
  if (event.lines.some((line) => line.quantity <= 0)) return 'wrong_quantity';
  if (event.lines.some((line) => line.unitPriceMinor < 0)) return 'wrong_price';
  if (repeats(event.lines.map((line) => line.lineId))) return 'repeated_line';
  if (repeats(event.payments.map((payment) => payment.paymentId))) return 'repeated_payment';
  const linesMinor = event.lines.reduce((sum, line) => sum + line.quantity * line.unitPriceMinor, 0);
  const total = linesMinor + event.shippingMinor + event.adjustmentMinor;
  if (total !== event.totalMinor || event.totalMinor < 0) return 'wrong_total';
  const paid = event.payments.reduce((sum, payment) => sum + payment.amountMinor, 0);
  if (event.payments.some((payment) => payment.amountMinor < 0)) return 'wrong_payments';
  if (event.payments.length > 0 && paid !== event.totalMinor) return 'wrong_payments';
  return undefined;
}

function repeats(ids: readonly string[]): boolean {
  return new Set(ids).size !== ids.length;
}

/** Of what was bought, not of the record that told it: without event id, time and number. */
function contentHash(event: OrderPlaced): string {
  const lines = event.lines.map((line) => [
    line.lineId,
    line.sku,
    line.quantity,
    line.unitPriceMinor,
    line.sellerId,
    line.locationId,
    line.shipByAt,
  ]);
  const payments = event.payments.map((payment) => [payment.paymentId, payment.method, payment.amountMinor]);
  const amounts = [event.totalMinor, event.shippingMinor, event.adjustmentMinor, event.currencyCode];
  const rest = [event.tenantId, event.customerId, event.policy, event.placedAt, event.promisedAt];
  return stableId([JSON.stringify([amounts, rest, lines, payments])]);
}
