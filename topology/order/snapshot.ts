/** What orchestration.state shows of an order, made from its state. Pure; called by order-processor.ts. */
import type { OrderSnapshot } from '../schema-types.ts';
import { paymentStatus } from './money.ts';
import type { OrderState, PaymentState } from './state.ts';

/** `updatedAt`: time of the change, milliseconds since the epoch. */
export function snapshotOf(state: OrderState, updatedAt: number): OrderSnapshot {
  const sum = (of: (payment: PaymentState) => number) =>
    state.payments.reduce((total, payment) => total + of(payment), 0);
  return {
    type: 'OrderSnapshot',
    orderId: state.orderId,
    tenantId: state.tenantId,
    stateVersion: state.version,
    phase: state.phase,
    flags: state.flags,
    reasonCode: state.reasonCode,
    customerId: state.customerId,
    currencyCode: state.currencyCode,
    placedAt: state.placedAt,
    promisedAt: state.promisedAt,
    updatedAt,
    totalMinor: state.totalMinor,
    shippingMinor: state.shippingMinor,
    adjustmentMinor: state.adjustmentMinor,
    authorizedMinor: sum((payment) => payment.authorizedMinor),
    capturedMinor: sum((payment) => payment.capturedMinor),
    voidedMinor: sum((payment) => payment.voidedMinor),
    refundedMinor: sum((payment) => payment.refundedMinor),
    lines: state.lines.map(({ stock: _stock, shipByAt: _shipByAt, ...line }) => line),
    payments: state.payments.map((payment) => ({
      paymentId: payment.paymentId,
      method: payment.method,
      status: paymentStatus(payment),
      amountMinor: payment.amountMinor,
      authorizedMinor: payment.authorizedMinor,
      capturedMinor: payment.capturedMinor,
      voidedMinor: payment.voidedMinor,
      refundedMinor: payment.refundedMinor,
      pspReference: payment.pspReference,
    })),
    shipments: state.shipments.map(({ rank: _rank, ...shipment }) => shipment),
  };
}
