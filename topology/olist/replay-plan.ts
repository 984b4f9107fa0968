/**
 * What the driver of a replay does, step by step, decided before anything is sent. Pure: the same orders and
 * options give the same plan, so a driver that was killed goes on from a step's number (replay-driver.ts).
 *
 * Steps: `send` some events; `drain`: wait until everything sent is worked off; `barrier`: drain, move the
 * watermark, drain again. They stand where the outcome would otherwise depend on who is quicker:
 * - a barrier every so many events, so that event-time timers follow the events;
 * - a barrier before an event that touches stock of a scarce product that this batch has touched already;
 * - a barrier at a moment when a timer of the machine would decide before the order's next event;
 * - a drain between the waves of a batch: purchases, then what follows them, then cancels. What really took the
 *   stock's answer milliseconds and the customer's payment minutes keeps its order, however fast the replay.
 * Shuffled there is only the one barrier at the end: events then come in no order that a watermark could promise.
 */
import { type Random, seededRandom, shuffled } from '#streams';
import type { StockReceived } from '../schema-types.ts';
import { timerProfiles } from '../timer-profiles.ts';
import { byTime, eventsOf, lastKnownAt, paysByBoleto, type ReplayEvent } from './olist-events.ts';
import type { OlistOrder } from './olist-orders.ts';
import type { OpeningStock } from './opening-stock.ts';

export interface PlanOptions {
  /** Undefined: in event order. */
  readonly shuffleSeed: number | undefined;
  /** The chance of an event to be sent a second time; 0 <= p <= 1. */
  readonly duplicate: number;
  /** At most so many events between two barriers. */
  readonly batchEventsMax: number;
}

/** Shape: `from` inclusive, `to` exclusive, indices into `events`. */
export type ReplayStep =
  | { readonly kind: 'send'; readonly from: number; readonly to: number }
  | { readonly kind: 'drain' }
  | { readonly kind: 'barrier'; readonly watermarkMs: number };

export interface ReplayPlan {
  readonly events: readonly ReplayEvent[];
  readonly steps: readonly ReplayStep[];
  /** How many of `events` only fill the shelves. */
  readonly stockEvents: number;
}

const dayMs = 24 * 3600 * 1000;
/** A repeated event comes at most so many events after the first. */
const duplicateDistanceMax = 200;
/** Chance of duplicates in event order; shuffled, the shuffle's seed is used. */
const defaultSeed = 1;
const profile = timerProfiles['olist-replay'];

export function planReplay(
  orders: readonly OlistOrder[],
  stock: OpeningStock,
  options: PlanOptions,
): ReplayPlan {
  const random = seededRandom(options.shuffleSeed ?? defaultSeed);
  const inOrder = orders.flatMap(eventsOf).sort(byTime);
  const firstMs = inOrder[0]?.timestamp ?? 0;
  const lastMs = inOrder.at(-1)?.timestamp ?? 0;
  const received = stockEvents(stock, firstMs - dayMs);
  const sequence =
    options.shuffleSeed === undefined
      ? repeated(inOrder, options.duplicate, random)
      : shuffled(withRepeats(inOrder, options.duplicate, random), random);
  const builder = new PlanBuilder(options.batchEventsMax);
  for (const event of received) builder.add(event);
  builder.barrier(firstMs - 1);
  if (options.shuffleSeed === undefined) inEventOrder(builder, sequence, orders, stock);
  else for (const event of sequence) builder.addUnordered(event);
  builder.barrier(lastMs + dayMs);
  return { ...builder.finish(), stockEvents: received.length };
}

function stockEvents(stock: OpeningStock, at: number): ReplayEvent[] {
  return [...stock.pieces]
    .filter(([, pieces]) => pieces > 0)
    .map(([sku, quantity]) => {
      const value: StockReceived = {
        type: 'StockReceived',
        eventId: `opening:${sku}`,
        occurredAt: at,
        sourceSeq: null,
        sku,
        locationId: null,
        quantity,
      };
      return { topic: 'inventory.events', key: sku, value, timestamp: at, rank: 0, orderId: '' } as const;
    });
}

function withRepeats(events: readonly ReplayEvent[], chance: number, random: Random): ReplayEvent[] {
  return chance === 0
    ? [...events]
    : events.flatMap((event) => (random.next() < chance ? [event, event] : [event]));
}

/** Repeats come a little later than the first, among other orders' events. */
function repeated(events: readonly ReplayEvent[], chance: number, random: Random): ReplayEvent[] {
  if (chance === 0) return [...events];
  const placed = events.map((event, index) => ({ event, at: index }));
  for (const [index, event] of events.entries()) {
    if (random.next() >= chance) continue;
    placed.push({ event, at: index + random.integer(duplicateDistanceMax) + 0.5 });
  }
  return placed.sort((a, b) => a.at - b.at).map(({ event }) => event);
}

