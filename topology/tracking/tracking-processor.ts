/**
 * The index of tracking numbers as a processor keyed by tracking number. In: scans, and dispatches re-keyed from
 * their order (the wiring repartitions shipment.events by tracking number). Out: TrackingUpdated to the child
 * `tracking-updates`, keyed by order. Other shipment events that the re-keying lets through are ignored.
 */
import {
  type KeyValueStore,
  type Prefetch,
  type Processor,
  type ProcessorContext,
  type Record,
  textHeader,
} from '#streams';
import { headerKeys, headersOf, idOf, traceparentOf } from '../headers.ts';
import type { ShipmentEvent, TrackingScan } from '../schema-types.ts';
import { decideTracking, type TrackingOutcome, type TrackingState } from './decide-tracking.ts';

/** The child that updates go to. */
export const trackingUpdatesOutput = 'tracking-updates';
/** The store of TrackingState by tracking number. */
export const trackingStore = 'tracking';

const source = '/millrace/tracking';

export interface TrackingProcessorOptions {
  /** Told of what became of each input, for counters; must not throw. */
  readonly onOutcome?: (outcome: TrackingOutcome) => void;
}

type TrackingInput = TrackingScan | ShipmentEvent;

export class TrackingProcessor implements Processor<string, TrackingInput, string, unknown> {
  readonly #options: TrackingProcessorOptions;
  #context: ProcessorContext<string, unknown> | undefined;
  #parcels: KeyValueStore<string, TrackingState> | undefined;

  constructor(options: TrackingProcessorOptions = {}) {
    this.#options = options;
  }

  init(context: ProcessorContext<string, unknown>): void {
    this.#context = context;
    this.#parcels = context.getStateStore<KeyValueStore<string, TrackingState>>(trackingStore);
  }

  *prefetch(record: Record<string, TrackingInput>): Iterable<Prefetch> {
    const key = trackingNumberOf(record.value);
    if (key !== undefined) yield { store: trackingStore, key };
  }

  process(record: Record<string, TrackingInput>): void {
    const input: TrackingInput | null = record.value;
    if (input?.type !== 'TrackingScanned' && input?.type !== 'ShipmentDispatched') return;
    if (this.#context === undefined || this.#parcels === undefined) return;
    const { headers } = record;
    const before = this.#parcels.get(input.trackingNumber);
    const decision = decideTracking(before, input);
    if (decision.state !== before) this.#parcels.put(input.trackingNumber, decision.state);
    for (const update of decision.updates) {
      const out = headersOf({
        id: update.eventId,
        source,
        type: update.type,
        timeMs: update.occurredAt,
        subject: update.orderId,
        traceparent: traceparentOf(headers, update.orderId),
        causationId: idOf(headers, input.eventId),
        tenantId: textHeader(headers, headerKeys.tenantId) ?? '',
      });
      this.#context.forward(
        { key: update.orderId, value: update, timestamp: record.timestamp, headers: out },
        trackingUpdatesOutput,
      );
    }
    this.#options.onOutcome?.(decision.outcome);
  }
}

/** The key that shipment.events are re-keyed by; undefined for what has no tracking number. */
export function trackingNumberOf(value: TrackingInput | null): string | undefined {
  return value !== null && 'trackingNumber' in value && value.trackingNumber !== ''
    ? value.trackingNumber
    : undefined;
}
