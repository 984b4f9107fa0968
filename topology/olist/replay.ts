/**
 * A replay from end to end: topics ▸ shop and participants ▸ driver ▸ independent summary ▸ comparison with what
 * the company recorded. Called by `millrace replay`, by tests and by bench/replay.mjs. It is given a broker and a
 * registry and leaves them open; killed at any moment and called again on the same data it goes on.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  type AvroSchemas,
  type Broker,
  type Clock,
  type SchemaRegistry,
  StreamsError,
  type Telemetry,
} from '#streams';
import { noFaults } from '../participants/faults.ts';
import { noDelays } from '../participants/plan.ts';
import { observe } from '../shop-observer.ts';
import { ensureTopics, ShopRuntime } from '../shop-runtime.ts';
import { timerProfiles } from '../timer-profiles.ts';
import { partitionsOf } from '../topic-reader.ts';
import { defaultPartitions, replayTopicSpecs, type TopicCounts, topicSpecs } from '../topics.ts';
import { InputLag } from './drained.ts';
import type { OlistOrder } from './olist-orders.ts';
import { openingStock } from './opening-stock.ts';
import { ReplayDriver } from './replay-driver.ts';
import { planReplay, type ReplayPlan } from './replay-plan.ts';
import { type ReplaySummary, summarize } from './replay-summary.ts';

/** What decides a replay's outcome; restarted with other ones it is refused. */
export interface ReplayChoices {
  readonly shuffleSeed: number | undefined;
  /** 0 to 1. */
  readonly duplicate: number;
  /** 0 to 1. */
  readonly oversell: number;
}

export interface ReplayOptions extends ReplayChoices {
  readonly orders: readonly OlistOrder[];
  readonly broker: Broker;
  readonly registry: SchemaRegistry;
  readonly schemas: AvroSchemas;
  readonly applicationId: string;
  readonly stateDir: string;
  readonly partitions?: TopicCounts;
  /** Deletes the topics of an earlier replay first. */
  readonly reset?: boolean;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly signal: AbortSignal;
  /** The plan is known: `events` is how many there are. */
  readonly onPlanned?: (plan: { readonly events: number }) => void;
  readonly onStarted?: (shop: ShopRuntime) => Promise<void>;
  readonly onProgress?: (progress: { readonly eventsSent: number; readonly lag: number }) => void;
}

/** Between two barriers: large enough to be fast, small enough that timers follow the events. */
const batchEventsMax = 2_000;

/** How often things happen, by broker: Kafka's commits and look-ups cost milliseconds, the embedded ones do not. */
const pace = {
  embedded: { commitIntervalMs: 25, drainPollMs: 4 },
  kafka: { commitIntervalMs: 100, drainPollMs: 25 },
} as const;

