/**
 * Records of one partition as the Kafka client hands them over, behind the port's lazy view. Called by
 * kafka-consumer.ts. Copies nothing: the client has already copied keys, values and headers into buffers.
 */
import type { Header, Headers } from '../base/record.ts';
import type { RecordBatch } from './broker-port.ts';
import type { NativeMessage } from './kafka-client-types.ts';

const noHeaders: Headers = [];

export class KafkaRecordBatch implements RecordBatch {
  readonly topic: string;
  readonly partition: number;
  readonly #messages: readonly NativeMessage[];

  /** Shape: `messages` are of this one partition, in offset order. */
  constructor(topic: string, partition: number, messages: readonly NativeMessage[]) {
    this.topic = topic;
    this.partition = partition;
    this.#messages = messages;
  }

  get count(): number {
    return this.#messages.length;
  }

  offset(index: number): number {
    return this.#at(index).offset;
  }

  timestamp(index: number): number {
    return this.#at(index).timestamp ?? -1;
  }

  key(index: number): Buffer | null {
    return this.#at(index).key ?? null;
  }

  value(index: number): Buffer | null {
    return this.#at(index).value;
  }

  headers(index: number): Headers {
    const native = this.#at(index).headers;
    if (native === undefined || native.length === 0) return noHeaders;
    const headers: Header[] = [];
    for (const pair of native) for (const key in pair) headers.push({ key, value: pair[key] as Buffer });
    return headers;
  }

  #at(index: number): NativeMessage {
    return this.#messages[index] as NativeMessage;
  }
}
