/**
 * The order machine's door: `decide(state, input, context)` gives the next state and everything to send. Pure: the
 * same arguments give the same answer, so a crash between deciding and committing costs nothing. It applies the
 * rules dup, stale and the inbox; the rows are in table.ts. Called by order-processor.ts and by tests.
 */
import { type Context, type Decision, Work } from './decision.ts';
import {
  compareEvents,
  type Firing,
  firingOf,
  type HandlerInput,
  type InputType,
  isShipmentNews,
  type OrderEvent,
  type OrderInput,
  sourceEntityOf,
} from './events.ts';
import type { Row } from './row.ts';
import type { Cell } from './rows.ts';
import { emptyOrder, type OrderState, type Phase, seenMax } from './state.ts';
import { table } from './table.ts';

/**
 * One input applied. `state` undefined: nobody has heard of the order yet.
 * A timer that is not the one the state knows (it was moved or stopped meanwhile) changes nothing: row `stale`.
 */
export function decide(state: OrderState | undefined, input: OrderInput, context: Context): Decision {
  if (input.type === 'TimerFired') return fire(state ?? emptyOrder(''), firingOf(input), input.name, context);
  return take(state ?? emptyOrder(input.orderId), input, context);
}

/** The cell of a phase and an input, whatever the input. */
export function cellOf(phase: Phase, input: InputType): Cell<InputType> {
  return table[phase][input] as unknown as Cell<InputType>;
}

function take(before: OrderState, event: OrderEvent, context: Context): Decision {
  const work = new Work(before, context);
  const { phase } = before;
  if (before.seen.includes(event.eventId)) {
    work.startInput(event.occurredAt, false);
    work.count('duplicates');
    work.note('duplicate', event.type, 'dup', phase, 0);
    return work.finish('dup');
  }
  work.state.seen = [...before.seen.slice(-(seenMax - 1)), event.eventId];
  const cell = cellOf(phase, event.type);
  if (cell.parks && !isOutdated(work.state, event)) {
    work.startInput(event.occurredAt, false);
    const row = cell.handle(work, event as never);
    work.note('parked', event.type, row, phase, 0);
    watchEarlyShipments(work);
    return work.finish(row);
  }
  const row = applyEvent(work, event);
  drainInbox(work, phase);
  return work.finish(row);
}

function fire(before: OrderState, firing: Firing | undefined, name: string, context: Context): Decision {
  const work = new Work(before, context);
  if (firing === undefined || before.timers[name] !== firing.dueMs) return work.finish('stale');
  const { phase } = before;
  const cell = cellOf(phase, `timer:${firing.kind}`);
  work.startInput(firing.dueMs, context.profile.timers[firing.kind].clock !== 'wall');
  work.forgetTimer(name);
  const row = cell.handle(work, firing as never);
  work.note('timer', name, row, phase, 0);
  drainInbox(work, phase);
  return work.finish(row);
}

function applyEvent(work: Work, event: OrderEvent): Row {
  const { phase } = work.state;
  const commandsFrom = work.commands.length;
  if (isOutdated(work.state, event)) {
    work.startInput(event.occurredAt, false);
    work.count('stale');
    work.note('stale', event.type, 'stale', phase, commandsFrom);
    return 'stale';
  }
  if (event.sourceSeq !== null) {
    work.state.sourceSeq = { ...work.state.sourceSeq, [sourceEntityOf(event)]: event.sourceSeq };
  }
  work.startInput(event.occurredAt, true);
  const row = cellOf(phase, event.type).handle(work, event as HandlerInput as never);
  work.note(row === 'stale' ? 'stale' : 'event', event.type, row, phase, commandsFrom);
  return row;
}

/** The rule `stale`: its source has told us something newer about the same thing. */
function isOutdated(state: OrderState, event: OrderEvent): boolean {
  return event.sourceSeq !== null && event.sourceSeq <= (state.sourceSeq[sourceEntityOf(event)] ?? -1);
}

/**
 * After the phase has changed: applies what waits and has a row now, as it happened and not as it arrived, until
 * nothing waits that could go. Ends because every round takes an event out of the inbox.
 */
function drainInbox(work: Work, phaseBefore: Phase): void {
  let phase = phaseBefore;
  while (work.state.phase !== phase) {
    phase = work.state.phase;
    const waiting = [...work.state.inbox].sort(compareEvents);
    for (const event of waiting) {
      if (cellOf(work.state.phase, event.type).parks) continue;
      work.state.inbox = work.state.inbox.filter((other) => other !== event);
      applyEvent(work, event);
      if (work.state.phase !== phase) break;
    }
  }
  watchEarlyShipments(work);
}

/** Row 12b's timer: runs while goods have moved and the order is not released. */
function watchEarlyShipments(work: Work): void {
  const { phase, inbox } = work.state;
  const early = cellOf(phase, 'timer:earlyShipment').rows.includes('12b') && inbox.some(isShipmentNews);
  if (!early) work.cancel('earlyShipment');
  if (!early || work.hasTimer('earlyShipment') || work.raised('shipped_unpaid', '')) return;
  const firstMs = Math.min(...inbox.filter(isShipmentNews).map((event) => event.occurredAt));
  const wall = work.context.profile.timers.earlyShipment.clock === 'wall';
  work.schedule('earlyShipment', '', wall ? {} : { atMs: Math.max(firstMs, work.state.clockMs) });
}