/** Of the orders and everything that decides the outcome. */
export function fingerprintOf(orders: readonly OlistOrder[], choices: ReplayChoices): string {
  const { shuffleSeed, duplicate, oversell } = choices;
  const text = JSON.stringify([1, batchEventsMax, shuffleSeed ?? null, duplicate, oversell, orders]);
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

export function planOf(orders: readonly OlistOrder[], choices: ReplayChoices): ReplayPlan {
  return planReplay(orders, openingStock(orders, choices.oversell), { ...choices, batchEventsMax });
}

/** Every topic of a replay but the internal ones of its applications. */
export function replayTopics(partitions: TopicCounts = defaultPartitions) {
  return [...topicSpecs(partitions, true), ...replayTopicSpecs(partitions)];
}

/**
 * The summary; undefined when the signal came before the end (nothing is lost: the next call goes on).
 * Errors: SETTING_INVALID (the topics hold another replay), TOPIC_MISMATCH, and what the applications die of.
 */
export async function runReplay(options: ReplayOptions): Promise<ReplaySummary | undefined> {
  const { broker, clock, orders, signal } = options;
  const plan = planOf(orders, options);
  options.onPlanned?.({ events: plan.events.length });
  const shop = await createShop(options);
  if (options.reset === true) await deleteTopics(options, shop);
  await ensureTopics(broker, clock, replayTopics(options.partitions));
  if (options.reset === true) await forgetOffsets(options, shop);
  const beganMs = clock.monotonicMs();
  try {
    const driver = await createDriver(options, plan, shop);
    await driver.open();
    await shop.start();
    await options.onStarted?.(shop);
    const finished = await Promise.race([driver.run(), shop.failure.then(rethrow)]);
    if (!finished || signal.aborted) return undefined;
    const seconds = (clock.monotonicMs() - beganMs) / 1000;
    const observed = await observe(broker, shop.serdes);
    const { oversell } = options;
    const [events, eventsSent] = [plan.events.length, driver.sentHere];
    return summarize({ orders, oversell, observed, broker: broker.kind, events, eventsSent, seconds });
  } finally {
    await shop.stop();
  }
}

async function deleteTopics({ broker, clock, partitions }: ReplayOptions, shop: ShopRuntime): Promise<void> {
  const names = [...replayTopics(partitions).map(({ name }) => name), ...shop.internalTopics];
  await broker.admin.deleteTopics(names);
  // Deleting is not done when Kafka has answered: a topic made too early would be gone a moment later.
  await waitFor(clock, 'the topics of the earlier replay are still there', async () => {
    const left = await broker.admin.describeTopics(names);
    return left.every((topic) => topic === undefined);
  });
}

/** With its topics a group's offsets go too, a moment later; kept, they would skip events of the new replay. */
async function forgetOffsets({ broker, clock }: ReplayOptions, shop: ShopRuntime): Promise<void> {
  for (const { groupId, topics } of shop.inputs) {
    const partitions = await partitionsOf(broker, topics);
    await waitFor(clock, `offsets of the group ${groupId} are still there`, async () => {
      const offsets = await broker.admin.committedOffsets(groupId, partitions);
      return offsets.every((offset) => offset === undefined);
    });
  }
}

const waitTries = 100;
const waitMs = 100;

async function waitFor(clock: Clock, otherwise: string, condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < waitTries; tries++) {
    if (await condition()) return;
    await clock.sleep(waitMs);
  }
  throw new StreamsError('SETTING_INVALID', otherwise, { hint: 'try again, or choose another --app-id' });
}

function rethrow(error: StreamsError): never {
  throw error;
}

function createShop(options: ReplayOptions): Promise<ShopRuntime> {
  const { broker, registry, schemas, clock, telemetry, applicationId } = options;
  const { commitIntervalMs } = pace[broker.kind];
  return ShopRuntime.create({
    broker,
    registry,
    schemas,
    registerSchemas: true,
    settings: {
      applicationId,
      commitIntervalMs,
      // A static member that was killed gets its tasks back at once, not after a session time-out.
      ...(broker.kind === 'kafka' ? { instanceId: 'replay' } : {}),
    },
    stateDir: join(options.stateDir, 'state'),
    profile: timerProfiles['olist-replay'],
    withWatermark: true,
    runShop: true,
    participants: { mode: 'replay', seed: 1, faults: noFaults, delays: noDelays },
    clock,
    telemetry,
  });
}

async function createDriver(
  options: ReplayOptions,
  plan: ReplayPlan,
  shop: ShopRuntime,
): Promise<ReplayDriver> {
  const { broker, applicationId, clock, telemetry, signal, orders } = options;
  return new ReplayDriver({
    broker,
    serdes: shop.serdes,
    plan,
    fingerprint: fingerprintOf(orders, options),
    transactionalId: `${applicationId}-driver`,
    openLag: () => InputLag.open(broker, shop.inputs),
    clock,
    log: telemetry.log.child({ part: 'driver' }),
    drainPollMs: pace[broker.kind].drainPollMs,
    signal,
    onProgress: options.onProgress ?? (() => {}),
  });
}
