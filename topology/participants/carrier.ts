/** A carrier: scans each parcel on its way. It hears of parcels by their dispatch, never by the shop. Pure. */
import { stableId } from '../order/command-id.ts';
import type { ShipmentEvent, TrackingScan, TrackingStatus } from '../schema-types.ts';
import { type ParticipantOptions, type Planned, plan, type Reaction, waitMs } from './plan.ts';

const way: readonly TrackingStatus[] = ['IN_TRANSIT', 'OUT_FOR_DELIVERY', 'DELIVERED'];

/** `atMs`: event time of the dispatch. */
export function reactToDispatch(event: ShipmentEvent, options: ParticipantOptions, atMs: number): Reaction {
  if (event.type !== 'ShipmentDispatched' || options.mode === 'replay') return { planned: [] };
  const { trackingNumber, carrierCode } = event;
  const planned: Planned[] = [];
  let afterMs = 0;
  for (const [index, status] of way.entries()) {
    const eventId = stableId([trackingNumber, status]);
    afterMs += waitMs(
      { ...options, faults: { ...options.faults, reorder: 0 } },
      eventId,
      options.delays.scanMs,
    );
    const scannedAt = atMs + afterMs;
    const scan: TrackingScan = {
      type: 'TrackingScanned',
      eventId,
      occurredAt: scannedAt,
      sourceSeq: index + 1,
      carrierCode,
      trackingNumber,
      status,
      location: null,
      scannedAt,
    };
    // A scan that is reported late has still been made in its place.
    const reportedMs = afterMs + lateBy(options, eventId);
    planned.push(...plan(options, trackingNumber, scan, reportedMs));
  }
  return { planned };
}

function lateBy(options: ParticipantOptions, eventId: string): number {
  const without = waitMs(
    { ...options, faults: { ...options.faults, reorder: 0 } },
    eventId,
    options.delays.scanMs,
  );
  return waitMs(options, eventId, options.delays.scanMs) - without;
}
