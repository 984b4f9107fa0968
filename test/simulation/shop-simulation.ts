/**
 * The shop in a simulated cluster: its application on three machines and that of the participants on two, bought
 * from by the demo's customers. Partitions, settings, purchases, what participants do wrong and all faults are
 * drawn from the seed. Run by the tests of this folder and, for many seeds, by `npm run simulate`.
 */
import { fileURLToPath } from 'node:url';
import {
  createAvroSerdes,
  deadLetterTopic,
  loadSchemas,
  openEmbeddedRegistry,
  partitionForKey,
  type Random,
  seededRandom,
  stringSerde,
  type Topology,
  textHeader,
} from '#streams';
import {
  type ClusterView,
  type CommittedRecord,
  type CommittedView,
  ManualClock,
  type SimulationInput,
  type SimulationReport,
  simulate,
} from '#streams/testing';
import { simulationStartMs } from '../../src/testing/simulation/scheduler.ts';
import { demoOrder, openingStock } from '../../topology/demo/order-generator.ts';
import { headerKeys, headersOf, traceparentOf } from '../../topology/headers.ts';
import { stockStore } from '../../topology/inventory/stock-processor.ts';
import type { StockState } from '../../topology/inventory/stock-state.ts';
import { orderStore } from '../../topology/order/order-processor.ts';
import type { OrderState } from '../../topology/order/state.ts';
import type { FaultSwitches } from '../../topology/participants/faults.ts';
import type { ParticipantDelays } from '../../topology/participants/plan.ts';
import { createParticipantsTopology } from '../../topology/participants-topology.ts';
import type { OrderCancelRequested, TopicValues } from '../../topology/schema-types.ts';
import { participantsIdOf } from '../../topology/shop-runtime.ts';
import { createShopTopology } from '../../topology/shop-topology.ts';
import { type TimerProfile, timerProfiles } from '../../topology/timer-profiles.ts';
import {
  openShopSerdes,
  type ShopSerdes,
  type TopicCounts,
  type TopicName,
  topicSpecs,
  topics,
} from '../../topology/topics.ts';
import { violationsText } from '../support/ledger-checkers.ts';
import { checkShop, type ShopOutcome, type ShopRecord, type ShopTopics } from './shop-checkers.ts';
import { drawSettings, faultsOf, type WorkloadOptions } from './workload.ts';

const schemasFolder = fileURLToPath(new URL('../../../schemas', import.meta.url));
const applicationId = 'shop';

export interface ShopSimulationOptions extends WorkloadOptions {
  readonly orders?: number;
}

export interface ShopSimulationReport extends SimulationReport {
  /** Committed records that the two applications have read. */
  readonly records: number;
  /** Orders by the phase in which they ended. */
  readonly phases: Readonly<Record<string, number>>;
}

/** The demo's, but customers who want their money back think it over quickly. */
const profile: TimerProfile = {
  ...timerProfiles.demo,
  timers: {
    ...timerProfiles.demo.timers,
    returnWindow: { ...timerProfiles.demo.timers.returnWindow, delayMs: 3_000 },
  },
};
const delays: ParticipantDelays = { answerMs: 100, customerMs: 800, packMs: 600, scanMs: 300 };
/** Well beyond every timer would make a run last for hours of virtual time. */
const clockJumpMsMax = 30_000;

/** All there is to know before the simulation begins: inside it nothing may wait for a file. */
interface Wiring {
  readonly serdes: ShopSerdes;
  readonly shop: Topology;
  readonly participants: Topology;
}

/**
 * One topology for all processes of an application: it describes, and every process makes its own processors by
 * its suppliers. Serdes keep schemas only, all of which are known beforehand.
 */
async function wire(seed: number, faults: FaultSwitches): Promise<Wiring> {
  const schemas = await loadSchemas(schemasFolder);
  const registry = await openEmbeddedRegistry({ schemas });
  const avro = createAvroSerdes({ registry, schemas, autoRegister: true, clock: new ManualClock() });
  const serdes = await openShopSerdes(avro);
  return {
    serdes,
    shop: await createShopTopology({ applicationId, avro, serdes, profile, withWatermark: false }),
    participants: createParticipantsTopology(serdes, { mode: 'shop', seed, faults, delays }),
  };
}

