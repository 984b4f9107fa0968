/**
 * What a run of the shop must have left behind when all its orders have ended, judged from outside: the committed
 * records of its topics, and the states of its stores. Nothing here asks the engine or the order machine's rules;
 * what an order should have cost, sent and taken is worked out anew from what was bought and what was dispatched.
 *
 * Every checker returns its violations, an empty list is a pass; none throws. Used by shop-simulation.ts.
 */
import type { StockState } from '../../topology/inventory/stock-state.ts';
import type { OrderState } from '../../topology/order/state.ts';
import type { OrderPlaced, TopicValues } from '../../topology/schema-types.ts';
import { type TopicName, topics } from '../../topology/topics.ts';
import type { Violation } from '../support/ledger-checkers.ts';

/** A committed record, decoded. Order in a list: per partition by offset. */
export interface ShopRecord<V> {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly value: V;
  /** Header `ce_id`. */
  readonly id: string;
  /** Header `attempt`; commands have it. */
  readonly attempt: number | undefined;
}

export type ShopTopics = { readonly [T in TopicName]: readonly ShopRecord<TopicValues[T]>[] };

export interface ShopOutcome {
  readonly topics: ShopTopics;
  /** Records of every dead-letter topic: its name, the key and why it is there. */
  readonly deadLetters: readonly { readonly topic: string; readonly key: string; readonly reason: string }[];
  /** The store of orders. */
  readonly orders: ReadonlyMap<string, OrderState>;
  /** The store of stock, by sku. */
  readonly stock: ReadonlyMap<string, StockState>;
}

export type ShopChecker = (outcome: ShopOutcome) => Violation[];

export const endedPhases: ReadonlySet<string> = new Set(['DELIVERED', 'CLOSED', 'CANCELLED', 'REJECTED']);

/** The topics that the order machine reads, each record by its order's key. */
const orderInputs = [
  'purchase.events',
  'payment.events',
  'inventory.replies',
  'shipment.events',
  'tracking.updates',
] as const satisfies readonly TopicName[];

type CommandTopic = Extract<TopicName, `${string}.commands`>;
const commandTopics = topics.filter(({ isCommand }) => isCommand).map(({ name }) => name as CommandTopic);

function placeOf({ topic, partition, offset, key }: ShopRecord<unknown>): string {
  return `${topic}-${partition}@${offset} ${key}`;
}

function placedOrders({ topics }: ShopOutcome): Map<string, OrderPlaced> {
  const placed = new Map<string, OrderPlaced>();
  for (const { value } of topics['purchase.events'])
    if (value.type === 'OrderPlaced' && !placed.has(value.orderId)) placed.set(value.orderId, value);
  return placed;
}

/** An event that was sent twice is one event. */
function distinct<V extends { readonly eventId: string }>(records: readonly ShopRecord<V>[]): V[] {
  return [...new Map(records.map(({ value }) => [value.eventId, value])).values()];
}

