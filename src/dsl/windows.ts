/**
 * The kinds of windows, and Windowed keys with their serdes. Names and meanings are Kafka Streams'; every
 * time is whole milliseconds. Pure.
 *
 * Errors: TOPOLOGY_INVALID for a window that is none, and for one that leaves out its grace: how late a
 * record may come is a decision about results, so nobody decides it but the user (0 = not at all).
 */
import { StreamsError } from '../base/errors.ts';
import { partitionForKey } from '../base/murmur2.ts';
import type { StreamPartitioner } from '../graph/node.ts';
import type { Serde } from '../serde/serde.ts';
import { invalidTopology } from './options.ts';

/** Shape: `endMs` is exclusive for time windows, inclusive for sliding windows and sessions. */
export interface Window {
  readonly startMs: number;
  readonly endMs: number;
}

/** A key of a windowed table. */
export interface Windowed<K> {
  readonly key: K;
  readonly window: Window;
}

/** Windows [n × advance, n × advance + size), aligned to the epoch. */
export interface TimeWindows {
  readonly type: 'time';
  readonly sizeMs: number;
  readonly advanceMs: number;
  readonly graceMs: number;
}

/** Windows [t, t + difference] around the records themselves, one for each distinct content. */
export interface SlidingWindows {
  readonly type: 'sliding';
  readonly timeDifferenceMs: number;
  readonly graceMs: number;
}

/** Windows from the first to the last of events that are at most the gap apart. */
export interface SessionWindows {
  readonly type: 'session';
  readonly gapMs: number;
  readonly graceMs: number;
}

/** One window from a time on; it never ends. */
export interface UnlimitedWindows {
  readonly type: 'unlimited';
  readonly startMs: number;
}

/** Windows whose size is known before a record comes. */
export type FixedWindows = TimeWindows | SlidingWindows | UnlimitedWindows;

export type AnyWindows = FixedWindows | SessionWindows;

/** The number nearest to Java's largest long, the end that Kafka Streams gives to a window without end. */
export const unlimitedEndMs: number = 2 ** 63;

/** Tumbling windows; hopping ones when `advanceMs` is less than `sizeMs`. */
export function timeWindows(options: {
  readonly sizeMs: number;
  readonly graceMs: number;
  readonly advanceMs?: number;
}): TimeWindows {
  const what = 'time windows';
  const sizeMs = duration(what, 'sizeMs', options.sizeMs, 1);
  const advanceMs = duration(what, 'advanceMs', options.advanceMs ?? sizeMs, 1);
  if (advanceMs > sizeMs)
    throw invalidTopology(
      `time windows of ${sizeMs} ms cannot advance by ${advanceMs} ms`,
      'advanceMs is at most sizeMs, or records would fall between the windows',
    );
  return { type: 'time', sizeMs, advanceMs, graceMs: duration(what, 'graceMs', options.graceMs, 0) };
}

export function slidingWindows(options: {
  readonly timeDifferenceMs: number;
  readonly graceMs: number;
}): SlidingWindows {
  const what = 'sliding windows';
  return {
    type: 'sliding',
    timeDifferenceMs: duration(what, 'timeDifferenceMs', options.timeDifferenceMs, 0),
    graceMs: duration(what, 'graceMs', options.graceMs, 0),
  };
}

export function sessionWindows(options: {
  readonly gapMs: number;
  readonly graceMs: number;
}): SessionWindows {
  const what = 'session windows';
  return {
    type: 'session',
    gapMs: duration(what, 'gapMs', options.gapMs, 0),
    graceMs: duration(what, 'graceMs', options.graceMs, 0),
  };
}

export function unlimitedWindows(options: { readonly startMs?: number } = {}): UnlimitedWindows {
  return {
    type: 'unlimited',
    startMs: duration('unlimited windows', 'startMs', options.startMs ?? 0, 0),
  };
}

/** Whole milliseconds. Callers without types, or with settings from a file, come here too. */
function duration(what: string, name: string, value: unknown, least: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least) return value;
  throw invalidTopology(
    `${what} need ${name} in whole milliseconds, at least ${least}, not ${String(value)}`,
    name === 'graceMs' ? 'graceMs: 0 means that nothing may come late' : undefined,
  );
}

