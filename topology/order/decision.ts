/**
 * One decision in the making: a working copy of an order's state with the commands, timers, timeline entries and
 * incidents that a step adds. decide.ts makes one per input, the handlers (decide-*.ts) fill it, `finish` hands it
 * out. It never reads a clock and never sends anything. Its rules: a command goes out once per
 * (step, subject, generation) and again only as a counted retry; an incident is raised once per subject.
 */
import type {
  IncidentRaised,
  InventoryCommand,
  NotificationCommand,
  PaymentCommand,
  ShipmentCommand,
  TimelineEntry,
} from '../schema-types.ts';
import type { TimerKind, TimerProfile } from '../timer-profiles.ts';
import { commandIdOf, stableId } from './command-id.ts';
import type { OrderEvent } from './events.ts';
import type { Row } from './row.ts';
import type { Flag, LineState, OrderState, PaymentState, Phase, ShipmentState } from './state.ts';

export type CommandRecord = PaymentCommand | InventoryCommand | ShipmentCommand | NotificationCommand;

/** Shape: `attempt` starts at 1; a retry keeps `record.commandId` and raises it. `subject` is what the step is done to. */
export interface Command {
  readonly record: CommandRecord;
  readonly attempt: number;
  readonly step: string;
  readonly subject: string;
}

export type TimerChange =
  | {
      readonly op: 'schedule';
      readonly name: string;
      readonly dueMs: number;
      readonly clock: 'wall' | 'stream' | 'watermark';
    }
  | { readonly op: 'cancel'; readonly name: string };

export interface DeadLetter {
  readonly reason: string;
  readonly event: OrderEvent;
}

/** Choices of the shop that are not times. `maxTries`: of a command that nobody answers, and of a declined payment. */
export interface Policy {
  readonly maxTries: number;
}
export const defaultPolicy: Policy = { maxTries: 3 };

/** What decide may know besides state and input. `nowMs`: the wall clock, for wall-clock timers only. */
export interface Context {
  readonly nowMs: number;
  readonly profile: TimerProfile;
  readonly policy: Policy;
}

/** Shape: `row`: the machine's row that the input took; `snapshotChanged`: what the order shows has changed. */
export interface Decision {
  readonly state: OrderState;
  readonly commands: readonly Command[];
  readonly timers: readonly TimerChange[];
  readonly timeline: readonly TimelineEntry[];
  readonly incidents: readonly IncidentRaised[];
  readonly deadLetters: readonly DeadLetter[];
  readonly row: Row;
  readonly snapshotChanged: boolean;
}

/** What every command carries. */
export interface CommandBase {
  readonly commandId: string;
  readonly orderId: string;
  readonly tenantId: string;
  readonly generation: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class Work {
  /** The working copy: replaced parts only, never changed in place. */
  readonly state: Mutable<OrderState>;
  readonly context: Context;
  readonly #before: OrderState;
  readonly #commands: Command[] = [];
  readonly #timers: TimerChange[] = [];
  readonly #timeline: TimelineEntry[] = [];
  readonly #incidents: IncidentRaised[] = [];
  readonly #deadLetters: DeadLetter[] = [];
  /** Our own copy of `state.sent`, once something was added. */
  #sent: Record<string, number> | undefined;
  /** Time of the input at hand: an event's own, a timer's due time. */
  #inputMs = 0;

  constructor(before: OrderState, context: Context) {
    this.#before = before;
    this.state = { ...before };
    this.context = context;
  }

  /** `advances`: the input's time is event time, so the order's clock follows it. */
  startInput(inputMs: number, advances: boolean): void {
    this.#inputMs = inputMs;
    if (advances && inputMs > this.state.clockMs) this.state.clockMs = inputMs;
  }

  get inputMs(): number {
    return this.#inputMs;
  }

  get commands(): readonly Command[] {
    return this.#commands;
  }

  enter(phase: Phase): void {
    this.state.phase = phase;
  }

  flag(flag: Flag): void {
    if (!this.state.flags.includes(flag)) this.state.flags = [...this.state.flags, flag].sort();
  }

  line(lineId: string): LineState | undefined {
    return this.state.lines.find((line) => line.lineId === lineId);
  }

  setLine(lineId: string, change: Partial<LineState>): void {
    this.state.lines = this.state.lines.map((line) =>
      line.lineId === lineId ? { ...line, ...change } : line,
    );
  }

  payment(paymentId: string): PaymentState | undefined {
    return this.state.payments.find((payment) => payment.paymentId === paymentId);
  }

  setPayment(paymentId: string, change: Partial<PaymentState>): void {
    this.state.payments = this.state.payments.map((payment) =>
      payment.paymentId === paymentId ? { ...payment, ...change } : payment,
    );
  }

  shipment(shipmentId: string): ShipmentState | undefined {
    return this.state.shipments.find((shipment) => shipment.shipmentId === shipmentId);
  }

  setShipment(shipmentId: string, change: Partial<ShipmentState>): void {
    this.state.shipments = this.state.shipments.map((shipment) =>
      shipment.shipmentId === shipmentId ? { ...shipment, ...change } : shipment,
    );
  }

  await(key: string): void {
    if (!this.state.awaiting.includes(key)) this.state.awaiting = [...this.state.awaiting, key];
  }

  answered(key: string): void {
    if (this.state.awaiting.includes(key))
      this.state.awaiting = this.state.awaiting.filter((other) => other !== key);
  }

  attempts(step: string, subject: string, generation = this.state.generation): number {
    return this.state.sent[`${step}|${subject}|${generation}`] ?? 0;
  }

  /** Sends a command unless this very step was sent before. */
  send(
    step: string,
    subject: string,
    build: (base: CommandBase) => CommandRecord,
    generation = this.state.generation,
  ): void {
    if (this.attempts(step, subject, generation) === 0) this.resend(step, subject, build, generation);
  }

  /** Sends a command again, with the same id and the next attempt. */
  resend(
    step: string,
    subject: string,
    build: (base: CommandBase) => CommandRecord,
    generation = this.state.generation,
  ): void {
    const { tenantId, orderId } = this.state;
    const attempt = this.attempts(step, subject, generation) + 1;
    this.#markSent(`${step}|${subject}|${generation}`, attempt);
    const commandId = commandIdOf(tenantId, orderId, step, subject, generation);
    const record = build({ commandId, orderId, tenantId, generation });
    this.#commands.push({ record, attempt, step, subject });
  }

  /** Copies the record of what was sent once per decision: it is the state's longest, and most events add several. */
  #markSent(key: string, attempt: number): void {
    this.#sent ??= { ...this.state.sent };
    this.#sent[key] = attempt;
    this.state.sent = this.#sent;
  }

