/**
 * The rule `default`: a pair that the table has no row for. It leaves a timeline entry and a count; where goods or
 * money moved, an incident too, because a person has to look. Also the inbox's own handlers (rows 1, 5, 12a, 12b).
 */
import type { Work } from './decision.ts';
import type { Firing, HandlerInput, OrderEvent } from './events.ts';
import type { Row } from './row.ts';
import { inboxMax } from './state.ts';

/** Unexpected, and nothing moved. */
export function ignored(work: Work, input: HandlerInput): Row {
  if (input.type !== 'TimerFired') work.count('unexpected');
  return 'default';
}

/** Unexpected, and goods or money moved. */
export function alarmed(work: Work, input: HandlerInput): Row {
  if (input.type === 'TimerFired') return 'default';
  work.count('unexpected');
  const { phase } = work.state;
  work.incident('unexpected_event', `${phase}/${input.type}`, `${input.type} ${input.eventId} in ${phase}`);
  return 'default';
}

/** Keeps an event until a phase that has a row for it; the caller names the row. */
export function parkEvent(work: Work, event: OrderEvent): void {
  if (work.state.inbox.length >= inboxMax) {
    work.deadLetter('inbox_full', event);
    work.incident('inbox_full', '', `more than ${inboxMax} events wait`);
    return;
  }
  work.state.inbox = [...work.state.inbox, event];
}

/** Row 1: nobody has bought yet. */
export function parkOrphan(work: Work, event: OrderEvent): Row {
  parkEvent(work, event);
  if (!work.hasTimer('inboxOrphan') && !work.raised('orphan_events', '')) work.schedule('inboxOrphan');
  return '1';
}

/** Row 5: the purchase did not come. The events stay, in case it does; copies go where an operator looks. */
export function orphanTimer(work: Work, _firing: Firing): Row {
  const { inbox } = work.state;
  for (const event of inbox) work.deadLetter('orphan_event', event);
  work.incident('orphan_events', '', `${inbox.length} events without a purchase`);
  return '5';
}

/** Row 12a for events that only an order that has asked for money can use (action required, declined). */
export function parkPayment(work: Work, event: OrderEvent): Row {
  parkEvent(work, event);
  return '12a';
}

/** Row 12b: goods moved before the order was paid and released. */
export function parkShipment(work: Work, event: OrderEvent): Row {
  parkEvent(work, event);
  return '12b';
}

/** Row 12b: still unpaid after the timer. */
export function earlyShipmentTimer(work: Work, _firing: Firing): Row {
  work.incident('shipped_unpaid', '', 'goods moved, the order is not paid');
  return '12b';
}