/** One seed: five instances, 70 orders, at least 2,000 records, about a dozen faults. */
export async function simulateShop(
  seed: number,
  options: ShopSimulationOptions = {},
): Promise<ShopSimulationReport> {
  // Apart from the simulation's own numbers, so that a change here does not change what happens there.
  const random = seededRandom(seed ^ 0x5409);
  const switches: FaultSwitches = {
    slow: random.next() * 0.1,
    decline: random.next() * 0.3,
    outOfStock: random.next() * 0.3,
    duplicate: random.next() * 0.4,
    reorder: random.next() * 0.4,
  };
  const partitions: TopicCounts = {
    order: 1 + random.integer(3),
    sku: 1 + random.integer(2),
    trackingNumber: 1 + random.integer(2),
  };
  const settings = drawSettings(random, [50, 100, 200]);
  const { serdes, shop, participants } = await wire(seed, switches);
  const inputs = inputsOf({ seed, random, orders: options.orders ?? 70, switches, partitions, serdes });
  let outcome: ShopOutcome | undefined;
  const report = await simulate({
    seed,
    applications: [
      { applicationId, topology: () => shop, instances: 3, settings },
      {
        applicationId: participantsIdOf(applicationId),
        topology: () => participants,
        instances: 2,
        settings,
      },
    ],
    topics: topicSpecs(partitions, true),
    inputs,
    faults: { ...faultsOf(options), clockJumpMsMax },
    awaited: (view) => awaited(view, serdes),
    settleMsMax: 600_000,
    check: async (view) => {
      outcome = await outcomeOf(view, serdes, shop);
      const violations = checkShop(outcome);
      return violations.length === 0 ? [] : [violationsText(violations)];
    },
    keepLog: options.keepLog ?? false,
  });
  return { ...report, records: recordsRead(outcome), phases: phasesOf(outcome) };
}

interface InputOptions {
  readonly seed: number;
  readonly random: Random;
  readonly orders: number;
  readonly switches: FaultSwitches;
  readonly partitions: TopicCounts;
  readonly serdes: ShopSerdes;
}

/** How long customers come, and how much longer goods come: faults strike until then. */
const buyingMs = 4_000;
const deliveriesMs = 6_000;
/** A cancel comes so late at most: some parcels have left then, some are leaving. */
const cancelMsMax = 4_000;

/** Opening stock, then purchases with second thoughts at any later moment, and goods. Some of it comes twice. */
function inputsOf({ seed, random, orders, switches, partitions, serdes }: InputOptions): SimulationInput[] {
  const inputs: SimulationInput[] = [];
  const add = <T extends TopicName>(
    atMs: number,
    topic: T,
    key: string,
    value: TopicValues[T] & { readonly eventId: string; readonly occurredAt: number },
  ): void => {
    const count = partitions[topics.find(({ name }) => name === topic)?.key ?? 'order'];
    const input = recordOf(serdes, { topic, key, value, partitions: count });
    inputs.push({ ...input, atMs });
    if (random.next() < 0.05) inputs.push({ ...input, atMs: atMs + random.integer(500) });
  };
  for (const event of openingStock(seed, switches, simulationStartMs))
    add(0, 'inventory.events', event.sku, event);
  for (let number = 1; number <= orders; number++) {
    const atMs = 50 + Math.floor(((number - 1) * buyingMs) / orders);
    const { placed, cancel, restock } = demoOrder(seed, number, switches, simulationStartMs + atMs);
    const { orderId } = placed;
    add(atMs, 'purchase.events', orderId, placed);
    const cancels =
      cancel ?? (random.next() < 0.12 ? lateCancel(orderId, simulationStartMs + atMs) : undefined);
    if (cancels !== undefined) add(atMs + random.integer(cancelMsMax), 'purchase.events', orderId, cancels);
    if (restock !== undefined)
      add(atMs + random.integer(deliveriesMs - buyingMs), 'inventory.events', restock.sku, restock);
  }
  return inputs.sort((a, b) => a.atMs - b.atMs);
}

function lateCancel(orderId: string, occurredAt: number): OrderCancelRequested {
  return {
    type: 'OrderCancelRequested',
    eventId: `${orderId}/late-cancel`,
    occurredAt,
    sourceSeq: null,
    orderId,
    reasonCode: 'second_thoughts',
    requestedBy: 'customer',
    lineIds: null,
  };
}

