/**
 * Where the embedded broker keeps what in its KeyValueBackend. Used by embedded-storage.ts alone.
 *
 * Shape, by the first byte of the key:
 *   b                                   version and the next topic number (JSON)
 *   t topicNumber                       a topic: name, id, partitions, config (JSON)
 *   p topicNumber partition             a log's start and end
 *   i topicNumber partition base        a chunk's index entry
 *   r topicNumber partition base        a chunk's records
 *   g groupLength group topicNumber partition   a group's committed offset
 *   x transactionalId                   its epoch
 * Numbers in keys are big-endian, so that keys sort as their numbers do; topics are numbered and never
 * reuse a number, so what a deleted topic leaves behind cannot be taken for another's.
 */
import { sortableInteger } from '../base/bytes.ts';
import type { Chunk } from './embedded-chunk.ts';

export const layoutVersion = 1;

export type KeySpace = 'b' | 't' | 'p' | 'i' | 'r' | 'g' | 'x';

const partitionKeyBytes = 9;

export const brokerKey = Buffer.from('b');

export function topicKey(topicNumber: number): Buffer {
  const key = Buffer.allocUnsafe(5);
  key.write('t');
  key.writeUInt32BE(topicNumber, 1);
  return key;
}

export function partitionKeyOf(space: 'p' | 'i' | 'r', topicNumber: number, partition: number): Buffer {
  const key = Buffer.allocUnsafe(partitionKeyBytes);
  key.write(space);
  key.writeUInt32BE(topicNumber, 1);
  key.writeUInt32BE(partition, 5);
  return key;
}

export function chunkKey(space: 'i' | 'r', topicNumber: number, partition: number, base: number): Buffer {
  return Buffer.concat([partitionKeyOf(space, topicNumber, partition), sortableInteger(base)]);
}

/** The topic number and partition of a `p`, `i` or `r` key. */
export function readPartitionKey(key: Buffer): { topicNumber: number; partition: number } {
  return { topicNumber: key.readUInt32BE(1), partition: key.readUInt32BE(5) };
}

export function groupOffsetKey(groupId: string, topicNumber: number, partition: number): Buffer {
  const group = Buffer.from(groupId);
  const key = Buffer.allocUnsafe(3 + group.length + 8);
  key.write('g');
  key.writeUInt16BE(group.length, 1);
  group.copy(key, 3);
  key.writeUInt32BE(topicNumber, 3 + group.length);
  key.writeUInt32BE(partition, 7 + group.length);
  return key;
}

export function readGroupOffsetKey(key: Buffer): { groupId: string; topicNumber: number; partition: number } {
  const length = key.readUInt16BE(1);
  return {
    groupId: key.toString('utf8', 3, 3 + length),
    topicNumber: key.readUInt32BE(3 + length),
    partition: key.readUInt32BE(7 + length),
  };
}

export function transactionalIdKey(transactionalId: string): Buffer {
  return Buffer.concat([Buffer.from('x'), Buffer.from(transactionalId)]);
}

export function numberValue(...values: number[]): Buffer {
  const bytes = Buffer.allocUnsafe(8 * values.length);
  for (const [i, value] of values.entries()) bytes.writeDoubleBE(value, 8 * i);
  return bytes;
}

export function readNumbers(bytes: Buffer): number[] {
  const values: number[] = [];
  for (let at = 0; at + 8 <= bytes.length; at += 8) values.push(bytes.readDoubleBE(at));
  return values;
}

/** Shape: last, count, bytes, timestampMax, tombstonesUntilMs. */
export function indexValue(chunk: Chunk): Buffer {
  return numberValue(chunk.last, chunk.count, chunk.bytes, chunk.timestampMax, chunk.tombstonesUntilMs);
}
