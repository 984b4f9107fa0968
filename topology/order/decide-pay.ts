/**
 * Money: rows 12a (paid early), 16 to 20 and 22 (waiting for it), 54 (it came too late), the answers to captures
 * (row 30) and to compensations (row 51). Sums and shares are in money.ts. Handlers of the table.
 */
import type {
  PaymentActionRequired,
  PaymentAuthorized,
  PaymentCaptured,
  PaymentDeclined,
  PaymentVoided,
  RefundSettled,
} from '../schema-types.ts';
import { awaitsParcels, finishCancelling, settlePayments, startCancelling } from './decide-cancel.ts';
import { alarmed, ignored } from './decide-default.ts';
import type { CommandBase, Work } from './decision.ts';
import type { Firing } from './events.ts';
import { extendReservations } from './holds.ts';
import { paidMinor } from './money.ts';
import { notify } from './notify.ts';
import type { Row } from './row.ts';
import { newPayment, type PaymentState } from './state.ts';

/** The sum vouched for covers the total. */
export function isPaid(work: Work): boolean {
  return paidMinor(work.state) >= work.state.totalMinor;
}

/** Row 7: asks for every payment that is not there yet. */
export function askForMoney(work: Work): void {
  for (const payment of work.state.payments) {
    if (payment.authorizedMinor < payment.amountMinor) authorize(work, payment);
  }
}

function authorize(work: Work, payment: PaymentState): void {
  work.setPayment(payment.paymentId, { asked: true, answered: false, declined: false });
  const build = (base: CommandBase) =>
    ({
      type: 'AuthorizePayment',
      ...base,
      paymentId: payment.paymentId,
      method: payment.method,
      amountMinor: payment.amountMinor,
      currencyCode: work.state.currencyCode ?? '',
      dueAt: null,
    }) as const;
  work.send('AuthorizePayment', payment.paymentId, build, work.state.generation + payment.asks);
}

/** Rows 7, 16: paid. The stock is the order's for good; a short grace for the customer's second thoughts. */
export function confirmOrder(work: Work): void {
  work.cancel('authReply');
  work.cancel('paymentDue');
  work.cancel('payRetry');
  for (const line of work.state.lines) {
    work.send('CommitReservation', line.lineId, (base) => ({
      type: 'CommitReservation',
      ...base,
      lineId: line.lineId,
      sku: line.sku,
      quantity: line.reserved,
      locationId: line.locationId,
    }));
  }
  notify(work, 'order_confirmed');
  work.schedule('graceRelease');
  work.enter('CONFIRMED');
}

/** Books what the provider vouches for. False: it says nothing new. */
function book(work: Work, event: PaymentAuthorized | PaymentCaptured): boolean {
  let payment = work.payment(event.paymentId);
  if (payment === undefined) {
    payment = newPayment(event.paymentId, '', event.amountMinor);
    work.state.payments = [...work.state.payments, payment];
  }
  const captures = event.type === 'PaymentCaptured';
  const capturedMinor = payment.capturedMinor + (captures ? event.amountMinor : 0);
  const authorizedMinor = Math.max(payment.authorizedMinor, captures ? capturedMinor : event.amountMinor);
  const fresh = captures || authorizedMinor > payment.authorizedMinor;
  const awaited = payment.captureRequestedMinor - (payment.capturedMinor - payment.prepaidMinor);
  work.setPayment(payment.paymentId, {
    answered: true,
    declined: false,
    pspReference: event.pspReference ?? payment.pspReference,
    capturedMinor,
    authorizedMinor,
    prepaidMinor: payment.prepaidMinor + (captures ? Math.max(0, event.amountMinor - awaited) : 0),
  });
  work.count(fresh ? 'applied' : 'stale');
  return fresh;
}

/** Row 12a: paid before the stock was there. */
export function paidEarly(work: Work, event: PaymentAuthorized | PaymentCaptured): Row {
  return book(work, event) ? '12a' : 'stale';
}

/** Rows 16 and 17. */
export function paid(work: Work, event: PaymentAuthorized | PaymentCaptured): Row {
  if (!book(work, event)) return 'stale';
  work.cancel('payRetry', event.paymentId);
  if (!isPaid(work)) return '17';
  confirmOrder(work);
  return '16';
}

/** Row 18: the customer has to do something; the stock is held meanwhile. */
export function actionRequired(work: Work, event: PaymentActionRequired): Row {
  const payment = work.payment(event.paymentId);
  if (payment === undefined) return ignored(work, event);
  if (payment.authorizedMinor >= payment.amountMinor) {
    work.count('stale');
    return 'stale';
  }
  work.count('applied');
  work.setPayment(payment.paymentId, {
    answered: true,
    pspReference: event.pspReference ?? payment.pspReference,
  });
  extendReservations(work, `ExtendReservation/action/${payment.paymentId}`);
  notify(work, 'payment_action', payment.paymentId, { kind: event.kind });
  if (event.dueAt !== null) work.schedule('paymentDue', payment.paymentId, { atMs: event.dueAt, delayMs: 0 });
  else if (event.kind.toLowerCase().includes('3d')) work.schedule('paymentDue', payment.paymentId);
  else work.schedule('paymentDue', payment.paymentId, { delayMs: work.context.profile.slowPaymentDueMs });
  return '18';
}