/** How long a store keeps a window unless told otherwise, and at the least. Source: Kafka Streams. */
export function retentionOf(windows: AnyWindows): number {
  if (windows.type === 'time') return windows.sizeMs + windows.graceMs;
  if (windows.type === 'sliding') return 2 * windows.timeDifferenceMs + windows.graceMs;
  return windows.type === 'session' ? windows.gapMs + windows.graceMs : Number.POSITIVE_INFINITY;
}

/** A serde of windowed keys; sinks take the partition of `inner`'s bytes, as Kafka Streams does. */
export interface WindowedSerde<K> extends Serde<Windowed<K>> {
  readonly inner: Serde<K>;
}

/** Layout: key · start (8), as Kafka Streams' TimeWindowedSerializer; the end is not written. */
export function timeWindowedSerde<K>(inner: Serde<K>, sizeMs: number): WindowedSerde<K> {
  return windowedSerde('time-windowed', inner, 8, {
    write: (tail, { startMs }) => tail.writeBigInt64BE(BigInt(startMs)),
    read: (tail) => {
      const startMs = Number(tail.readBigInt64BE());
      return { startMs, endMs: endOf(startMs, sizeMs) };
    },
  });
}

/** Layout: key · end (8) · start (8), as Kafka Streams' SessionWindowedSerializer. */
export function sessionWindowedSerde<K>(inner: Serde<K>): WindowedSerde<K> {
  return windowedSerde('session-windowed', inner, 16, {
    write: (tail, { startMs, endMs }) => {
      tail.writeBigInt64BE(BigInt(endMs));
      tail.writeBigInt64BE(BigInt(startMs), 8);
    },
    read: (tail) => ({ startMs: Number(tail.readBigInt64BE(8)), endMs: Number(tail.readBigInt64BE()) }),
  });
}

export function endOf(startMs: number, sizeMs: number): number {
  return Math.min(startMs + sizeMs, unlimitedEndMs);
}

/** Windows of a key go where the key goes, as in Kafka Streams; undefined for keys that are not windowed. */
export function windowedPartitioner(keySerde: unknown): StreamPartitioner | undefined {
  if (!isWindowedSerde(keySerde)) return undefined;
  return (topic, key, _value, partitions) => {
    const bytes = keySerde.inner.serialize((key as Windowed<unknown> | null)?.key ?? null, topic);
    return bytes === null ? undefined : partitionForKey(bytes, partitions);
  };
}

function isWindowedSerde(serde: unknown): serde is WindowedSerde<unknown> {
  return typeof serde === 'object' && serde !== null && windowedSerdes.has(serde);
}

const windowedSerdes = new WeakSet<object>();

function windowedSerde<K>(
  name: string,
  inner: Serde<K>,
  tailBytes: number,
  layout: { write(tail: Buffer, window: Window): void; read(tail: Buffer): Window },
): WindowedSerde<K> {
  const prepare = inner.prepare?.bind(inner);
  const serde: WindowedSerde<K> = {
    name: `${name} ${inner.name}`,
    inner,
    serialize: (windowed, topic) => {
      if (windowed === null) return null;
      const key = inner.serialize(windowed.key, topic);
      if (key === null)
        throw new StreamsError(
          'VALUE_NOT_SERIALIZABLE',
          `serde ${inner.name} made nothing of a windowed key`,
        );
      const tail = Buffer.allocUnsafe(tailBytes);
      layout.write(tail, windowed.window);
      return Buffer.concat([key, tail]);
    },
    deserialize: (bytes, topic) => {
      if (bytes === null) return null;
      const at = bytes.length - tailBytes;
      if (at < 0)
        throw new StreamsError(
          'RECORD_UNREADABLE',
          `a windowed key needs ${tailBytes} bytes at least, there are ${bytes.length}`,
        );
      const key = inner.deserialize(bytes.subarray(0, at), topic);
      return key === null ? null : { key, window: layout.read(bytes.subarray(at)) };
    },
    ...(prepare === undefined
      ? {}
      : { prepare: (bytes: Buffer) => prepare(bytes.subarray(0, Math.max(0, bytes.length - tailBytes))) }),
  };
  windowedSerdes.add(serde);
  return serde;
}