function grouped<V>(items: readonly V[], keyOf: (item: V) => string): Map<string, V[]> {
  const groups = new Map<string, V[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

/** Every order that was placed has ended, and there is none that nobody has placed. */
export function checkEnded(outcome: ShopOutcome): Violation[] {
  const found: Violation[] = [];
  const tell = (where: string, what: string) => found.push({ checker: 'ended', where, what });
  const placed = placedOrders(outcome);
  if (placed.size === 0) tell('purchase.events', 'nothing was bought');
  for (const orderId of placed.keys()) {
    const order = outcome.orders.get(orderId);
    if (order === undefined) tell(orderId, 'was placed and is not in the store');
    else if (!endedPhases.has(order.phase)) tell(orderId, `is ${order.phase}`);
    else if (order.inbox.length > 0)
      tell(orderId, `has ended and ${order.inbox.length} events wait in its inbox`);
  }
  for (const orderId of outcome.orders.keys())
    if (!placed.has(orderId)) tell(orderId, 'is in the store and was never placed');
  return found;
}

/** No command's attempt twice, and none left out: attempts are 1, 2, 3 … in their order. */
export function checkCommands({ topics }: ShopOutcome): Violation[] {
  const found: Violation[] = [];
  for (const topic of commandTopics) {
    const last = new Map<string, number>();
    for (const record of topics[topic]) {
      const { commandId } = record.value;
      const expected = (last.get(commandId) ?? 0) + 1;
      last.set(commandId, record.attempt ?? 0);
      if (record.attempt === expected && record.id === `${commandId}-${expected}`) continue;
      const what = `${record.value.type} ${record.id} is attempt ${record.attempt}, expected ${expected}`;
      found.push({ checker: 'commands', where: placeOf(record), what });
    }
  }
  return found;
}

/**
 * Each record that the order machine was given is in its order's timeline once (an entry may be followed by more of
 * the same record) and in the order of its topic, and each entry begins in the phase in which the one before ended.
 */
export function checkTimeline(outcome: ShopOutcome): Violation[] {
  const found: Violation[] = [];
  const tell = (where: string, what: string) => found.push({ checker: 'timeline', where, what });
  const given = new Set<string>();
  for (const topic of orderInputs)
    for (const { partition, offset, key } of outcome.topics[topic])
      given.add(`${key} ${topic}-${partition}@${offset}`);
  const ids = new Set<string>();
  for (const [orderId, entries] of grouped(outcome.topics['orchestration.timeline'], ({ key }) => key)) {
    let phase = 'PENDING';
    let source: string | undefined;
    const lastOffset = new Map<string, number>();
    for (const record of entries) {
      const { sourceTopic, sourcePartition, sourceOffset, phaseBefore, phaseAfter } = record.value;
      if (ids.has(record.id)) tell(placeOf(record), `the entry ${record.id} is there twice`);
      ids.add(record.id);
      if (phaseBefore !== phase)
        tell(placeOf(record), `begins in ${phaseBefore}, the one before ended in ${phase}`);
      phase = phaseAfter;
      const before = source;
      source = sourceTopic === null ? undefined : `${sourceTopic}-${sourcePartition}@${sourceOffset}`;
      if (sourceTopic === null || sourceOffset === null || source === before) continue;
      if (sourceOffset <= (lastOffset.get(sourceTopic) ?? -1))
        tell(placeOf(record), `takes ${source} after offset ${lastOffset.get(sourceTopic)}`);
      lastOffset.set(sourceTopic, sourceOffset);
      if (!given.delete(`${orderId} ${source}`))
        tell(placeOf(record), `takes ${source}, which is not its own`);
    }
    const order = outcome.orders.get(orderId);
    if (order?.phase !== phase) tell(orderId, `its timeline ends in ${phase}, its state is ${order?.phase}`);
  }
  for (const source of given) tell(source, 'is in no timeline');
  return found;
}

/** The states of each order are numbered 1, 2, 3 …, and the last one says what the store says. */
export function checkStates(outcome: ShopOutcome): Violation[] {
  const found: Violation[] = [];
  const tell = (where: string, what: string) => found.push({ checker: 'states', where, what });
  const states = grouped(outcome.topics['orchestration.state'], ({ key }) => key);
  for (const [orderId, records] of states) {
    for (const [index, record] of records.entries()) {
      const { stateVersion } = record.value;
      if (stateVersion !== index + 1)
        tell(placeOf(record), `is version ${stateVersion}, expected ${index + 1}`);
    }
    const last = records.at(-1) as ShopRecord<TopicValues['orchestration.state']>;
    const difference = differenceOf(last.value, outcome.orders.get(orderId));
    if (difference !== undefined) tell(placeOf(last), difference);
  }
  for (const orderId of outcome.orders.keys())
    if (!states.has(orderId)) tell(orderId, 'is in the store and not in orchestration.state');
  return found;
}

const sameInBoth = [
  'orderId',
  'tenantId',
  'phase',
  'flags',
  'reasonCode',
  'customerId',
  'currencyCode',
  'placedAt',
  'promisedAt',
  'totalMinor',
  'shippingMinor',
  'adjustmentMinor',
] as const;
const sums = ['authorizedMinor', 'capturedMinor', 'voidedMinor', 'refundedMinor'] as const;

function differenceOf(
  shown: TopicValues['orchestration.state'],
  order: OrderState | undefined,
): string | undefined {
  if (order === undefined) return 'is not in the store';
  const pairs: [string, unknown, unknown][] = [['version', shown.stateVersion, order.version]];
  for (const name of sameInBoth) pairs.push([name, shown[name], order[name]]);
  for (const name of sums) pairs.push([name, shown[name], sum(order.payments, (payment) => payment[name])]);
  for (const name of ['lines', 'payments', 'shipments'] as const) {
    const stored: readonly object[] = order[name];
    pairs.push([name, shown[name].length, stored.length]);
    // Only what both have: the store knows more, and a payment's status is made up for the topic.
    for (const [index, part] of shown[name].entries())
      for (const [field, value] of Object.entries(part))
        if (field in (stored[index] ?? {}))
          pairs.push([`${name}.${index}.${field}`, value, (stored[index] as Record<string, unknown>)[field]]);
  }
  const differing = pairs.find(([, a, b]) => JSON.stringify(a) !== JSON.stringify(b));
  if (differing === undefined) return undefined;
  const [name, a, b] = differing;
  return `${name} is ${JSON.stringify(a)} in the topic and ${JSON.stringify(b)} in the store`;
}

function sum<V>(items: readonly V[], of: (item: V) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

/** Per sku: what came is still there or has left in a parcel, and nothing is held for orders that have ended. */
export function checkStock(outcome: ShopOutcome): Violation[] {
  const found: Violation[] = [];
  const tell = (sku: string, what: string) => found.push({ checker: 'stock', where: sku, what });
  const received = new Map<string, number>();
  for (const event of distinct(outcome.topics['inventory.events']))
    if (event.type === 'StockReceived')
      received.set(event.sku, (received.get(event.sku) ?? 0) + event.quantity);
  const left = new Map<string, number>();
  for (const [orderId, lines] of dispatchedLines(outcome))
    for (const line of placedOrders(outcome).get(orderId)?.lines ?? [])
      left.set(line.sku, (left.get(line.sku) ?? 0) + (lines.get(line.lineId) ?? 0));
  for (const sku of new Set([...received.keys(), ...outcome.stock.keys()])) {
    const stock = outcome.stock.get(sku);
    if (stock === undefined) {
      tell(sku, 'was received and is not in the store');
      continue;
    }
    const came = received.get(sku) ?? 0;
    const gone = left.get(sku) ?? 0;
    if (stock.onHand + gone !== came)
      tell(sku, `${came} came, ${gone} left in parcels, and ${stock.onHand} are on hand`);
    const holding = Object.entries(stock.holds).filter(
      ([, { status }]) => status === 'reserved' || status === 'committed',
    );
    if (holding.length > 0 || stock.reserved + stock.allocated !== 0) {
      const holders = holding.map(([key, { status, quantity }]) => `${key} ${status} ${quantity}`).join(', ');
      tell(sku, `${stock.reserved + stock.allocated} are held for orders that have ended: ${holders}`);
    }
  }
  return found;
}

/** Quantities by line of each order that warehouses have handed over. */
function dispatchedLines({ topics }: ShopOutcome): Map<string, Map<string, number>> {
  const orders = new Map<string, Map<string, number>>();
  for (const event of distinct(topics['shipment.events'])) {
    if (event.type !== 'ShipmentDispatched') continue;
    const lines = orders.get(event.orderId) ?? new Map<string, number>();
    orders.set(event.orderId, lines);
    for (const { lineId, quantity } of event.lines) lines.set(lineId, (lines.get(lineId) ?? 0) + quantity);
  }
  return orders;
}

/**
 * Per order: what was captured and not refunded is what the dispatched goods cost, with their share of shipping; to the
 * cent when all or nothing was dispatched, else to a cent per line (shares are rounded). And the store knows both sums.
 */
export function checkMoney(outcome: ShopOutcome): Violation[] {
  const found: Violation[] = [];
  const tell = (where: string, what: string) => found.push({ checker: 'money', where, what });
  const payments = grouped(distinct(outcome.topics['payment.events']), ({ orderId }) => orderId);
  const dispatched = dispatchedLines(outcome);
  for (const [orderId, placed] of placedOrders(outcome)) {
    const amountOf = (type: string) =>
      sum(payments.get(orderId) ?? [], (event) => (event.type === type ? event.amountMinor : 0));
    const captured = amountOf('PaymentCaptured');
    const refunded = amountOf('RefundSettled');
    const lines = dispatched.get(orderId) ?? new Map<string, number>();
    const worth = (quantityOf: (line: OrderPlaced['lines'][number]) => number) =>
      sum(placed.lines, (line) => quantityOf(line) * line.unitPriceMinor);
    const share = worth(({ lineId }) => lines.get(lineId) ?? 0) / worth(({ quantity }) => quantity);
    const costs = placed.totalMinor * share;
    const tolerance = share === 0 || share === 1 ? 0 : placed.lines.length;
    if (Math.abs(captured - refunded - costs) > tolerance)
      tell(orderId, `${captured} captured, ${refunded} refunded, and what was dispatched costs ${costs}`);
    const stored = outcome.orders.get(orderId)?.payments ?? [];
    const storedCaptured = sum(stored, ({ capturedMinor }) => capturedMinor);
    const storedRefunded = sum(stored, ({ refundedMinor }) => refundedMinor);
    if (storedCaptured !== captured || storedRefunded !== refunded)
      tell(
        orderId,
        `${captured} captured, ${refunded} refunded; the store says ${storedCaptured}, ${storedRefunded}`,
      );
  }
  return found;
}

/** Nothing was refused. */
export function checkDeadLetters({ deadLetters }: ShopOutcome): Violation[] {
  return deadLetters.map(({ topic, key, reason }) => ({
    checker: 'dead letters',
    where: `${topic} ${key}`,
    what: reason,
  }));
}

export const shopCheckers: readonly ShopChecker[] = [
  checkEnded,
  checkCommands,
  checkTimeline,
  checkStates,
  checkStock,
  checkMoney,
  checkDeadLetters,
];

export function checkShop(outcome: ShopOutcome): Violation[] {
  return shopCheckers.flatMap((check) => check(outcome));
}
