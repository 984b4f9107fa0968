/**
 * The ids that the order machine derives from what it decided: of commands, incidents and the content of a
 * purchase. The same decision gives the same id on every machine and after every crash; that is what makes a
 * retry recognisable. Pure; called by decision.ts and, for event ids, by the participants.
 */
import { createHash } from 'node:crypto';

/** The first 32 hex digits of SHA-256 over the parts; parts cannot run into each other. */
export function stableId(parts: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

/**
 * hash(tenantId, orderId, step, subject, generation).
 * `step`: what is done; `subject`: the line, shipment, payment or return it is done to; `generation` goes up
 * when the same step is asked for anew, never for a retry.
 */
export function commandIdOf(
  tenantId: string,
  orderId: string,
  step: string,
  subject: string,
  generation: number,
): string {
  return stableId([tenantId, orderId, step, subject, generation]);
}
