/**
 * Kafka's default partitioner. The bytes of a key decide its partition, so a record that we produce
 * lands where Kafka Streams would put it, and joins of mixed Java and Node estates stay co-partitioned.
 * Source: org.apache.kafka.common.utils.Utils.murmur2, BuiltInPartitioner.partitionForKey.
 */

/** The 32-bit signed murmur2 hash of `data`, with Kafka's seed. */
export function murmur2(data: Uint8Array): number {
  const length = data.length;
  const m = 0x5bd1e995;
  let h = (0x9747b28c ^ length) | 0;
  const whole = length >> 2;
  for (let i = 0; i < whole; i++) {
    const at = i << 2;
    let k =
      (data[at] as number) |
      ((data[at + 1] as number) << 8) |
      ((data[at + 2] as number) << 16) |
      ((data[at + 3] as number) << 24) |
      0;
    k = Math.imul(k, m);
    k ^= k >>> 24;
    k = Math.imul(k, m);
    h = Math.imul(h, m) ^ k;
  }
  const tail = whole << 2;
  const left = length & 3;
  if (left === 3) h ^= (data[tail + 2] as number) << 16;
  if (left >= 2) h ^= (data[tail + 1] as number) << 8;
  if (left >= 1) {
    h ^= data[tail] as number;
    h = Math.imul(h, m);
  }
  h ^= h >>> 13;
  h = Math.imul(h, m);
  h ^= h >>> 15;
  return h | 0;
}

/**
 * The partition of a non-null key among `partitions`.
 *
 * @example
 * ```ts
 * import { partitionForKey } from 'millrace';
 *
 * console.log(partitionForKey(Buffer.from('order-1'), 6));
 * // prints: 4
 * ```
 */
export function partitionForKey(key: Uint8Array, partitions: number): number {
  return (murmur2(key) & 0x7fffffff) % partitions;
}