function recordOf<T extends TopicName>(
  serdes: ShopSerdes,
  of: {
    readonly topic: T;
    readonly key: string;
    readonly value: TopicValues[T] & { readonly eventId: string; readonly occurredAt: number };
    readonly partitions: number;
  },
): Omit<SimulationInput, 'atMs'> {
  const { topic, key, value, partitions } = of;
  const keyBytes = Buffer.from(key, 'utf8');
  return {
    topic,
    partition: partitionForKey(keyBytes, partitions),
    key: keyBytes,
    value: serdes[topic].serialize(value, topic),
    timestamp: value.occurredAt,
    headers: headersOf({
      id: value.eventId,
      source: '/simulation',
      type: value.type,
      timeMs: value.occurredAt,
      subject: key,
      traceparent: traceparentOf([], key),
      causationId: value.eventId,
      tenantId: 'demo',
    }),
  };
}

function decoded<T extends TopicName>(
  serdes: ShopSerdes,
  topic: T,
  records: readonly CommittedRecord[],
): ShopRecord<TopicValues[T]>[] {
  return records.map(({ partition, offset, key, value, headers }) => ({
    topic,
    partition,
    offset,
    key: key?.toString('utf8') ?? '',
    value: serdes[topic].deserialize(value, topic) as TopicValues[T],
    id: textHeader(headers, headerKeys.id) ?? '',
    attempt: numberOf(textHeader(headers, headerKeys.attempt)),
  }));
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

const finalPhases: readonly string[] = ['CLOSED', 'CANCELLED', 'REJECTED'];

/** Which orders are still on their way, and which payment commands nobody has answered. */
async function awaited(view: CommittedView, serdes: ShopSerdes): Promise<string | undefined> {
  const read = async <T extends TopicName>(topic: T): Promise<ShopRecord<TopicValues[T]>[]> =>
    decoded(serdes, topic, await view.records(topic));
  const phases = new Map<string, string>();
  for (const { key } of await view.records('purchase.events'))
    phases.set(key?.toString('utf8') ?? '', 'not seen');
  for (const { key, value } of await read('orchestration.state')) phases.set(key, value.phase);
  const open = [...phases].filter(([, phase]) => !finalPhases.includes(phase));
  const answered = new Set((await read('payment.events')).map(({ value }) => value.commandId));
  const unanswered = (await read('payment.commands')).filter(
    ({ value: { type, commandId } }) =>
      (type === 'CapturePayment' || type === 'RefundPayment' || type === 'VoidAuthorization') &&
      !answered.has(commandId),
  );
  if (open.length + unanswered.length === 0) return undefined;
  return [
    ...open.map(([orderId, phase]) => `${orderId} is ${phase}`),
    ...unanswered.map(({ key, value }) => `${value.type} of ${key} has no answer`),
  ].join(', ');
}

async function outcomeOf(view: ClusterView, serdes: ShopSerdes, shop: Topology): Promise<ShopOutcome> {
  const read = async <T extends TopicName>(topic: T) =>
    [topic, decoded(serdes, topic, await view.records(topic))] as const;
  const deadLetters: { topic: string; key: string; reason: string }[] = [];
  for (const { name } of topics) {
    for (const { topic, key, headers } of await view.records(deadLetterTopic(name))) {
      const reason = textHeader(headers, headerKeys.deadLetterReason) ?? '';
      deadLetters.push({ topic, key: key?.toString('utf8') ?? '', reason });
    }
  }
  return {
    topics: Object.fromEntries(
      await Promise.all(topics.map(({ name }) => read(name))),
    ) as unknown as ShopTopics,
    deadLetters,
    orders: await storeOf<OrderState>(view, shop, orderStore),
    stock: await storeOf<StockState>(view, shop, stockStore),
  };
}

async function storeOf<V>(view: ClusterView, topology: Topology, store: string): Promise<Map<string, V>> {
  const spec = topology.stores().find(({ name }) => name === store);
  const entries = await view.entries(applicationId, store);
  return new Map(
    entries.map(({ key, value }) => [
      stringSerde.deserialize(key, store) as string,
      spec?.valueSerde.deserialize(value, store) as V,
    ]),
  );
}

/** Of the topics that an application reads; the shop's own repartition topic is left out. */
function recordsRead(outcome: ShopOutcome | undefined): number {
  if (outcome === undefined) return 0;
  return Object.entries(outcome.topics).reduce((count, [topic, records]) => {
    // Read by the carrier and by the shop.
    if (topic === 'shipment.events') return count + 2 * records.length;
    return topic.startsWith('orchestration.') ? count : count + records.length;
  }, 0);
}

function phasesOf(outcome: ShopOutcome | undefined): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { phase } of outcome?.orders.values() ?? []) counts[phase] = (counts[phase] ?? 0) + 1;
  return counts;
}
