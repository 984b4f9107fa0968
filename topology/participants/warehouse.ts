/** A warehouse: accepts parcels, hands them over, calls them back while they are there. Planned answers; pure. */
import { stableId } from '../order/command-id.ts';
import type { ShipmentCommand, ShipmentEvent } from '../schema-types.ts';
import { type ParticipantOptions, type ParticipantState, plan, type Reaction, waitMs } from './plan.ts';

const nothing: Reaction = { planned: [] };

/** `atMs`: event time of the command. */
export function reactToShipment(
  command: ShipmentCommand,
  state: ParticipantState,
  options: ParticipantOptions,
  atMs: number,
): Reaction {
  if (command.type === 'CreateShipment') return create(command, state, options, atMs);
  if (command.type === 'CancelShipment') return cancel(command, state, options, atMs);
  return nothing;
}

function create(
  command: Extract<ShipmentCommand, { type: 'CreateShipment' }>,
  state: ParticipantState,
  options: ParticipantOptions,
  atMs: number,
): Reaction {
  const { commandId, orderId, shipmentId, sellerId } = command;
  if (options.mode === 'replay' || state.undone.includes(shipmentId)) return nothing;
  const acceptMs = waitMs(options, `${commandId}/accepted`, options.delays.answerMs);
  const dispatchMs = acceptMs + waitMs(options, `${commandId}/dispatched`, options.delays.packMs);
  const accepted: ShipmentEvent = {
    type: 'ShipmentAccepted',
    ...head(commandId, orderId, 'accepted', atMs + acceptMs),
    shipmentId,
    commandId,
  };
  const dispatched: ShipmentEvent = {
    type: 'ShipmentDispatched',
    ...head(commandId, orderId, 'dispatched', atMs + dispatchMs),
    shipmentId,
    sellerId,
    carrierCode: 'millrace-post',
    trackingNumber: trackingNumberOf(shipmentId),
    lines: command.lines.map(({ lineId, quantity }) => ({ lineId, quantity })),
  };
  return {
    planned: [
      ...plan(options, shipmentId, accepted, acceptMs),
      ...plan(options, shipmentId, dispatched, dispatchMs),
    ],
  };
}

/** A parcel that has left cannot be called back, and the warehouse then has nothing to say. */
function cancel(
  command: Extract<ShipmentCommand, { type: 'CancelShipment' }>,
  state: ParticipantState,
  options: ParticipantOptions,
  atMs: number,
): Reaction {
  const { commandId, orderId, shipmentId } = command;
  if (state.said[shipmentId]?.type === 'ShipmentDispatched') return nothing;
  const afterMs = waitMs(options, `${commandId}/cancelled`, options.delays.answerMs);
  const cancelled: ShipmentEvent = {
    type: 'ShipmentCancelled',
    ...head(commandId, orderId, 'cancelled', atMs + afterMs),
    shipmentId,
    commandId,
  };
  return {
    planned: plan(options, shipmentId, cancelled, afterMs),
    calledOff: shipmentId,
    undone: shipmentId,
  };
}

/** Shape: MR and twelve hex digits, always the same for a shipment. */
export function trackingNumberOf(shipmentId: string): string {
  return `MR${stableId([shipmentId, 'parcel']).slice(0, 12).toUpperCase()}`;
}

function head(commandId: string, orderId: string, step: string, occurredAt: number) {
  return { eventId: stableId([commandId, step]), occurredAt, sourceSeq: null, orderId };
}
