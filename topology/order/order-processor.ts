/**
 * The order machine as a processor: loads an order's state, lets decide.ts decide, keeps the new state, runs its
 * timers and forwards what it wants sent to named children. It decides nothing itself. Children: see
 * `orderOutputs`; the wiring connects each to its topic (inventory commands are keyed by sku, the rest by order).
 * Every output has the time of the record, or timer, that caused it.
 */
import {
  type Headers,
  type KeyValueStore,
  must,
  type Prefetch,
  type Processor,
  type ProcessorContext,
  type Record,
  type RecordMetadata,
  type Timer,
} from '#streams';
import { headerKeys, headersOf, idOf, type RecordHead, traceparentOf } from '../headers.ts';
import type { TimerProfile } from '../timer-profiles.ts';
import { stableId } from './command-id.ts';
import { decide } from './decide.ts';
import { type Command, type Decision, defaultPolicy, type Policy } from './decision.ts';
import type { OrderEvent } from './events.ts';
import { snapshotOf } from './snapshot.ts';
import type { OrderState } from './state.ts';

/** Names of the children that the processor forwards to. */
export const orderOutputs = {
  payment: 'payment-commands',
  inventory: 'inventory-commands',
  shipment: 'shipment-commands',
  notification: 'notifications',
  timeline: 'timeline',
  incident: 'incidents',
  state: 'state',
  deadLetter: 'dead-letters',
} as const;

/** The store of OrderState by order id. */
export const orderStore = 'orders';

const source = '/millrace/order';

const outputOfCommand: Readonly<{ [T in Command['record']['type']]: string }> = {
  AuthorizePayment: orderOutputs.payment,
  CapturePayment: orderOutputs.payment,
  VoidAuthorization: orderOutputs.payment,
  RefundPayment: orderOutputs.payment,
  QueryPayment: orderOutputs.payment,
  ReserveStock: orderOutputs.inventory,
  ExtendReservation: orderOutputs.inventory,
  CommitReservation: orderOutputs.inventory,
  CommitSale: orderOutputs.inventory,
  ReleaseStock: orderOutputs.inventory,
  Restock: orderOutputs.inventory,
  WriteOffStock: orderOutputs.inventory,
  CreateShipment: orderOutputs.shipment,
  CancelShipment: orderOutputs.shipment,
  TraceShipment: orderOutputs.shipment,
  CreateReturn: orderOutputs.shipment,
  NotifyCustomer: orderOutputs.notification,
};

export interface OrderProcessorOptions {
  readonly profile: TimerProfile;
  readonly policy?: Policy;
  /** Told of every decision, for counters; must not throw. */
  readonly onDecision?: (decision: Decision) => void;
}

/** What caused a decision. */
interface Cause {
  readonly id: string;
  readonly timestamp: number;
  readonly traceparent: string;
  readonly metadata: RecordMetadata | undefined;
}

export class OrderProcessor implements Processor<string, OrderEvent, string, unknown> {
  readonly #options: OrderProcessorOptions;
  #context: ProcessorContext<string, unknown> | undefined;
  #orders: KeyValueStore<string, OrderState> | undefined;

  constructor(options: OrderProcessorOptions) {
    this.#options = options;
  }

  init(context: ProcessorContext<string, unknown>): void {
    this.#context = context;
    this.#orders = context.getStateStore<KeyValueStore<string, OrderState>>(orderStore);
  }

  /** The event's own order id decides, whatever key a foreign producer used. */
  *prefetch(record: Record<string, OrderEvent>): Iterable<Prefetch> {
    if (record.value !== null) yield { store: orderStore, key: record.value.orderId };
  }

  process(record: Record<string, OrderEvent>): void {
    const event: OrderEvent | null = record.value;
    if (event === null) return;
    const { context, orders } = this.#opened();
    const decision = decide(orders.get(event.orderId), event, this.#decideWith(context));
    this.#carryOut(event.orderId, decision, {
      id: idOf(record.headers, event.eventId),
      timestamp: record.timestamp,
      traceparent: traceparentOf(record.headers, event.orderId),
      metadata: context.recordMetadata(),
    });
  }

  onTimer(timer: Timer<string>): void {
    const { context, orders } = this.#opened();
    const { key, name, dueMs } = timer;
    const before = orders.get(key);
    if (before === undefined) return;
    const decision = decide(before, { type: 'TimerFired', name, dueMs }, this.#decideWith(context));
    this.#carryOut(key, decision, {
      id: `${key}/${name}/${dueMs}`,
      timestamp: dueMs,
      traceparent: traceparentOf([], key),
      metadata: undefined,
    });
  }

  #opened() {
    const late = 'a processor is initialised before its first record';
    return { context: must(this.#context, late), orders: must(this.#orders, late) };
  }

  #decideWith(context: ProcessorContext<string, unknown>) {
    const { profile, policy } = this.#options;
    return { nowMs: context.currentSystemTimeMs(), profile, policy: policy ?? defaultPolicy };
  }

  #carryOut(orderId: string, decision: Decision, cause: Cause): void {
    const { context, orders } = this.#opened();
    const { state } = decision;
    orders.put(orderId, state);
    for (const change of decision.timers) {
      if (change.op === 'cancel') context.timers.cancel(orderId, change.name);
      else
        context.timers.schedule({
          key: orderId,
          name: change.name,
          dueMs: change.dueMs,
          clock: change.clock,
        });
    }
    for (const { record, attempt } of decision.commands) {
      const key = 'sku' in record ? record.sku : orderId;
      const id = `${record.commandId}-${attempt}`;
      this.#forward(outputOfCommand[record.type], key, record, { id, attempt }, state, cause);
    }
    for (const [index, entry] of decision.timeline.entries()) {
      const { topic, partition, offset } = cause.metadata ?? { topic: null, partition: null, offset: null };
      const value = { ...entry, sourceTopic: topic, sourcePartition: partition, sourceOffset: offset };
      const id = stableId([orderId, cause.id, 'timeline', offset ?? '', index]);
      this.#forward(orderOutputs.timeline, orderId, value, { id }, state, cause);
    }
    for (const incident of decision.incidents) {
      this.#forward(orderOutputs.incident, orderId, incident, { id: incident.incidentId }, state, cause);
    }
    if (decision.snapshotChanged) {
      const snapshot = snapshotOf(state, cause.timestamp);
      this.#forward(
        orderOutputs.state,
        orderId,
        snapshot,
        { id: `${orderId}-${state.version}` },
        state,
        cause,
      );
    }
    for (const { reason, event } of decision.deadLetters) {
      const extra = [
        { key: headerKeys.deadLetterClass, value: Buffer.from('ORDER_REFUSED_EVENT') },
        { key: headerKeys.deadLetterReason, value: Buffer.from(reason) },
      ];
      this.#forward(orderOutputs.deadLetter, orderId, event, { id: event.eventId }, state, cause, extra);
    }
    this.#options.onDecision?.(decision);
  }

  #forward(
    child: string,
    key: string,
    value: { readonly type: string },
    own: Pick<RecordHead, 'id' | 'attempt'>,
    state: OrderState,
    cause: Cause,
    extra: Headers = [],
  ): void {
    const headers = headersOf({
      ...own,
      source,
      type: value.type,
      timeMs: cause.timestamp,
      subject: state.orderId,
      traceparent: cause.traceparent,
      causationId: cause.id,
      tenantId: state.tenantId,
    });
    const { context } = this.#opened();
    context.forward({ key, value, timestamp: cause.timestamp, headers: [...headers, ...extra] }, child);
  }
}
