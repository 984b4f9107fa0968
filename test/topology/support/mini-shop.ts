/**
 * A shop in memory for tests of the pure machines: orders and stock decide, commands and answers go through one
 * queue, timers fire when the test moves a clock. No broker, no store. Checks after every decision that goods and
 * money are conserved, that state is plain data, and that no (command id, attempt) goes out twice.
 */
import assert from 'node:assert/strict';
import { decideStock } from '../../../topology/inventory/decide-stock.ts';
import { emptyStock, type StockState } from '../../../topology/inventory/stock-state.ts';
import { stableId } from '../../../topology/order/command-id.ts';
import { checkConservation } from '../../../topology/order/conservation.ts';
import { decide } from '../../../topology/order/decide.ts';
import {
  type Command,
  type Context,
  type DeadLetter,
  type Decision,
  defaultPolicy,
} from '../../../topology/order/decision.ts';
import type { OrderEvent } from '../../../topology/order/events.ts';
import type { OrderState } from '../../../topology/order/state.ts';
import type { IncidentRaised, InventoryCommand } from '../../../topology/schema-types.ts';
import { type TimerProfileName, timerProfiles } from '../../../topology/timer-profiles.ts';
import { checkAgainstTable } from './table-check.ts';

interface RunningTimer {
  readonly orderId: string;
  readonly name: string;
  readonly dueMs: number;
  readonly clock: string;
}

/** Answers to commands that are not stock's: what a test's participants say. */
export type Participants = (command: Command, atMs: number) => readonly OrderEvent[];

export interface MiniShopOptions {
  readonly profile?: TimerProfileName;
  readonly participants?: Participants;
  /** Checks conservation and plainness after every decision; off for long runs. */
  readonly strict?: boolean;
}

export class MiniShop {
  readonly orders = new Map<string, OrderState>();
  readonly stock = new Map<string, StockState>();
  /** Every command that went out, by `id#attempt`. */
  readonly commands = new Map<string, Command>();
  readonly incidents: IncidentRaised[] = [];
  readonly deadLetters: DeadLetter[] = [];
  doubled = 0;
  nowMs = 0;
  readonly #timers = new Map<string, RunningTimer>();
  readonly #queue: (() => void)[] = [];
  readonly #context: Omit<Context, 'nowMs'>;
  readonly #participants: Participants;
  readonly #strict: boolean;

  constructor(options: MiniShopOptions = {}) {
    this.#context = { profile: timerProfiles[options.profile ?? 'olist-replay'], policy: defaultPolicy };
    this.#participants = options.participants ?? replayParticipants;
    this.#strict = options.strict ?? true;
  }

  receive(sku: string, onHand: number): void {
    this.stock.set(sku, { ...(this.stock.get(sku) ?? emptyStock(sku)), onHand });
  }

  /** One event and everything that follows from it. */
  deliver(event: OrderEvent): void {
    this.#decide(event.orderId, event.occurredAt, (state) => decide(state, event, this.#now()));
    this.#drain();
  }

  /** Only the event: what follows waits for `drain`. */
  deliverOnly(event: OrderEvent): void {
    this.#decide(event.orderId, event.occurredAt, (state) => decide(state, event, this.#now()));
  }

  drain(): void {
    this.#drain();
  }

