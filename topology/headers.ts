/**
 * The headers that every record of the shop carries: CloudEvents' names, the trace, the cause, the tenant and the
 * attempt. Written and read here only, so that a key is spelt once. Used by all processors of the topology and by
 * the participants.
 */
import { type Headers, textHeader } from '#streams';
import { stableId } from './order/command-id.ts';
import { topicRecords } from './schema-types.ts';

export const headerKeys = {
  id: 'ce_id',
  source: 'ce_source',
  type: 'ce_type',
  time: 'ce_time',
  subject: 'ce_subject',
  traceparent: 'traceparent',
  causationId: 'causationId',
  tenantId: 'tenantId',
  attempt: 'attempt',
  deadLetterReason: '__streams.errors.message',
  deadLetterClass: '__streams.errors.exception',
} as const;

/** Record name to its topic and its full name, for every record that the shop writes to a topic. */
const recordPlaces: ReadonlyMap<string, { readonly topic: string; readonly fullName: string }> = new Map(
  Object.entries(topicRecords).flatMap(([topic, names]) =>
    names.map((fullName) => [fullName.slice(fullName.lastIndexOf('.') + 1), { topic, fullName }] as const),
  ),
);

/** The topic that records of this name are written to; undefined for a name that no topic has. */
export function topicOfRecord(type: string): string | undefined {
  return recordPlaces.get(type)?.topic;
}

/** Shape: `shop.payment.AuthorizePayment`. */
export function fullRecordName(type: string): string {
  return recordPlaces.get(type)?.fullName ?? type;
}

export interface RecordHead {
  /** Unique per source; the same id is the same record. */
  readonly id: string;
  /** Who wrote it, for example `/millrace/order`. */
  readonly source: string;
  /** The record's name. */
  readonly type: string;
  /** Milliseconds since the epoch. */
  readonly timeMs: number;
  /** The order; for stock events the sku. */
  readonly subject: string;
  readonly traceparent: string;
  /** The id of what made this happen. */
  readonly causationId: string;
  readonly tenantId: string;
  /** Of commands: starts at 1, goes up with each retry of the same command id. */
  readonly attempt?: number;
}

export function headersOf(head: RecordHead): Headers {
  const pairs: [string, string][] = [
    [headerKeys.id, head.id],
    [headerKeys.source, head.source],
    [headerKeys.type, fullRecordName(head.type)],
    [headerKeys.time, new Date(head.timeMs).toISOString()],
    [headerKeys.subject, head.subject],
    [headerKeys.traceparent, head.traceparent],
    [headerKeys.causationId, head.causationId],
    [headerKeys.tenantId, head.tenantId],
  ];
  if (head.attempt !== undefined) pairs.push([headerKeys.attempt, String(head.attempt)]);
  return pairs.map(([key, value]) => ({ key, value: Buffer.from(value) }));
}

/** The attempt of a command; 1 where the header is missing or no positive integer. */
export function attemptOf(headers: Headers): number {
  const attempt = Number(textHeader(headers, headerKeys.attempt));
  return Number.isSafeInteger(attempt) && attempt > 0 ? attempt : 1;
}

/** The record's own trace; one made from the order's id where it came without, always the same for an order. */
export function traceparentOf(headers: Headers, orderId: string): string {
  const given = textHeader(headers, headerKeys.traceparent);
  if (given !== undefined && given !== '') return given;
  return `00-${stableId([orderId, 'trace'])}-${stableId([orderId, 'span']).slice(0, 16)}-01`;
}

/** The id of a record: its header, else what the caller knows it by. */
export function idOf(headers: Headers, otherwise: string): string {
  return textHeader(headers, headerKeys.id) ?? otherwise;
}
