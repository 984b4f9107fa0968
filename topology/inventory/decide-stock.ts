/**
 * Stock decisions of one sku: who gets what is there. Pure; called by stock-processor.ts, which is the single writer
 * of a sku, so the last unit goes to one buyer. Every command may come again: a higher attempt is answered the same
 * way again, the same attempt is a duplicate and is only counted. A release is remembered: a reserve of the same
 * generation that comes after it is refused (row 12 of the order machine).
 */

import { stableId } from '../order/command-id.ts';
import type {
  CommitReservation,
  CommitSale,
  ExtendReservation,
  InventoryCommand,
  InventoryEvent,
  InventoryReply,
  ReleaseStock,
  ReserveStock,
} from '../schema-types.ts';
import {
  availableQuantity,
  emptyStock,
  endedMax,
  type Hold,
  type StockState,
  seenMax,
} from './stock-state.ts';

/** `attempt`: of a command, from its header. `timestampMs`: event time of the record, the time of the answers. */
export interface StockContext {
  readonly attempt: number;
  readonly timestampMs: number;
}

/** `unexpected`: a command for a hold that is not there. `oversold`: a correction took away what was promised. */
export type StockOutcome = 'applied' | 'duplicate' | 'stale' | 'unexpected' | 'oversold';

export interface StockDecision {
  readonly state: StockState;
  readonly replies: readonly InventoryReply[];
  readonly outcome: StockOutcome;
}

const nobody: Hold = {
  status: 'released',
  quantity: 0,
  expiresAt: null,
  granted: null,
  released: null,
  attempts: {},
};

/** One command or stock event applied. `state` undefined: nothing is known of the sku, so nothing is there. */
export function decideStock(
  state: StockState | undefined,
  input: InventoryCommand | InventoryEvent,
  context: StockContext,
): StockDecision {
  const before = state ?? emptyStock(input.sku);
  switch (input.type) {
    case 'StockReceived':
    case 'StockAdjusted':
    case 'StockCounted':
      return correct(before, input);
    case 'Restock':
    case 'WriteOffStock':
      return takeReturn(before, input, context);
    default:
      return holdCommand(before, input, context);
  }
}

function correct(state: StockState, event: InventoryEvent): StockDecision {
  if (state.seen.includes(event.eventId)) return { state, replies: [], outcome: 'duplicate' };
  const location = event.locationId ?? '';
  const outdated = event.sourceSeq !== null && event.sourceSeq <= (state.sourceSeq[location] ?? -1);
  const seen = remember(state.seen, event.eventId);
  if (outdated) return { state: { ...state, seen }, replies: [], outcome: 'stale' };
  const sourceSeq =
    event.sourceSeq === null ? state.sourceSeq : { ...state.sourceSeq, [location]: event.sourceSeq };
  const onHand = Math.max(0, onHandAfter(state.onHand, event));
  const next = { ...state, onHand, seen, sourceSeq };
  const oversold = onHand < state.allocated + state.reserved;
  return { state: next, replies: [], outcome: oversold ? 'oversold' : 'applied' };
}

function onHandAfter(onHand: number, event: InventoryEvent): number {
  if (event.type === 'StockReceived') return onHand + event.quantity;
  return event.type === 'StockAdjusted' ? onHand + event.delta : event.onHand;
}

/** Returned goods: sellable ones go back on the shelf, the others were never on it. */
function takeReturn(
  state: StockState,
  command: Extract<InventoryCommand, { type: 'Restock' | 'WriteOffStock' }>,
  context: StockContext,
): StockDecision {
  const attempt = `${command.commandId}#${context.attempt}`;
  if (state.seen.includes(attempt)) return { state, replies: [], outcome: 'duplicate' };
  const first = !state.seen.some((id) => id.startsWith(`${command.commandId}#`));
  const added = first && command.type === 'Restock' ? command.quantity : 0;
  const next = { ...state, onHand: state.onHand + added, seen: remember(state.seen, attempt) };
  const replies =
    command.type === 'Restock' ? [answer('StockRestocked', command, command.quantity, context)] : [];
  return { state: next, replies, outcome: 'applied' };
}

type HoldCommand = ReserveStock | ExtendReservation | CommitReservation | CommitSale | ReleaseStock;

function holdCommand(state: StockState, command: HoldCommand, context: StockContext): StockDecision {
  const key = `${command.orderId}/${command.lineId}/${command.generation}`;
  const known = state.holds[key];
  const seenAttempt = known?.attempts[command.commandId] ?? 0;
  if (context.attempt <= seenAttempt) return { state, replies: [], outcome: 'duplicate' };
  const attempts = { ...known?.attempts, [command.commandId]: context.attempt };
  const hold: Hold = { ...(known ?? nobody), attempts };
  const repeated = seenAttempt > 0;
  switch (command.type) {
    case 'ReserveStock':
      return reserve(state, key, hold, command, context);
    case 'ReleaseStock':
      return release(state, key, hold, command, context);
    default:
      if (known === undefined) return { state, replies: [], outcome: 'unexpected' };
      return silent(state, key, hold, command, repeated);
  }
}

