/**
 * The cells that the table is made of: what a pair of phase and input does, by the machine's row numbers, and where
 * it may lead. One name per meaning, used wherever it applies.
 */
import {
  cancelFulfilling,
  cancelPaying,
  cancelReserving,
  cancelTooLate,
  shipmentCancelled,
} from './decide-cancel.ts';
import {
  alarmed,
  earlyShipmentTimer,
  ignored,
  orphanTimer,
  parkOrphan,
  parkPayment,
  parkShipment,
} from './decide-default.ts';
import { placeAgain, placeOrder } from './decide-intake.ts';
import {
  actionRequired,
  authReplyTimer,
  captured,
  declined,
  paid,
  paidAgain,
  paidEarly,
  paidTooLate,
  paymentDueTimer,
  paymentNewsTooLate,
  payRetryTimer,
  refunded,
  voided,
} from './decide-pay.ts';
import {
  reserveReplyTimer,
  stockRejected,
  stockRejectedTooLate,
  stockReleased,
  stockReserved,
  stockReservedTooLate,
} from './decide-reserve.ts';
import {
  accepted,
  dispatched,
  dispatchedAfterCancel,
  lateParcelTimer,
  releaseOrder,
  returnWindowTimer,
  silentParcelTimer,
  tracked,
} from './decide-ship.ts';
import type { Row } from './row.ts';
import type { Handler } from './rows.ts';
import { cell } from './rows.ts';

const parking = <Input>(row: Row, handle: Handler<Input>) =>
  ({ rows: [row], to: [], parks: true, handle }) as const;

/** The rule `default`. */
export const idle = cell(['default'], [], ignored);
/** The rule `default` where goods or money moved. */
export const alarm = cell(['default'], [], alarmed);

// Before and at the purchase.
export const orphan = parking('1', parkOrphan);
export const placed = cell(['2', '3', '4'], ['RESERVING', 'CANCELLED', 'REJECTED'], placeOrder);
export const orphanTimeout = cell(['5'], [], orphanTimer);
export const placedAgain = cell(['56'], [], placeAgain);

// Stock.
export const reserved = cell(['6', '7', 'default'], ['AUTHORIZING', 'CONFIRMED'], stockReserved);
export const rejected = cell(['8', 'default'], ['CANCELLING', 'REJECTED'], stockRejected);
export const reserveTimeout = cell(['11'], [], reserveReplyTimer);
export const lateGrant = cell(['53', 'default'], [], stockReservedTooLate);
export const lateRefusal = cell(['8', 'default'], [], stockRejectedTooLate);
const ended = ['CANCELLED', 'REJECTED', 'SHIPPED', 'DELIVERED'] as const;
export const releaseAnswer = cell(['51', 'default'], ended, stockReleased);
export const lateReleaseAnswer = cell(['53', 'default'], [], stockReleased);

// Money.
export const earlyPayment = cell(['12a', 'stale'], [], paidEarly);
export const earlyPaymentNews = parking('12a', parkPayment);
export const payment = cell(['16', '17', 'stale'], ['CONFIRMED'], paid);
export const action = cell(['18', 'stale', 'default'], [], actionRequired);
export const decline = cell(['19', 'stale', 'default'], ['CANCELLING', 'REJECTED'], declined);
export const payAgain = cell(['19', 'stale'], [], payRetryTimer);
export const authTimeout = cell(['20'], [], authReplyTimer);
export const dueTimeout = cell(['22', 'stale'], ['CANCELLING', 'REJECTED'], paymentDueTimer);
export const captureAnswer = cell(['30', 'default'], [], captured);
export const knownPayment = cell(['stale', 'default'], [], paidAgain);
export const oldPaymentNews = cell(['stale', 'default'], [], paymentNewsTooLate);
export const latePayment = cell(['54', 'stale'], [], paidTooLate);
export const voidAnswer = cell(['51', 'default'], ended, voided);
export const refundAnswer = cell(['51', 'default'], ended, refunded);
export const lateVoidAnswer = cell(['54', 'default'], [], voided);
export const lateRefundAnswer = cell(['54', 'default'], [], refunded);

// Cancelling.
const back = ['CANCELLING', 'CANCELLED'] as const;
export const cancelBeforeMoney = cell(['12', 'default'], back, cancelReserving);
export const cancelBeforeShipping = cell(['27', 'default'], back, cancelPaying);
export const cancelParcels = cell(['32', 'default'], [...back, 'SHIPPED', 'DELIVERED'], cancelFulfilling);
export const tooLate = cell(['44'], [], cancelTooLate);
export const parcelCancelled = cell(['51', 'default'], ended, shipmentCancelled);

// Parcels.
export const early = parking('12b', parkShipment);
export const stillUnpaid = cell(['12b'], [], earlyShipmentTimer);
export const release = cell(['23'], ['FULFILLING'], releaseOrder);
export const accept = cell(['28', 'stale', 'default'], [], accepted);
export const dispatch = cell(['30', 'stale', 'default'], ['SHIPPED'], dispatched);
export const dispatchLate = cell(['33', 'stale', 'default'], ['SHIPPED', 'DELIVERED'], dispatchedAfterCancel);
export const dispatchAgain = cell(['stale', 'default'], [], dispatched);
export const track = cell(['35', '36', '37', '38', 'default'], ['SHIPPED', 'DELIVERED'], tracked);
export const trackShipped = cell(['35', '36', '37', 'default'], ['DELIVERED'], tracked);
export const trackOther = cell(['35', '36', '37', 'default'], [], tracked);
export const lateParcel = cell(['34'], [], lateParcelTimer);
export const silent = cell(['41', 'stale'], [], silentParcelTimer);
export const windowPasses = cell(['49'], [], returnWindowTimer);
export const windowCloses = cell(['49'], ['CLOSED'], returnWindowTimer);
