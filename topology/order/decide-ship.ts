/**
 * Parcels: rows 23 (release), 28 (accepted), 30 and 33 (dispatched), 34 (late), 35 to 38 and 41 (tracking) and 49 (the end
 * of the return window). Per shipment, whatever phase the order is in. Handlers of the table.
 */
import type {
  OrderReleased,
  ShipmentAccepted,
  ShipmentDispatched,
  TrackingStatus,
  TrackingUpdated,
} from '../schema-types.ts';
import { finishCancelling } from './decide-cancel.ts';
import { alarmed, ignored } from './decide-default.ts';
import type { CommandBase, Work } from './decision.ts';
import type { Firing } from './events.ts';
import { lineStretches, type Stretch, sharesOf, unitsOf } from './money.ts';
import { notify } from './notify.ts';
import type { Row } from './row.ts';
import {
  isDispatched,
  type LineState,
  openQuantity,
  type ShipmentState,
  type ShipmentStatus,
  undispatchedQuantity,
} from './state.ts';

/** The id of a seller's parcel; an order without sellers has one parcel. */
export function shipmentIdOf(orderId: string, sellerId: string | null): string {
  return `${orderId}:${sellerId ?? 'main'}`;
}

/** Row 23: one parcel per seller. */
export function releaseOrder(work: Work, _input: OrderReleased | Firing): Row {
  if (_input.type === 'OrderReleased') work.count('applied');
  work.cancel('graceRelease');
  work.enter('FULFILLING');
  const sellers = [...new Set(work.state.lines.map((line) => line.sellerId))];
  work.state.shipments = sellers.map((sellerId) =>
    newShipment(
      shipmentIdOf(work.state.orderId, sellerId),
      sellerId,
      work.state.lines.filter((line) => line.sellerId === sellerId),
    ),
  );
  for (const shipment of work.state.shipments) requestShipment(work, shipment);
  return '23';
}

function newShipment(
  shipmentId: string,
  sellerId: string | null,
  lines: readonly LineState[],
): ShipmentState {
  return {
    shipmentId,
    sellerId,
    locationId: lines[0]?.locationId ?? null,
    status: 'REQUESTED',
    rank: -1,
    carrierCode: null,
    trackingNumber: null,
    dispatchedAt: null,
    deliveredAt: null,
    inferred: false,
    lines: lines.map((line) => ({ lineId: line.lineId, quantity: line.ordered })),
  };
}

function requestShipment(work: Work, shipment: ShipmentState): void {
  const { shipmentId } = shipment;
  const lines = shipment.lines.flatMap(({ lineId }) => work.line(lineId) ?? []);
  const dates = lines.flatMap((line) => line.shipByAt ?? []);
  const shipByAt = dates.length > 0 ? Math.min(...dates) : null;
  work.send('CreateShipment', shipmentId, (base) => ({
    type: 'CreateShipment',
    ...base,
    shipmentId,
    sellerId: shipment.sellerId,
    locationId: shipment.locationId,
    lines: lines.map((line) => ({ lineId: line.lineId, sku: line.sku, quantity: line.ordered })),
    shipByAt,
  }));
  work.schedule('accept', shipmentId);
  if (shipByAt !== null) work.schedule('shipBy', shipmentId, { atMs: shipByAt });
}

/** Row 28. */
export function accepted(work: Work, event: ShipmentAccepted): Row {
  const shipment = work.shipment(event.shipmentId);
  if (shipment === undefined) return ignored(work, event);
  if (shipment.status !== 'REQUESTED') {
    work.count('stale');
    return 'stale';
  }
  work.count('applied');
  work.cancel('accept', shipment.shipmentId);
  work.setShipment(shipment.shipmentId, { status: 'ACCEPTED' });
  return '28';
}

/** Row 30; after row 38 has inferred it, the real dispatch only fills in what the scan did not say. */
export function dispatched(work: Work, event: ShipmentDispatched): Row {
  const shipment = shipmentOf(work, event);
  if (shipment === undefined || shipment.status === 'CANCELLED') return alarmed(work, event);
  const { shipmentId } = shipment;
  const carrier = { carrierCode: event.carrierCode, trackingNumber: event.trackingNumber };
  if (isDispatched(shipment)) {
    if (shipment.trackingNumber === null) work.setShipment(shipmentId, carrier);
    work.count('stale');
    return 'stale';
  }
  work.count('applied');
  work.setShipment(shipmentId, carrier);
  dispatch(work, shipment, event.lines.length > 0 ? event.lines : shipment.lines, event.trackingNumber);
  return '30';
}

