/**
 * A participant as a processor: plans its answers (payment.ts, warehouse.ts, carrier.ts), keeps those that take
 * their time, and sends each when its durable timer fires. Runs in an application of its own, keyed by order. Answers
 * go to the one child; scans are keyed by tracking number, the rest by order.
 */
import {
  type KeyValueStore,
  must,
  type Prefetch,
  type Processor,
  type ProcessorContext,
  type Record,
  type Timer,
  textHeader,
} from '#streams';
import { attemptOf, headerKeys, headersOf, idOf, traceparentOf } from '../headers.ts';
import type { PaymentCommand, ShipmentCommand, ShipmentEvent } from '../schema-types.ts';
import { reactToDispatch } from './carrier.ts';
import { reactToPayment } from './payment.ts';
import {
  emptyParticipant,
  isCalledOff,
  type ParticipantOptions,
  type ParticipantState,
  type PendingAnswer,
  type Reaction,
} from './plan.ts';
import { reactToShipment } from './warehouse.ts';

export type ParticipantRole = 'payment' | 'warehouse' | 'carrier';
export type ParticipantInput = PaymentCommand | ShipmentCommand | ShipmentEvent;

/** The store of ParticipantState by order id; one per participant, JSON is enough. */
export function participantStore(role: ParticipantRole): string {
  return `${role}-participant`;
}

export class ParticipantProcessor implements Processor<string, ParticipantInput, string, unknown> {
  readonly #role: ParticipantRole;
  readonly #options: ParticipantOptions;
  #context: ProcessorContext<string, unknown> | undefined;
  #orders: KeyValueStore<string, ParticipantState> | undefined;

  constructor(role: ParticipantRole, options: ParticipantOptions) {
    this.#role = role;
    this.#options = options;
  }

  init(context: ProcessorContext<string, unknown>): void {
    this.#context = context;
    this.#orders = context.getStateStore<KeyValueStore<string, ParticipantState>>(
      participantStore(this.#role),
    );
  }

  *prefetch(record: Record<string, ParticipantInput>): Iterable<Prefetch> {
    if (record.value !== null) yield { store: participantStore(this.#role), key: record.value.orderId };
  }

  process(record: Record<string, ParticipantInput>): void {
    const input: ParticipantInput | null = record.value;
    if (input === null) return;
    const { context, orders } = this.#opened();
    const before = orders.get(input.orderId) ?? emptyParticipant;
    const reaction = this.#react(input, before, record.timestamp);
    const head = {
      causationId: idOf(
        record.headers,
        'commandId' in input ? `${input.commandId}-${attemptOf(record.headers)}` : '',
      ),
      traceparent: traceparentOf(record.headers, input.orderId),
      tenantId: textHeader(record.headers, headerKeys.tenantId) ?? '',
    };
    const answers = reaction.planned.map((planned): PendingAnswer => ({ ...planned, ...head }));
    const nowMs = context.currentSystemTimeMs();
    let state = this.#callOff(input.orderId, before, reaction);
    for (const answer of answers) {
      if (answer.afterMs <= 0) {
        state = this.#say(state, answer);
        continue;
      }
      const others = state.pending.filter((other) => other.id !== answer.id);
      state = { ...state, pending: [...others, answer] };
      const dueMs = nowMs + answer.afterMs;
      context.timers.schedule({ key: input.orderId, name: answer.id, dueMs, clock: 'wall' });
    }
    if (state !== before) orders.put(input.orderId, state);
  }

  onTimer(timer: Timer<string>): void {
    const { orders } = this.#opened();
    const before = orders.get(timer.key);
    const answer = before?.pending.find((other) => other.id === timer.name);
    if (before === undefined || answer === undefined) return;
    const pending = before.pending.filter((other) => other !== answer);
    const after = this.#say({ ...before, pending }, answer);
    // A carrier whose parcels have all arrived needs no memory of them; the others are asked again.
    if (this.#role === 'carrier' && pending.length === 0) orders.delete(timer.key);
    else orders.put(timer.key, after);
  }

  #react(input: ParticipantInput, state: ParticipantState, atMs: number): Reaction {
    const options = this.#options;
    if (this.#role === 'payment') return reactToPayment(input as PaymentCommand, state, options, atMs);
    if (this.#role === 'warehouse') return reactToShipment(input as ShipmentCommand, state, options, atMs);
    return reactToDispatch(input as ShipmentEvent, options, atMs);
  }

  #callOff(orderId: string, state: ParticipantState, reaction: Reaction): ParticipantState {
    const { calledOff, undone } = reaction;
    let next = state;
    if (undone !== undefined && !next.undone.includes(undone)) {
      next = { ...next, undone: [...next.undone, undone] };
    }
    if (calledOff === undefined) return next;
    for (const answer of next.pending) {
      if (isCalledOff(answer, calledOff)) this.#opened().context.timers.cancel(orderId, answer.id);
    }
    return { ...next, pending: next.pending.filter((answer) => !isCalledOff(answer, calledOff)) };
  }

  #say(state: ParticipantState, answer: PendingAnswer): ParticipantState {
    const { event, subject, causationId, traceparent, tenantId } = answer;
    const key = event.type === 'TrackingScanned' ? event.trackingNumber : event.orderId;
    const headers = headersOf({
      id: event.eventId,
      source: `/participants/${this.#role}`,
      type: event.type,
      timeMs: event.occurredAt,
      subject: key,
      traceparent,
      causationId,
      tenantId,
    });
    this.#opened().context.forward({ key, value: event, timestamp: event.occurredAt, headers });
    return { ...state, said: { ...state.said, [subject]: event } };
  }

  #opened() {
    const late = 'a processor is initialised before its first record';
    return { context: must(this.#context, late), orders: must(this.#orders, late) };
  }
}
