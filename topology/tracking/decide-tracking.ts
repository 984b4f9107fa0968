/**
 * From a scan to the order it is about. One state per tracking number: the shipment it belongs to (the index), and
 * scans that came before anybody said so. Pure; called by tracking-processor.ts. A repeated scan gives one update;
 * scans out of order all go through, with a rank that lets the order machine tell old news.
 */
import { stableId } from '../order/command-id.ts';
import type {
  ShipmentDispatched,
  TrackingState as StoredTrackingState,
  TrackingScanned,
  TrackingStatus,
  TrackingUpdated,
} from '../schema-types.ts';

/** How far along a parcel is; news of a lower or equal rank than seen is old. */
export const trackingRanks: Readonly<Record<TrackingStatus, number>> = {
  UNKNOWN: 0,
  PICKED_UP: 10,
  IN_TRANSIT: 20,
  EXCEPTION: 30,
  OUT_FOR_DELIVERY: 40,
  ATTEMPT_FAILED: 50,
  AVAILABLE_FOR_PICKUP: 60,
  RETURN_TO_SENDER: 70,
  LOST: 80,
  DELIVERED: 100,
};

/** Plain JSON-able data. */
export interface TrackingState {
  readonly trackingNumber: string;
  readonly parcel: { readonly orderId: string; readonly shipmentId: string } | null;
  /** Scans before the index entry, as they came. */
  readonly waiting: readonly TrackingScanned[];
  /** Event ids taken, oldest first, at most `seenMax`. */
  readonly seen: readonly string[];
}

/** Scans that may wait for their index entry; later ones are refused. */
export const waitingMax = 32;
/** The horizon of repeats, per tracking number. */
export const seenMax = 64;
export const trackingStateVersion = 1;

export type TrackingOutcome = 'applied' | 'duplicate' | 'waiting' | 'conflict' | 'refused';

export interface TrackingDecision {
  readonly state: TrackingState;
  readonly updates: readonly TrackingUpdated[];
  readonly outcome: TrackingOutcome;
}

/** One scan or one dispatch (the index entry) applied. `state` undefined: an unknown tracking number. */
export function decideTracking(
  state: TrackingState | undefined,
  input: TrackingScanned | ShipmentDispatched,
): TrackingDecision {
  const { trackingNumber } = input;
  const before = state ?? { trackingNumber, parcel: null, waiting: [], seen: [] };
  if (before.seen.includes(input.eventId)) return { state: before, updates: [], outcome: 'duplicate' };
  const next = { ...before, seen: [...before.seen.slice(-(seenMax - 1)), input.eventId] };
  return input.type === 'ShipmentDispatched' ? enterIndex(next, input) : scan(next, input);
}

function enterIndex(state: TrackingState, event: ShipmentDispatched): TrackingDecision {
  const { orderId, shipmentId } = event;
  if (state.parcel !== null) {
    const same = state.parcel.orderId === orderId && state.parcel.shipmentId === shipmentId;
    return { state, updates: [], outcome: same ? 'applied' : 'conflict' };
  }
  const parcel = { orderId, shipmentId };
  const waiting = [...state.waiting].sort(byTime);
  const updates = waiting.map((scanned) => update(scanned, parcel));
  return { state: { ...state, parcel, waiting: [] }, updates, outcome: 'applied' };
}

function scan(state: TrackingState, event: TrackingScanned): TrackingDecision {
  if (state.parcel !== null) return { state, updates: [update(event, state.parcel)], outcome: 'applied' };
  if (state.waiting.length >= waitingMax) return { state, updates: [], outcome: 'refused' };
  return { state: { ...state, waiting: [...state.waiting, event] }, updates: [], outcome: 'waiting' };
}

function byTime(a: TrackingScanned, b: TrackingScanned): number {
  return (
    a.scannedAt - b.scannedAt ||
    trackingRanks[a.status] - trackingRanks[b.status] ||
    (a.eventId < b.eventId ? -1 : 1)
  );
}

function update(event: TrackingScanned, parcel: { orderId: string; shipmentId: string }): TrackingUpdated {
  return {
    type: 'TrackingUpdated',
    eventId: stableId([event.eventId, 'TrackingUpdated']),
    occurredAt: event.scannedAt,
    sourceSeq: null,
    shipmentId: parcel.shipmentId,
    orderId: parcel.orderId,
    status: event.status,
    rank: trackingRanks[event.status],
    trackingNumber: event.trackingNumber,
  };
}

export function toStoredTracking(state: TrackingState): StoredTrackingState {
  return {
    type: 'TrackingState',
    trackingNumber: state.trackingNumber,
    stateVersion: trackingStateVersion,
    state: JSON.stringify(state),
  };
}

/** Errors: SyntaxError when the JSON is damaged. */
export function fromStoredTracking(stored: StoredTrackingState): TrackingState {
  return JSON.parse(stored.state) as TrackingState;
}