/** Row 33: it left before the warehouse heard of the cancel. */
export function dispatchedAfterCancel(work: Work, event: ShipmentDispatched): Row {
  const shipment = shipmentOf(work, event);
  const row = dispatched(work, event);
  if (row !== '30' || shipment === undefined) return row;
  cancelLost(work, shipment.shipmentId);
  return '33';
}

/** What has left goes on: nobody waits for this parcel to be called back, and the rest is undone without it. */
function cancelLost(work: Work, shipmentId: string): void {
  notify(work, 'cancel_too_late', shipmentId);
  work.answered(`cancel:${shipmentId}`);
  finishCancelling(work);
}

/** The parcel meant: by its id, else the only undispatched one of that seller. */
function shipmentOf(work: Work, event: ShipmentDispatched): ShipmentState | undefined {
  const named = work.shipment(event.shipmentId);
  if (named !== undefined) return named;
  const others = work.state.shipments.filter((shipment) => shipment.sellerId === event.sellerId);
  return others.length === 1 && others[0] !== undefined && !isDispatched(others[0]) ? others[0] : undefined;
}

function dispatch(
  work: Work,
  shipment: ShipmentState,
  asked: readonly { readonly lineId: string; readonly quantity: number }[],
  trackingNumber: string,
): void {
  const { shipmentId } = shipment;
  work.cancel('accept', shipmentId);
  work.cancel('shipBy', shipmentId);
  const all = lineStretches(work.state);
  const stretches: Stretch[] = [];
  const lines: { lineId: string; quantity: number }[] = [];
  for (const { lineId, quantity: wanted } of asked) {
    const line = work.line(lineId);
    const stretch = all.get(lineId);
    const quantity = line === undefined ? 0 : Math.min(wanted, undispatchedQuantity(line));
    if (quantity < wanted)
      work.incident('over_shipped', shipmentId, `line ${lineId}: ${wanted - quantity} too many`);
    if (line === undefined || stretch === undefined || quantity <= 0) continue;
    lines.push({ lineId, quantity });
    stretches.push(unitsOf(stretch, line.ordered, line.shipped, line.shipped + quantity));
    sellLine(work, line, quantity, shipmentId);
  }
  work.setShipment(shipmentId, { status: 'DISPATCHED', dispatchedAt: work.inputMs, lines });
  capture(work, shipmentId, stretches);
  notify(work, 'shipped', shipmentId, trackingNumber === '' ? {} : { trackingNumber });
  work.schedule('transitSilence', shipmentId);
  if (work.state.promisedAt !== null)
    work.schedule('promisedAt', shipmentId, { atMs: work.state.promisedAt });
  const left = work.state.lines.every((line) => undispatchedQuantity(line) === 0);
  if (left && work.state.phase === 'FULFILLING') work.enter('SHIPPED');
}

function sellLine(work: Work, line: LineState, quantity: number, shipmentId: string): void {
  work.setLine(line.lineId, {
    shipped: line.shipped + quantity,
    reserved: Math.max(0, line.reserved - quantity),
  });
  work.send('CommitSale', `${line.lineId}/${shipmentId}`, (base) => ({
    type: 'CommitSale',
    ...base,
    lineId: line.lineId,
    sku: line.sku,
    quantity,
    locationId: line.locationId,
    shipmentId,
  }));
}

/** Takes this parcel's share from each payment that covers it, but for what was paid before. */
function capture(work: Work, shipmentId: string, stretches: readonly Stretch[]): void {
  for (const share of sharesOf(work.state.payments, stretches)) {
    const payment = work.payment(share.paymentId);
    if (payment === undefined) continue;
    const left = payment.authorizedMinor - payment.prepaidMinor - payment.captureRequestedMinor;
    const amountMinor = Math.max(0, Math.min(share.amountMinor, left));
    work.setPayment(payment.paymentId, {
      earnedMinor: payment.earnedMinor + share.amountMinor,
      captureRequestedMinor: payment.captureRequestedMinor + amountMinor,
    });
    if (amountMinor === 0) continue;
    work.send('CapturePayment', `${shipmentId}/${payment.paymentId}`, (base) => ({
      type: 'CapturePayment',
      ...base,
      paymentId: payment.paymentId,
      pspReference: payment.pspReference,
      shipmentId,
      amountMinor,
      currencyCode: work.state.currencyCode ?? '',
    }));
  }
}

