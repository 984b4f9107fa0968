/**
 * `suppress`: holds changes of a table back, and lets the latest of each key out when it is due. Time is the
 * largest timestamp that came here; it takes a record to move it.
 *
 * - Until a time limit: due when that much time has passed since the timestamp of the first change held back.
 * - Until the window closes: due when the window's end and grace are over. A window that was deleted meanwhile
 *   (a session that was merged) does not come out at all.
 *
 * A row keeps its place in the queue when it changes. Order: by the time waited from, then by key bytes. Each
 * comes out with the timestamp and headers of its latest change; its old value is what came out before.
 */
import { StreamsError } from '../../base/errors.ts';
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import type { Serde } from '../../serde/serde.ts';
import type { Change } from '../change.ts';
import type { Demand, TableView } from '../table-view.ts';
import { Operator } from './operator.ts';
import { type Held, SuppressBuffer } from './suppress-buffer.ts';

export interface TableSuppressOptions<K, V> {
  readonly node: string;
  readonly store: string;
  /** When a row waits from. */
  readonly bufferMs: (key: K, timestampMs: number) => number;
  /** A row is due when T - waitMs has reached the time it waits from, or, `endInclusive`, has passed it. */
  readonly waitMs: number;
  readonly endInclusive: boolean;
  readonly dropsDeletions: boolean;
  readonly maxRecords: number;
  readonly maxBytes: number;
  readonly emitsEarly: boolean;
  readonly keySerde: Serde<K>;
  readonly valueSerde: Serde<V>;
  readonly demand: Demand;
}

export class TableSuppress<K, V> extends Operator<K, Change<V>, K, Change<V>> {
  readonly #options: TableSuppressOptions<K, V>;
  #buffer!: SuppressBuffer<K, V>;

  constructor(options: TableSuppressOptions<K, V>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, Change<V>>): void {
    super.init(context);
    this.#buffer = new SuppressBuffer(context, this.#options.store);
  }

  process(record: Record<K, Change<V>>): void {
    const { waitMs, endInclusive, emitsEarly } = this.#options;
    const timeMs = this.#buffer.begin(record.timestamp);
    this.#hold(record);
    const due = this.#buffer.takeBefore(timeMs - waitMs + (endInclusive ? 0 : 1));
    const early = emitsEarly ? this.#buffer.takeWhile(() => this.#isOver()) : [];
    if (this.#isOver()) throw this.#full();
    this.#buffer.end();
    for (const [key, held] of [...due, ...early]) this.#emit(record, key, held);
  }

  #hold({ key, value, timestamp, headers }: Record<K, Change<V>>): void {
    const earlier = this.#buffer.get(key);
    const held: Held<V> = {
      bufferMs: earlier?.bufferMs ?? this.#options.bufferMs(key, timestamp),
      timestamp,
      headers,
      newValue: value.newValue,
      priorValue: earlier === undefined ? value.oldValue : earlier.priorValue,
      bytes: 0,
    };
    this.#buffer.put(key, { ...held, bytes: this.#bytesOf(key, held) }, earlier);
  }

  #bytesOf(key: K, { newValue, priorValue }: Held<V>): number {
    const { maxBytes, keySerde, valueSerde, store } = this.#options;
    if (maxBytes === Number.POSITIVE_INFINITY) return 0;
    const parts = [
      keySerde.serialize(key, store),
      valueSerde.serialize(newValue, store),
      valueSerde.serialize(priorValue, store),
    ];
    return parts.reduce((sum, bytes) => sum + (bytes?.length ?? 0), 0);
  }

  #isOver(): boolean {
    return this.#buffer.records > this.#options.maxRecords || this.#buffer.bytes > this.#options.maxBytes;
  }

  #emit(record: Record<K, Change<V>>, key: K, held: Held<V>): void {
    const { newValue, priorValue, timestamp, headers } = held;
    if (newValue === null && this.#options.dropsDeletions) return;
    const oldValue = this.#options.demand.oldValues ? priorValue : null;
    this.context.forward({ ...record, key, value: { newValue, oldValue }, timestamp, headers });
  }

  #full(): StreamsError {
    const { node, maxRecords, maxBytes } = this.#options;
    const { records, bytes } = this.#buffer;
    return new StreamsError(
      'SUPPRESS_BUFFER_FULL',
      `the buffer of ${node} would hold ${records} of ${maxRecords} records, ${bytes} of ${maxBytes} bytes`,
      { context: { node }, hint: 'give it more room, or let a time limit emit early when it is full' },
    );
  }
}

/** What the table shows to others: rows that are held back look as they did before. */
export function tableSuppressView<K, V>(
  store: string,
  demand: Demand,
  parent: TableView<K, V>,
): TableView<K, V> {
  return {
    versioned: false,
    reader: () => {
      const { stores, open } = parent.reader();
      return {
        stores: [store, ...stores],
        open: (context) => {
          const buffer = new SuppressBuffer<K, V>(context, store);
          const get = open(context);
          return (key) => {
            const held = buffer.get(key);
            if (held === undefined) return get(key);
            return held.priorValue === null ? undefined : { value: held.priorValue, timestamp: -1 };
          };
        },
      };
    },
    sendOldValues: () => {
      demand.oldValues = true;
      return true;
    },
  };
}