  /** Fires every timer of these clocks that is due, in order of their due time. */
  advance(toMs: number, clocks: readonly string[] = ['watermark', 'stream']): void {
    if (clocks.includes('wall')) this.nowMs = Math.max(this.nowMs, toMs);
    const isDue = (timer: RunningTimer) => timer.dueMs <= toMs && clocks.includes(timer.clock);
    for (;;) {
      const due = [...this.#timers.values()].filter(isDue);
      if (due.length === 0) return;
      for (const timer of due.sort((a, b) => a.dueMs - b.dueMs || (a.name < b.name ? -1 : 1)))
        this.#fire(timer);
    }
  }

  /** Fires a timer unless it was moved or stopped since. */
  #fire(timer: RunningTimer): void {
    const key = `${timer.orderId}/${timer.name}`;
    if (this.#timers.get(key) !== timer) return;
    this.#timers.delete(key);
    const fired = { type: 'TimerFired', name: timer.name, dueMs: timer.dueMs } as const;
    this.#decide(timer.orderId, timer.dueMs, (state) => decide(state, fired, this.#now()));
    this.#drain();
  }

  timersOf(orderId: string): RunningTimer[] {
    return [...this.#timers.values()].filter((timer) => timer.orderId === orderId);
  }

  commandIdsOf(orderId: string): string[] {
    const own = [...this.commands.values()].filter((command) => command.record.orderId === orderId);
    return [...new Set(own.map((command) => command.record.commandId))].sort();
  }

  #now(): Context {
    return { ...this.#context, nowMs: this.nowMs };
  }

  #drain(): void {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
  }

  #decide(orderId: string, atMs: number, step: (state: OrderState | undefined) => Decision): void {
    const decision = step(this.orders.get(orderId));
    if (this.#strict) {
      checkConservation(decision.state);
      checkAgainstTable(decision);
      assert.deepEqual(JSON.parse(JSON.stringify(decision.state)), decision.state, 'state is plain data');
    }
    this.orders.set(orderId, decision.state);
    this.incidents.push(...decision.incidents);
    this.deadLetters.push(...decision.deadLetters);
    for (const change of decision.timers) {
      const key = `${orderId}/${change.name}`;
      if (change.op === 'cancel') this.#timers.delete(key);
      else this.#timers.set(key, { orderId, name: change.name, dueMs: change.dueMs, clock: change.clock });
    }
    for (const command of decision.commands) this.#send(command, atMs);
  }

  #send(command: Command, atMs: number): void {
    const key = `${command.record.commandId}#${command.attempt}`;
    if (this.commands.has(key)) this.doubled += 1;
    this.commands.set(key, command);
    const { record } = command;
    if ('sku' in record) this.#queue.push(() => this.#stock(record, command.attempt, atMs));
    for (const event of this.#participants(command, atMs)) {
      this.#queue.push(() =>
        this.#decide(event.orderId, event.occurredAt, (state) => decide(state, event, this.#now())),
      );
    }
  }

  #stock(command: InventoryCommand, attempt: number, timestampMs: number): void {
    const decision = decideStock(this.stock.get(command.sku), command, { attempt, timestampMs });
    this.stock.set(command.sku, decision.state);
    for (const reply of decision.replies) {
      this.#queue.push(() =>
        this.#decide(reply.orderId, reply.occurredAt, (state) => decide(state, reply, this.#now())),
      );
    }
  }
}

/** What every answer to a command carries. */
export function answerTo(command: Command, atMs: number, step: string) {
  const { commandId, orderId } = command.record;
  return { eventId: stableId([commandId, step]), occurredAt: atMs, sourceSeq: null, orderId, commandId };
}

/** A replay's participants: they answer only what undoes. */
export function replayParticipants(command: Command, atMs: number): readonly OrderEvent[] {
  const { record } = command;
  if (record.type === 'VoidAuthorization' || record.type === 'RefundPayment') {
    const { paymentId, pspReference, amountMinor, currencyCode } = record;
    const type = record.type === 'RefundPayment' ? 'RefundSettled' : 'PaymentVoided';
    return [{ type, ...answerTo(command, atMs, type), paymentId, pspReference, amountMinor, currencyCode }];
  }
  if (record.type === 'CancelShipment') {
    return [
      { type: 'ShipmentCancelled', ...answerTo(command, atMs, 'cancelled'), shipmentId: record.shipmentId },
    ];
  }
  return [];
}

/** Participants that do what they are asked, at once. */
export function willingParticipants(command: Command, atMs: number): readonly OrderEvent[] {
  const { record } = command;
  if (record.type === 'AuthorizePayment') {
    const { paymentId, amountMinor, currencyCode } = record;
    const common = { ...answerTo(command, atMs, 'authorized'), pspReference: `psp-${paymentId}` };
    return [{ type: 'PaymentAuthorized', ...common, paymentId, amountMinor, currencyCode, expiresAt: null }];
  }
  if (record.type === 'CapturePayment') {
    const { paymentId, pspReference, amountMinor, currencyCode } = record;
    const common = answerTo(command, atMs, 'captured');
    return [{ type: 'PaymentCaptured', ...common, paymentId, pspReference, amountMinor, currencyCode }];
  }
  return replayParticipants(command, atMs);
}