/** Row 34. */
export function lateParcelTimer(work: Work, firing: Firing): Row {
  work.flag('SLA_BREACHED');
  work.incident('sla', `${firing.kind}/${firing.subject}`, `${firing.kind} of ${firing.subject}`);
  notify(work, 'delayed', firing.subject);
  return '34';
}

/** Rows 35 to 38: one scan. Also while others are being cancelled; only a parcel that has left can be scanned. */
export function tracked(work: Work, event: TrackingUpdated): Row {
  const shipment = work.shipment(event.shipmentId);
  if (shipment === undefined) return alarmed(work, event);
  if (!isDispatched(shipment)) {
    const hands = event.status !== 'UNKNOWN' && shipment.status !== 'CANCELLED';
    const { phase } = work.state;
    if (!hands || (phase !== 'FULFILLING' && phase !== 'CANCELLING')) return alarmed(work, event);
    work.setShipment(shipment.shipmentId, { inferred: true, trackingNumber: event.trackingNumber });
    dispatch(work, shipment, shipment.lines, event.trackingNumber ?? '');
    scan(work, event);
    if (phase === 'CANCELLING') cancelLost(work, shipment.shipmentId);
    return '38';
  }
  if (event.rank <= shipment.rank || event.status === 'UNKNOWN') {
    work.count('stale');
    return '36';
  }
  return scan(work, event);
}

const shownStatus: Readonly<Partial<Record<TrackingStatus, ShipmentStatus>>> = {
  PICKED_UP: 'DISPATCHED',
  IN_TRANSIT: 'IN_TRANSIT',
  OUT_FOR_DELIVERY: 'OUT_FOR_DELIVERY',
  AVAILABLE_FOR_PICKUP: 'AVAILABLE_FOR_PICKUP',
  DELIVERED: 'DELIVERED',
  ATTEMPT_FAILED: 'ATTEMPT_FAILED',
  EXCEPTION: 'EXCEPTION',
  RETURN_TO_SENDER: 'RETURN_TO_SENDER',
  LOST: 'LOST',
};

function scan(work: Work, event: TrackingUpdated): Row {
  const { shipmentId } = event;
  work.count('applied');
  work.setShipment(shipmentId, { rank: event.rank, status: shownStatus[event.status] ?? 'IN_TRANSIT' });
  if (event.status === 'DELIVERED') {
    deliver(work, shipmentId);
    return '37';
  }
  if (event.status === 'OUT_FOR_DELIVERY') notify(work, 'out_for_delivery', shipmentId);
  if (event.status === 'AVAILABLE_FOR_PICKUP') notify(work, 'available_for_pickup', shipmentId);
  work.schedule('transitSilence', shipmentId);
  return '35';
}

function deliver(work: Work, shipmentId: string): void {
  const shipment = work.shipment(shipmentId);
  if (shipment === undefined || shipment.deliveredAt !== null) return;
  work.setShipment(shipmentId, { deliveredAt: work.inputMs });
  for (const { lineId, quantity } of shipment.lines) {
    const line = work.line(lineId);
    if (line !== undefined) work.setLine(lineId, { delivered: line.delivered + quantity });
  }
  work.cancel('transitSilence', shipmentId);
  work.cancel('promisedAt', shipmentId);
  notify(work, 'delivered', shipmentId);
  work.schedule('returnWindow', shipmentId);
  const open = work.state.lines.some((line) => openQuantity(line) > 0);
  if (!open && (work.state.phase === 'SHIPPED' || work.state.phase === 'FULFILLING')) work.enter('DELIVERED');
}

/** Row 41 as far as it goes without the rows of lost parcels: ask the carrier, or tell the customer. */
export function silentParcelTimer(work: Work, firing: Firing): Row {
  const shipment = work.shipment(firing.subject);
  if (shipment === undefined || shipment.deliveredAt !== null) return 'stale';
  if (firing.kind === 'promisedAt') {
    work.flag('SLA_BREACHED');
    notify(work, 'delayed', shipment.shipmentId);
    return '41';
  }
  const { shipmentId, carrierCode, trackingNumber } = shipment;
  const build = (base: CommandBase) =>
    ({ type: 'TraceShipment', ...base, shipmentId, carrierCode, trackingNumber }) as const;
  work.resend('TraceShipment', shipmentId, build);
  return '41';
}

/** Row 49, minimal: the last parcel's window has closed. While parcels are on their way it only passes. */
export function returnWindowTimer(work: Work, _firing: Firing): Row {
  if (work.state.phase === 'DELIVERED' && !work.hasTimer('returnWindow')) work.enter('CLOSED');
  return '49';
}