function reserve(
  state: StockState,
  key: string,
  hold: Hold,
  command: ReserveStock,
  context: StockContext,
): StockDecision {
  if (hold.granted !== null) {
    return { state: withHold(state, key, hold), replies: [granted(hold.granted, hold)], outcome: 'applied' };
  }
  if (hold.status === 'rejected' || hold.released !== null) {
    const reason = hold.status === 'rejected' ? 'out_of_stock' : 'released';
    return { state: withHold(state, key, hold), replies: [refused(reason)], outcome: 'applied' };
  }
  if (availableQuantity(state) < command.quantity || command.quantity <= 0) {
    const rejected: Hold = { ...hold, status: 'rejected' };
    return { state: withHold(state, key, rejected), replies: [refused('out_of_stock')], outcome: 'applied' };
  }
  const { quantity, expiresAt } = command;
  const taken: Hold = { ...hold, status: 'reserved', quantity, expiresAt, granted: quantity };
  return { state: withHold(state, key, taken), replies: [granted(quantity, taken)], outcome: 'applied' };

  function granted(quantity: number, of: Hold): InventoryReply {
    return { ...answer('StockReserved', command, quantity, context), expiresAt: of.expiresAt };
  }
  function refused(reasonCode: string): InventoryReply {
    const availableQuantityNow = availableQuantity(state);
    const reply = answer('StockRejected', command, command.quantity, context);
    return { ...reply, availableQuantity: availableQuantityNow, reasonCode };
  }
}

function release(
  state: StockState,
  key: string,
  hold: Hold,
  command: ReleaseStock,
  context: StockContext,
): StockDecision {
  const released = hold.released ?? hold.quantity;
  const status = hold.status === 'rejected' || hold.status === 'sold' ? hold.status : 'released';
  const next: Hold = { ...hold, status, quantity: 0, released };
  const replies = [answer('StockReleased', command, released, context)];
  return { state: withHold(state, key, next), replies, outcome: 'applied' };
}

/** Commands that nobody waits for. A repeat changes nothing more. */
function silent(
  state: StockState,
  key: string,
  hold: Hold,
  command: ExtendReservation | CommitReservation | CommitSale,
  repeated: boolean,
): StockDecision {
  const holding = hold.status === 'reserved' || hold.status === 'committed';
  if (!holding)
    return { state: withHold(state, key, hold), replies: [], outcome: repeated ? 'applied' : 'unexpected' };
  if (repeated) return { state: withHold(state, key, hold), replies: [], outcome: 'applied' };
  if (command.type === 'ExtendReservation') {
    const next = { ...hold, expiresAt: command.expiresAt };
    return { state: withHold(state, key, next), replies: [], outcome: 'applied' };
  }
  if (command.type === 'CommitReservation') {
    const next: Hold = { ...hold, status: 'committed', expiresAt: null };
    return { state: withHold(state, key, next), replies: [], outcome: 'applied' };
  }
  const sold = Math.min(command.quantity, hold.quantity);
  const quantity = hold.quantity - sold;
  const next: Hold = { ...hold, quantity, status: quantity === 0 ? 'sold' : hold.status };
  const after = withHold(state, key, next);
  return { state: { ...after, onHand: Math.max(0, after.onHand - sold) }, replies: [], outcome: 'applied' };
}

/** Puts a hold in its place, moves the sums by the difference, and forgets the oldest ended holds. */
function withHold(state: StockState, key: string, hold: Hold): StockState {
  const before = state.holds[key];
  let holds: Record<string, Hold> = { ...state.holds, [key]: hold };
  let ended = state.ended;
  if (isEnded(hold) && (before === undefined || !isEnded(before))) ended = [...ended, key];
  if (ended.length > endedMax) {
    const [oldest, ...rest] = ended;
    const { [oldest as string]: _forgotten, ...kept } = holds;
    holds = kept;
    ended = rest;
  }
  return {
    ...state,
    holds,
    ended,
    reserved: state.reserved - heldAs('reserved', before) + heldAs('reserved', hold),
    allocated: state.allocated - heldAs('committed', before) + heldAs('committed', hold),
  };
}

function isEnded(hold: Hold): boolean {
  return hold.status !== 'reserved' && hold.status !== 'committed';
}

function heldAs(status: Hold['status'], hold: Hold | undefined): number {
  return hold?.status === status ? hold.quantity : 0;
}

function remember(seen: readonly string[], id: string): readonly string[] {
  return [...seen.slice(-(seenMax - 1)), id];
}

/** What every answer carries. The event id is the command's and the kind's: a repeated answer is one event. */
function answer<T extends InventoryReply['type']>(
  type: T,
  command: InventoryCommand,
  quantity: number,
  context: StockContext,
) {
  return {
    type,
    eventId: stableId([command.commandId, type]),
    occurredAt: context.timestampMs,
    sourceSeq: null,
    commandId: command.commandId,
    orderId: command.orderId,
    lineId: command.lineId,
    sku: command.sku,
    quantity,
    locationId: command.locationId,
  } as const;
}