/** The wave of a batch that an event goes out with; 0 first. */
function waveOf(event: ReplayEvent): number {
  switch (event.value.type) {
    case 'OrderPlaced':
    case 'StockReceived':
      return 0;
    case 'OrderCancelRequested':
      return 2;
    default:
      return 1;
  }
}

class PlanBuilder {
  readonly #batchEventsMax: number;
  readonly #events: ReplayEvent[] = [];
  readonly #steps: ReplayStep[] = [];
  #waves: ReplayEvent[][] = [[], [], []];
  #open = 0;

  constructor(batchEventsMax: number) {
    this.#batchEventsMax = batchEventsMax;
  }

  /** The batch is as large as it may be. */
  get isFull(): boolean {
    return this.#open >= this.#batchEventsMax;
  }

  /** Adds an event to the batch. */
  add(event: ReplayEvent): void {
    this.#waves[waveOf(event)]?.push(event);
    this.#open++;
  }

  /** Adds an event that goes out where it stands. */
  addUnordered(event: ReplayEvent): void {
    this.#waves[0]?.push(event);
    this.#open++;
  }

  barrier(watermarkMs: number): void {
    this.#flush();
    this.#steps.push({ kind: 'barrier', watermarkMs });
  }

  finish(): { readonly events: readonly ReplayEvent[]; readonly steps: readonly ReplayStep[] } {
    return { events: this.#events, steps: this.#steps };
  }

  #flush(): void {
    for (const [index, wave] of this.#waves.filter(({ length }) => length > 0).entries()) {
      if (index > 0) this.#steps.push({ kind: 'drain' });
      this.#send(wave);
    }
    this.#waves = [[], [], []];
    this.#open = 0;
  }

  /** One transaction each, so that none is larger than a batch. */
  #send(wave: readonly ReplayEvent[]): void {
    let from = this.#events.length;
    for (const event of wave) this.#events.push(event);
    while (from < this.#events.length) {
      const to = Math.min(this.#events.length, from + this.#batchEventsMax);
      this.#steps.push({ kind: 'send', from, to });
      from = to;
    }
  }
}

/** A moment that needs the watermark, because a timer decides then. `skus`: whose stock it may give back. */
interface Moment {
  readonly atMs: number;
  readonly skus: readonly string[];
}

function inEventOrder(
  builder: PlanBuilder,
  sequence: readonly ReplayEvent[],
  orders: readonly OlistOrder[],
  stock: OpeningStock,
): void {
  const scarceOf = new Map<string, readonly string[]>();
  for (const order of orders) {
    const skus = [...new Set(order.lines.map(({ productId }) => productId))];
    scarceOf.set(
      order.orderId,
      skus.filter((sku) => stock.scarce.has(sku)),
    );
  }
  const moments = orders.flatMap((order) => momentsOf(order, scarceOf.get(order.orderId) ?? []));
  moments.sort((a, b) => a.atMs - b.atMs);
  const seen = new Set<ReplayEvent>();
  let touched = new Set<string>();
  let previousMs = 0;
  const barrier = (watermarkMs: number) => {
    builder.barrier(watermarkMs);
    touched = new Set();
  };
  let moment = 0;
  for (const event of sequence) {
    const isRepeat = seen.has(event);
    seen.add(event);
    if (!isRepeat) {
      for (; (moments[moment]?.atMs ?? Number.POSITIVE_INFINITY) < event.timestamp; moment++) {
        barrier(moments[moment]?.atMs ?? 0);
      }
      const skus = touchesStock(event) ? (scarceOf.get(event.orderId) ?? []) : [];
      // Everything up to the moment before this event has been sent; of this very moment perhaps not all.
      if (skus.some((sku) => touched.has(sku))) barrier(event.timestamp - 1);
      for (const sku of skus) touched.add(sku);
      previousMs = event.timestamp;
    }
    builder.add(event);
    if (builder.isFull) barrier(previousMs - 1);
  }
}

/** Asks for stock, or gives it back. */
function touchesStock(event: ReplayEvent): boolean {
  return event.value.type === 'OrderPlaced' || event.value.type === 'OrderCancelRequested';
}

/**
 * When a timer decides before the order's next event: a bank slip that was not paid in time, and the end of the
 * grace before a cancel (then the order is released and its parcel may leave).
 */
export function momentsOf(order: OlistOrder, skus: readonly string[]): Moment[] {
  const moments: Moment[] = [];
  const dueMs = order.purchasedAt + profile.slowPaymentDueMs;
  const approvedAt = order.approvedAt ?? Number.POSITIVE_INFINITY;
  if (paysByBoleto(order) && approvedAt > dueMs) moments.push({ atMs: dueMs, skus });
  const releasedAt = approvedAt + profile.timers.graceRelease.delayMs;
  if (order.status === 'canceled' && lastKnownAt(order) > releasedAt)
    moments.push({ atMs: releasedAt, skus });
  return moments;
}
