/**
 * What the dashboard's first page shows, kept from the topics: the phase of every order, the last ones that
 * changed, their timelines. It follows `orchestration.state` and `orchestration.timeline`, read-committed, from
 * its own consumer, so it never asks the engine for more than its counters. In memory: one short entry per order.
 */
import type { Broker, Clock, Logger, Overview, RecentOrder, StreamsApp } from '#streams';
import type { OrderSnapshot, TimelineEntry } from '../schema-types.ts';
import { partitionsOf } from '../topic-reader.ts';
import type { ShopSerdes } from '../topics.ts';

const recentMax = 50;
/** Orders whose snapshot and timeline are kept for the page of one order. */
const detailedMax = 2_000;
const timelineEntriesMax = 200;
/** How much of the timeline topic a restarted board reads again, per partition. */
const timelineBackMax = 5_000;
const rateWindowMs = 60_000;

interface Detail {
  snapshot: OrderSnapshot;
  readonly timeline: TimelineEntry[];
}

export class OrderBoard {
  readonly #broker: Broker;
  readonly #serdes: ShopSerdes;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #phases = new Map<string, string>();
  readonly #counts = new Map<string, number>();
  /** Order: the last changed one last. */
  readonly #details = new Map<string, Detail>();
  readonly #timelines = new Map<string, TimelineEntry[]>();
  readonly #placedAtMs: number[] = [];
  readonly #samples: { readonly atMs: number; readonly processed: number }[] = [];
  readonly #startedAt: number;

  constructor(options: {
    readonly broker: Broker;
    readonly serdes: ShopSerdes;
    readonly clock: Clock;
    readonly log: Logger;
  }) {
    this.#broker = options.broker;
    this.#serdes = options.serdes;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#startedAt = options.clock.nowMs();
  }

  get total(): number {
    return this.#phases.size;
  }

