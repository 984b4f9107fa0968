/**
 * What a broker would refuse, found before it is sent: a record that is too large or has no valid time
 * then fails alone, under its savepoint, and not the commit of all tasks, again and again.
 * Called by the collector (outputs) and the typed stores (changelogs).
 */
import { StreamsError } from '../base/errors.ts';

/** The default of a broker's `message.max.bytes`; the adapters refuse more than this too. */
export const recordBytesMax = 1_048_576;
/** Bytes that a batch of one record adds, rounded up. */
const overheadBytes = 96;

/** Bytes of a record in a batch of its own. */
export function recordBytes(
  key: Buffer | null,
  value: Buffer | null,
  headers: readonly { readonly key: string; readonly value: Buffer }[],
): number {
  let bytes = overheadBytes + (key?.length ?? 0) + (value?.length ?? 0);
  for (const header of headers) bytes += header.value.length + header.key.length * 3 + 10;
  return bytes;
}

/** Errors: RECORD_TOO_LARGE. */
export function requireRecordFits(
  what: { readonly topic: string } | { readonly store: string },
  key: Buffer | null,
  value: Buffer | null,
  headers: readonly { readonly key: string; readonly value: Buffer }[] = [],
): void {
  const bytes = recordBytes(key, value, headers);
  if (bytes <= recordBytesMax) return;
  throw new StreamsError('RECORD_TOO_LARGE', `a record must not exceed ${recordBytesMax} bytes`, {
    context: { ...what, bytes },
  });
}
