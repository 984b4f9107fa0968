/**
 * What must hold for every order at every moment: goods and money are neither made nor lost. Tests check it after each
 * decision; a production check can read it as a list of broken rules. Pure.
 */
import { type OrderState, openQuantity, undispatchedQuantity } from './state.ts';

/** The broken rules as sentences; empty when all hold. */
export function conservationFaults(state: OrderState): string[] {
  return [...lineFaults(state), ...paymentFaults(state), ...shipmentFaults(state)];
}

function lineFaults(state: OrderState): string[] {
  const faults: string[] = [];
  for (const line of state.lines) {
    const { ordered, reserved, backordered, shipped, delivered, cancelled, returned, lost } = line;
    const quantities = { ordered, reserved, backordered, shipped, delivered, cancelled, returned, lost };
    for (const [name, quantity] of Object.entries(quantities)) {
      if (quantity < 0) faults.push(`line ${line.lineId}: ${name} is ${quantity}`);
    }
    if (openQuantity(line) < 0) faults.push(`line ${line.lineId}: more is gone than was ordered`);
    if (undispatchedQuantity(line) < 0) faults.push(`line ${line.lineId}: more was shipped than is open`);
    if (delivered + lost > shipped) faults.push(`line ${line.lineId}: more arrived than was shipped`);
    if (reserved + shipped > ordered) faults.push(`line ${line.lineId}: more is held than was ordered`);
    if (returned > delivered) faults.push(`line ${line.lineId}: more came back than was delivered`);
  }
  return faults;
}

function paymentFaults(state: OrderState): string[] {
  const faults: string[] = [];
  let askedMinor = 0;
  let earnedMinor = 0;
  for (const payment of state.payments) {
    const { paymentId, authorizedMinor, amountMinor } = payment;
    for (const [name, value] of Object.entries(payment)) {
      if (typeof value === 'number' && value < 0) faults.push(`payment ${paymentId}: ${name} is ${value}`);
    }
    const taken = payment.prepaidMinor + payment.captureRequestedMinor;
    if (payment.capturedMinor > authorizedMinor)
      faults.push(`payment ${paymentId}: more captured than authorised`);
    if (taken > authorizedMinor) faults.push(`payment ${paymentId}: more asked for than authorised`);
    if (taken + payment.voidRequestedMinor > Math.max(authorizedMinor, amountMinor) + payment.prepaidMinor) {
      faults.push(`payment ${paymentId}: more captured and voided than authorised`);
    }
    if (payment.refundRequestedMinor + payment.earnedMinor > Math.max(payment.capturedMinor, taken)) {
      faults.push(`payment ${paymentId}: more refunded than was taken and not earned`);
    }
    if (payment.voidedMinor > payment.voidRequestedMinor) faults.push(`payment ${paymentId}: voided unasked`);
    if (payment.refundedMinor > payment.refundRequestedMinor)
      faults.push(`payment ${paymentId}: refunded unasked`);
    askedMinor += payment.captureRequestedMinor;
    earnedMinor += payment.earnedMinor;
  }
  if (askedMinor > state.totalMinor)
    faults.push(`${askedMinor} asked for, the order costs ${state.totalMinor}`);
  if (earnedMinor > state.totalMinor)
    faults.push(`${earnedMinor} earned, the order costs ${state.totalMinor}`);
  const allShipped = state.lines.length > 0 && state.lines.every((line) => line.shipped === line.ordered);
  if (allShipped && earnedMinor !== state.totalMinor) {
    faults.push(`everything was shipped and ${earnedMinor} of ${state.totalMinor} earned`);
  }
  return faults;
}

function shipmentFaults(state: OrderState): string[] {
  const faults: string[] = [];
  for (const line of state.lines) {
    const parcels = state.shipments.filter((shipment) => shipment.dispatchedAt !== null);
    const sum = parcels
      .flatMap((shipment) => shipment.lines)
      .filter((part) => part.lineId === line.lineId)
      .reduce((total, part) => total + part.quantity, 0);
    if (sum !== line.shipped)
      faults.push(`line ${line.lineId}: parcels hold ${sum}, shipped is ${line.shipped}`);
  }
  return faults;
}

/** Throws an Error with all broken rules. For tests. */
export function checkConservation(state: OrderState): void {
  const faults = conservationFaults(state);
  if (faults.length > 0) throw new Error(`order ${state.orderId}: ${faults.join('; ')}`);
}
