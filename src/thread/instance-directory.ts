/**
 * Who is there and has what: publishes this instance's entry to the instances topic, at every change and at a
 * heartbeat, and keeps the view of all instances from what is read of it. Used by standby-tasks.ts, which owns
 * the consumer; nothing here waits for the broker.
 */
import {
  decodeEntry,
  encodeEntry,
  type InstanceEntry,
  InstanceView,
  instancesTopic,
} from '../assign/instance-entry.ts';
import type { PlacementInstance } from '../assign/place-standbys.ts';
import { asStreamsError } from '../base/errors.ts';
import type { Producer, RecordBatch } from '../broker/broker-port.ts';
import type { StandbySettings, ThreadOptions } from './thread-options.ts';

const silentHeartbeatsMax = 3;
/** A rebalance is several changes: standbys are placed when there was none for so long. */
const settleMsMax = 1_000;

export class InstanceDirectory {
  readonly topic: string;
  readonly #options: ThreadOptions;
  readonly #settings: StandbySettings;
  readonly #view: InstanceView;
  #producer: Producer | undefined;
  #sending: Promise<void> | undefined;
  #published: { readonly text: string; readonly atMs: number } | undefined;
  #own = '';
  /** Monotonic. */
  #changedMs: number;
  #changes = 0;
  #caughtUp = false;

  constructor(options: ThreadOptions, settings: StandbySettings) {
    this.#options = options;
    this.#settings = settings;
    this.topic = instancesTopic(options.plan.applicationId);
    this.#view = new InstanceView(silentHeartbeatsMax * settings.heartbeatMs);
    this.#changedMs = options.clock.monotonicMs();
  }

  /** Everything that was there when reading began has been read: the view is whole. */
  caughtUp(): void {
    this.#caughtUp = true;
  }

  take(batch: RecordBatch): void {
    const { clock, log } = this.#options;
    for (let index = 0; index < batch.count; index++) {
      const name = batch.key(index)?.toString();
      // What this instance said in an earlier life is no news.
      if (name === undefined || name === this.#settings.name) continue;
      const value = batch.value(index);
      const entry = value === null ? undefined : decodeEntry(value);
      if (value !== null && entry === undefined) {
        log.warn('an entry of the instances topic cannot be read', { instance: name });
        continue;
      }
      if (contentOf(this.#view.entryOf(name)) !== contentOf(entry)) this.#changed();
      // Afterwards only the reader's clock counts: clocks of two machines need not agree.
      const ageMs = this.#caughtUp || entry === undefined ? 0 : clock.nowMs() - entry.timeMs;
      this.#view.take(name, entry, clock.monotonicMs(), ageMs);
    }
  }

  /** Says what this instance has now, if that is new or it has been silent for long. Called once a turn. */
  publish(owned: readonly string[], standby: readonly string[]): void {
    const { clock, settings } = this.#options;
    const { name, host, tags, heartbeatMs } = this.#settings;
    const { instanceId } = settings;
    const entry: InstanceEntry = { instanceId, host, tags, owned, standby, timeMs: clock.nowMs() };
    const text = contentOf(entry);
    const nowMs = clock.monotonicMs();
    if (text !== this.#own) this.#changed();
    this.#own = text;
    this.#view.take(name, entry, nowMs, 0);
    if (this.#view.expire(nowMs)) this.#changed();
    const due = this.#published?.text !== text || nowMs - this.#published.atMs >= heartbeatMs;
    if (!due || this.#sending !== undefined) return;
    this.#published = { text, atMs: nowMs };
    this.#send(encodeEntry(entry));
  }

  /** The view is whole, and has not changed for a while. */
  get settled(): boolean {
    const settleMs = Math.min(settleMsMax, this.#settings.heartbeatMs / 10);
    return this.#caughtUp && this.#options.clock.monotonicMs() - this.#changedMs >= settleMs;
  }

  /** Grows with every change. */
  get changes(): number {
    return this.#changes;
  }

  instances(): PlacementInstance[] {
    return this.#view.instances();
  }

  owners(): Map<string, string> {
    return this.#view.owners();
  }

  standbys(): Map<string, string[]> {
    return this.#view.standbys();
  }

  /**
   * A dynamic member says that it is gone. A static one is silent, as to its group: it is expected back, and
   * its standbys stay where they are for three heartbeats.
   */
  async close(): Promise<void> {
    await this.#sending;
    if (this.#options.settings.instanceId === undefined && this.#published !== undefined) {
      this.#send(null);
      await this.#sending;
    }
    await this.#producer?.close();
  }

  #changed(): void {
    this.#changedMs = this.#options.clock.monotonicMs();
    this.#changes++;
  }

  /** Beside everything; what fails is said again with the next heartbeat. */
  #send(value: Buffer | null): void {
    const { broker, clock, log, settings } = this.#options;
    const send = async (): Promise<void> => {
      this.#producer ??= await broker.openProducer({ clientId: `${settings.clientId}-instances` });
      await this.#producer.send([
        {
          topic: this.topic,
          partition: 0,
          key: Buffer.from(this.#settings.name),
          value,
          timestamp: Math.max(1, clock.nowMs()),
          headers: [],
        },
      ]);
      await this.#producer.flush();
    };
    this.#sending = send()
      .catch(async (error: unknown) => {
        const failure = asStreamsError(error, 'BROKER_REQUEST_FAILED');
        log.warn('the other instances cannot be told what is here', { code: failure.code }, failure);
        const broken = this.#producer;
        this.#producer = undefined;
        await broken?.close().catch(() => {});
      })
      .finally(() => {
        this.#sending = undefined;
      });
  }
}

/** An entry without its time. */
function contentOf(entry: InstanceEntry | undefined): string {
  return entry === undefined ? '' : JSON.stringify({ ...entry, timeMs: 0 });
}