  /** Starts or moves a timer, unless the profile has switched its kind off. `atMs`: a date in the order to count from. */
  schedule(kind: TimerKind, subject = '', options: { atMs?: number; delayMs?: number } = {}): void {
    const rule = this.context.profile.timers[kind];
    if (!rule.enabled) return;
    const baseMs = options.atMs ?? (rule.clock === 'wall' ? this.context.nowMs : this.state.clockMs);
    const name = subject === '' ? kind : `${kind}:${subject}`;
    const dueMs = baseMs + (options.delayMs ?? rule.delayMs);
    this.state.timers = { ...this.state.timers, [name]: dueMs };
    this.#timers.push({ op: 'schedule', name, dueMs, clock: rule.clock });
  }

  /** Stops a timer; without a subject every timer of that kind. */
  cancel(kind: TimerKind, subject = ''): void {
    for (const name of Object.keys(this.state.timers)) {
      const hit =
        subject === '' ? name === kind || name.startsWith(`${kind}:`) : name === `${kind}:${subject}`;
      if (!hit) continue;
      this.forgetTimer(name);
      this.#timers.push({ op: 'cancel', name });
    }
  }

  /** A timer has fired: it runs no more. */
  forgetTimer(name: string): void {
    const { [name]: _gone, ...rest } = this.state.timers;
    this.state.timers = rest;
  }

  hasTimer(kind: TimerKind): boolean {
    return Object.keys(this.state.timers).some((name) => name === kind || name.startsWith(`${kind}:`));
  }

  /** Something that a person must decide. Once per type and subject: repeats say nothing new. */
  incident(incidentType: string, subject: string, detail: string): void {
    if (this.raised(incidentType, subject)) return;
    this.#markSent(`incident|${incidentType}|${subject}`, 1);
    const { tenantId, orderId } = this.state;
    const incidentId = stableId([tenantId, orderId, 'incident', incidentType, subject]);
    this.#incidents.push({
      type: 'IncidentRaised',
      incidentId,
      orderId,
      incidentType,
      detail,
      raisedAt: this.#inputMs,
    });
    this.flag('INCIDENT');
  }

  raised(incidentType: string, subject: string): boolean {
    return this.state.sent[`incident|${incidentType}|${subject}`] !== undefined;
  }

  deadLetter(reason: string, event: OrderEvent): void {
    this.#deadLetters.push({ reason, event });
  }

  count(what: keyof OrderState['counts']): void {
    this.state.counts = { ...this.state.counts, [what]: this.state.counts[what] + 1 };
  }

  /** `commandsFrom`: how many commands there were before this input, so the entry names only its own. */
  note(kind: string, name: string, row: Row, phaseBefore: Phase, commandsFrom: number): void {
    this.#timeline.push({
      type: 'TimelineEntry',
      orderId: this.state.orderId,
      at: this.#inputMs,
      kind,
      name,
      detail: summaryOf(this.#commands.slice(commandsFrom)),
      phaseBefore,
      phaseAfter: this.state.phase,
      row,
      sourceTopic: null,
      sourcePartition: null,
      sourceOffset: null,
    });
  }

  finish(row: Row): Decision {
    const before = this.#before;
    const state = this.state;
    const snapshotChanged =
      state.phase !== before.phase ||
      state.flags !== before.flags ||
      state.reasonCode !== before.reasonCode ||
      state.lines !== before.lines ||
      state.payments !== before.payments ||
      state.shipments !== before.shipments ||
      (before.version === 0 && state.seen !== before.seen);
    if (snapshotChanged) state.version = before.version + 1;
    return {
      state,
      commands: this.#commands,
      timers: this.#timers,
      timeline: this.#timeline,
      incidents: this.#incidents,
      deadLetters: this.#deadLetters,
      row,
      snapshotChanged,
    };
  }
}

/** Shape: `AuthorizePayment, ReserveStock x3`. */
function summaryOf(commands: readonly Command[]): string {
  const counts = new Map<string, number>();
  for (const { record, attempt } of commands) {
    const what = record.type === 'NotifyCustomer' ? `Notify ${record.templateCode}` : record.type;
    const name = attempt === 1 ? what : `${what} again`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => (count === 1 ? name : `${name} x${count}`)).join(', ');
}
