/** A record's parts, as every layer names them. */

/** Header values are bytes; a header sent with null arrives as an empty buffer (the client's limit). */
export interface Header {
  readonly key: string;
  readonly value: Buffer;
}
export type Headers = readonly Header[];

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Shape: `topic-partition`; for maps and messages. Topic names cannot hold a slash, so no two collide. */
export function partitionKey(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}

export function parsePartitionKey(key: string): TopicPartition {
  const slash = key.lastIndexOf('/');
  return { topic: key.slice(0, slash), partition: Number(key.slice(slash + 1)) };
}

/** The last header of that name, as Kafka's `lastHeader`. */
export function lastHeader(headers: Headers, key: string): Buffer | undefined {
  for (let i = headers.length - 1; i >= 0; i--) if (headers[i]?.key === key) return headers[i]?.value;
  return undefined;
}

/** The last header of that name, read as UTF-8. */
export function textHeader(headers: Headers, key: string): string | undefined {
  return lastHeader(headers, key)?.toString('utf8');
}

/** The headers without any of that name, and with this one at the end. */
export function withHeader(headers: Headers, key: string, value: string | Buffer): Headers {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value;
  return [...headers.filter((header) => header.key !== key), { key, value: bytes }];
}