/** Row 19: another try later, or no more. */
export function declined(work: Work, event: PaymentDeclined): Row {
  const payment = work.payment(event.paymentId);
  if (payment === undefined) return ignored(work, event);
  if (payment.authorizedMinor >= payment.amountMinor || payment.declined) {
    work.count('stale');
    return 'stale';
  }
  work.count('applied');
  const declines = payment.declines + 1;
  work.setPayment(payment.paymentId, { asked: false, answered: true, declined: true, declines });
  notify(work, 'payment_failed', `${payment.paymentId}/${declines}`, { reason: event.reasonCode });
  if (declines < work.context.policy.maxTries) work.schedule('payRetry', payment.paymentId);
  else startCancelling(work, { outcome: 'REJECTED', reasonCode: 'payment_declined', unanswered: 'undo' });
  return '19';
}

/** Row 19: a new question, not a retry, because the old one was answered. */
export function payRetryTimer(work: Work, firing: Firing): Row {
  const payment = work.payment(firing.subject);
  if (payment === undefined || !payment.declined) return 'stale';
  work.setPayment(payment.paymentId, { asks: payment.asks + 1 });
  authorize(work, { ...payment, asks: payment.asks + 1 });
  if (!work.hasTimer('authReply')) work.schedule('authReply');
  return '19';
}

/** Row 20: ask what became of it, never charge blindly a second time; then a person. */
export function authReplyTimer(work: Work, _firing: Firing): Row {
  const silent = work.state.payments.filter((payment) => payment.asked && !payment.answered);
  if (silent.length === 0) return '20';
  const known = silent.filter((payment) => queries(work, payment) > 0);
  for (const payment of known) {
    work.incident('participant_silent', `payment/${payment.paymentId}`, 'no answer to a query');
  }
  for (const payment of silent) {
    if (queries(work, payment) > 0) continue;
    work.send(
      'QueryPayment',
      payment.paymentId,
      (base) => ({
        type: 'QueryPayment',
        ...base,
        paymentId: payment.paymentId,
        amountMinor: payment.amountMinor,
        currencyCode: work.state.currencyCode ?? '',
      }),
      work.state.generation + payment.asks,
    );
  }
  if (known.length < silent.length) work.schedule('authReply');
  return '20';
}

function queries(work: Work, payment: PaymentState): number {
  return work.attempts('QueryPayment', payment.paymentId, work.state.generation + payment.asks);
}

/** Row 22: the customer did not pay in time. */
export function paymentDueTimer(work: Work, firing: Firing): Row {
  const payment = work.payment(firing.subject);
  if (payment !== undefined && payment.authorizedMinor >= payment.amountMinor) return 'stale';
  notify(work, 'payment_expired');
  startCancelling(work, { outcome: 'REJECTED', reasonCode: 'payment_expired', unanswered: 'undo' });
  return '22';
}

/** Row 54: money for an order that is going or gone is given back; at once, unless a parcel may still leave for it. */
export function paidTooLate(work: Work, event: PaymentAuthorized | PaymentCaptured): Row {
  const fresh = book(work, event);
  if (!awaitsParcels(work)) settlePayments(work, work.state.reasonCode ?? 'late_payment');
  return fresh ? '54' : 'stale';
}

/** The answer to row 30's CapturePayment; money that nobody asked for is for a person. */
export function captured(work: Work, event: PaymentCaptured): Row {
  const payment = work.payment(event.paymentId);
  if (payment === undefined) return alarmed(work, event);
  const mostMinor = Math.max(payment.authorizedMinor, payment.amountMinor);
  if (payment.capturedMinor + event.amountMinor > mostMinor) return alarmed(work, event);
  book(work, event);
  return '30';
}

/** An authorisation that is known already says nothing new; one beyond the total is for a person. */
export function paidAgain(work: Work, event: PaymentAuthorized): Row {
  const payment = work.payment(event.paymentId);
  if (payment === undefined || event.amountMinor > payment.authorizedMinor) return alarmed(work, event);
  work.count('stale');
  return 'stale';
}

/** A late word on a payment that is through. */
export function paymentNewsTooLate(work: Work, event: PaymentActionRequired | PaymentDeclined): Row {
  const payment = work.payment(event.paymentId);
  if (payment === undefined) return ignored(work, event);
  work.count('stale');
  return 'stale';
}

/** Row 51, and after the end row 54. */
export function voided(work: Work, event: PaymentVoided): Row {
  const payment = work.payment(event.paymentId);
  if (payment === undefined || payment.voidRequestedMinor === 0) return alarmed(work, event);
  work.count('applied');
  work.setPayment(payment.paymentId, {
    answered: true,
    voidedMinor: Math.min(payment.voidRequestedMinor, payment.voidedMinor + event.amountMinor),
  });
  work.answered(`void:${payment.paymentId}`);
  return settled(work);
}

/** Row 51, and after the end row 54. */
export function refunded(work: Work, event: RefundSettled): Row {
  const payment = work.payment(event.paymentId);
  if (payment === undefined || payment.refundRequestedMinor === 0) return alarmed(work, event);
  work.count('applied');
  const refundedMinor = Math.min(payment.refundRequestedMinor, payment.refundedMinor + event.amountMinor);
  work.setPayment(payment.paymentId, { refundedMinor });
  if (refundedMinor >= payment.refundRequestedMinor) work.answered(`refund:${payment.paymentId}`);
  return settled(work);
}

function settled(work: Work): Row {
  if (work.state.phase !== 'CANCELLING') return '54';
  finishCancelling(work);
  return '51';
}