  count(phases: readonly string[]): number {
    return phases.reduce((sum, phase) => sum + (this.#counts.get(phase) ?? 0), 0);
  }

  byPhase(): Record<string, number> {
    return Object.fromEntries([...this.#counts].filter(([, count]) => count > 0));
  }

  /** Follows the topics until the signal. Never throws: a dashboard must not end the shop. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#followOnce(signal);
      } catch (error) {
        this.#log.warn('the board lost its topics; it begins again', {}, error);
        await this.#clock.sleep(1_000, signal);
      }
    }
  }

  async #followOnce(signal: AbortSignal): Promise<void> {
    const { admin } = this.#broker;
    const states = await partitionsOf(this.#broker, ['orchestration.state']);
    const timelines = await partitionsOf(this.#broker, ['orchestration.timeline']);
    const stateStarts = await admin.startOffsets(states);
    const starts = await admin.startOffsets(timelines);
    const ends = await admin.endOffsets(timelines, 'read_committed');
    const consumer = await this.#broker.openConsumer({ isolation: 'read_committed', clientId: 'board' });
    try {
      await consumer.assign([
        ...states.map((partition, i) => ({ ...partition, offset: stateStarts[i] ?? 0 })),
        ...timelines.map((partition, i) => ({
          ...partition,
          offset: Math.max(starts[i] ?? 0, (ends[i] ?? 0) - timelineBackMax),
        })),
      ]);
      while (!signal.aborted) {
        for (const batch of await consumer.poll({ recordsMax: 500, waitMs: 250 })) {
          for (let index = 0; index < batch.count; index++) {
            await this.#take(batch.topic, batch.value(index));
          }
        }
      }
    } finally {
      await consumer.close();
    }
  }

  async #take(topic: string, bytes: Buffer | null): Promise<void> {
    if (bytes === null) return;
    if (topic === 'orchestration.state') {
      const serde = this.#serdes['orchestration.state'];
      await serde.prepare?.(bytes);
      const snapshot = serde.deserialize(bytes, topic);
      if (snapshot !== null) this.#takeSnapshot(snapshot);
      return;
    }
    const serde = this.#serdes['orchestration.timeline'];
    await serde.prepare?.(bytes);
    const entry = serde.deserialize(bytes, topic);
    if (entry !== null) this.#takeTimeline(entry);
  }

  #takeSnapshot(snapshot: OrderSnapshot): void {
    const { orderId, phase } = snapshot;
    const before = this.#phases.get(orderId);
    if (before === undefined) this.#placedAtMs.push(this.#clock.nowMs());
    else this.#counts.set(before, (this.#counts.get(before) ?? 1) - 1);
    this.#phases.set(orderId, phase);
    this.#counts.set(phase, (this.#counts.get(phase) ?? 0) + 1);
    const timeline = this.#details.get(orderId)?.timeline ?? this.#timelines.get(orderId) ?? [];
    this.#timelines.delete(orderId);
    this.#details.delete(orderId);
    this.#details.set(orderId, { snapshot, timeline });
    dropOldest(this.#details, detailedMax);
  }

  #takeTimeline(entry: TimelineEntry): void {
    let timeline = this.#details.get(entry.orderId)?.timeline ?? this.#timelines.get(entry.orderId);
    if (timeline === undefined) {
      timeline = [];
      this.#timelines.set(entry.orderId, timeline);
      dropOldest(this.#timelines, detailedMax);
    }
    timeline.push(entry);
    if (timeline.length > timelineEntriesMax) timeline.shift();
  }

  /** The last snapshot with its timeline; undefined for an order that is not among the last ones. */
  order(orderId: string): (OrderSnapshot & { readonly timeline: readonly TimelineEntry[] }) | undefined {
    const detail = this.#details.get(orderId);
    return detail === undefined ? undefined : { ...detail.snapshot, timeline: detail.timeline };
  }

  overview(app: StreamsApp, title: string): Overview {
    const { state, ready, recordsProcessed, tasks, restoring, standbys } = app.status();
    const nowMs = this.#clock.nowMs();
    const recent = [...this.#details.values()].slice(-recentMax).reverse();
    return {
      broker: title,
      state,
      ready,
      startedAt: this.#startedAt,
      asOf: nowMs,
      orders: { total: this.total, byPhase: this.byPhase() },
      rates: {
        ordersPerMinute: this.#ordersPerMinute(nowMs),
        eventsPerSecond: this.#eventsPerSecond(nowMs, recordsProcessed),
      },
      recent: recent.map(({ snapshot }) => recentOrder(snapshot)),
      tasks: [
        ...tasks.map(({ taskId }) => ({ taskId, state: 'RUNNING' })),
        ...restoring.map(({ taskId, remaining, recordsPerSecond, etaMs }) => ({
          taskId,
          state: 'RESTORING',
          restore: { remaining, recordsPerSecond, ...(etaMs === undefined ? {} : { etaMs }) },
        })),
        ...standbys.map(({ taskId, lag }) => ({
          taskId,
          state: 'STANDBY',
          ...(lag === undefined ? {} : { lag }),
        })),
      ],
    };
  }

  #ordersPerMinute(nowMs: number): number {
    while ((this.#placedAtMs[0] ?? nowMs) < nowMs - rateWindowMs) this.#placedAtMs.shift();
    const windowMs = Math.min(rateWindowMs, Math.max(1_000, nowMs - this.#startedAt));
    return Math.round((this.#placedAtMs.length * 60_000) / windowMs);
  }

  /** Over the last ten seconds or so of asking. */
  #eventsPerSecond(nowMs: number, processed: number): number {
    this.#samples.push({ atMs: nowMs, processed });
    while (this.#samples.length > 2 && (this.#samples[0]?.atMs ?? nowMs) < nowMs - 10_000) {
      this.#samples.shift();
    }
    const first = this.#samples[0];
    if (first === undefined || nowMs <= first.atMs) return 0;
    const perSecond = ((processed - first.processed) * 1_000) / (nowMs - first.atMs);
    return Math.max(0, Math.round(perSecond * 10) / 10);
  }
}

function dropOldest<V>(map: Map<string, V>, max: number): void {
  if (map.size <= max) return;
  const oldest = map.keys().next().value;
  if (oldest !== undefined) map.delete(oldest);
}

function recentOrder(snapshot: OrderSnapshot): RecentOrder {
  const { orderId, phase, totalMinor, currencyCode, lines, updatedAt } = snapshot;
  return { orderId, phase, totalMinor, currencyCode, lines: lines.length, updatedAt };
}
