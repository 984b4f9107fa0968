/** How long stock stays held while an order waits for its money. Used by the reserving and the paying handlers. */
import type { Work } from './decision.ts';

/** When a hold asked for now may end; null = with a release only. */
export function reservedUntil(work: Work): number | null {
  const { reservationMs } = work.context.profile;
  return reservationMs === null ? null : work.state.clockMs + reservationMs;
}

/** Rows 7 and 18. `step`: what the extension is for; each is sent once per line. */
export function extendReservations(work: Work, step: string): void {
  for (const line of work.state.lines) {
    if (line.stock !== 'held') continue;
    work.send(step, line.lineId, (base) => ({
      type: 'ExtendReservation',
      ...base,
      lineId: line.lineId,
      sku: line.sku,
      quantity: line.reserved,
      locationId: line.locationId,
      expiresAt: reservedUntil(work),
    }));
  }
}
