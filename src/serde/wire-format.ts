/**
 * The bytes around an Avro payload: magic byte 0, the schema's id as int32 big-endian, then Avro binary.
 * Every record value of a topic and every value of a store is written so. Reading the newer form, where the
 * id travels in a header (`__value_schema_id`), belongs here too when it comes: it yields the same WireId.
 *
 * Source: Confluent schema-serializer, PrefixSchemaIdSerializer.
 */
import { StreamsError } from '../base/errors.ts';

/** What precedes the payload: one magic byte and four of the id. */
export const prefixBytes = 5;
const magic = 0;

/** Where the payload starts and which schema wrote it. */
export interface WireId {
  readonly schemaId: number;
  readonly payloadAt: number;
}

/** Writes the prefix at the start of `into`, which has room for it. */
export function writePrefix(into: Buffer, schemaId: number): void {
  into[0] = magic;
  into.writeInt32BE(schemaId, 1);
}

/** True when the bytes start like Avro with a prefix: all that `prepare` needs to know. */
export function hasPrefix(bytes: Buffer): boolean {
  return bytes.length >= prefixBytes && bytes[0] === magic;
}

/** Only where `hasPrefix`. */
export function prefixedId(bytes: Buffer): number {
  return bytes.readInt32BE(1);
}

/**
 * Reads the prefix.
 * Errors: RECORD_NOT_AVRO.
 */
export function readPrefix(bytes: Buffer): WireId {
  if (bytes.length < prefixBytes) {
    throw new StreamsError('RECORD_NOT_AVRO', `${bytes.length} bytes are too short for a schema id`);
  }
  if (bytes[0] !== magic) {
    throw new StreamsError(
      'RECORD_NOT_AVRO',
      `the first byte is ${bytes[0]}, Avro records start with ${magic}`,
    );
  }
  return { schemaId: prefixedId(bytes), payloadAt: prefixBytes };
}
