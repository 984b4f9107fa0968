/**
 * Sends a replay's plan, step by step, and owns its watermark. Called by replay.ts.
 *
 * Every step is one transaction that also writes how far the driver is (topic `replay.progress`). So a driver
 * that was killed goes on with the step that follows the last committed one: nothing is sent twice, nothing
 * is left out. Barriers wait until all inputs are worked off (drained.ts), before and after the watermark moves.
 */
import {
  type Broker,
  type Clock,
  type Headers,
  type Logger,
  type OutgoingRecord,
  type Producer,
  partitionForKey,
  StreamsError,
} from '#streams';
import { headersOf, traceparentOf } from '../headers.ts';
import { readTopics } from '../topic-reader.ts';
import { progressTopic, type ShopSerdes, watermarkTopic } from '../topics.ts';
import type { InputLag } from './drained.ts';
import { olistTenant, type ReplayEvent } from './olist-events.ts';
import type { ReplayPlan, ReplayStep } from './replay-plan.ts';

/** What is in `replay.progress`. `fingerprint`: of the orders and options that the plan was made from. */
export interface ReplayProgress {
  readonly fingerprint: string;
  /** The first step that is not done. */
  readonly nextStep: number;
  readonly eventsSent: number;
  readonly watermarkMs: number | null;
}

export interface ReplayDriverOptions {
  readonly broker: Broker;
  readonly serdes: ShopSerdes;
  readonly plan: ReplayPlan;
  readonly fingerprint: string;
  readonly transactionalId: string;
  /** Called when the inputs' topics are there. */
  readonly openLag: () => Promise<InputLag>;
  readonly clock: Clock;
  readonly log: Logger;
  /** First pause between two looks at the lag; grows to eight times as much. */
  readonly drainPollMs: number;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: { readonly eventsSent: number; readonly lag: number }) => void;
}

/** A step that fails this often in a row is given up. */
const triesMax = 20;
const progressKey = 'progress';

export class ReplayDriver {
  readonly #options: ReplayDriverOptions;
  #producer: Producer | undefined;
  #progress: ReplayProgress;
  #lag: InputLag | undefined;
  #partitions: ReadonlyMap<string, number> = new Map();

  constructor(options: ReplayDriverOptions) {
    this.#options = options;
    this.#progress = {
      fingerprint: options.fingerprint,
      nextStep: 0,
      eventsSent: 0,
      watermarkMs: null,
    };
  }

  /** Events sent by this process, resumed ones not counted. */
  sentHere = 0;

  get progress(): ReplayProgress {
    return this.#progress;
  }

  /**
   * Fences an earlier driver, ends what it left open, and reads how far it was.
   * Errors: SETTING_INVALID (the topics hold another replay), BROKER_UNAVAILABLE.
   */
  async open(): Promise<void> {
    const { broker, transactionalId, fingerprint, plan } = this.#options;
    await this.#producer?.close();
    this.#producer = await broker.openProducer({ clientId: transactionalId, transactionalId });
    await this.#producer.init();
    const names = new Set([...plan.events.map(({ topic }) => topic), watermarkTopic, progressTopic]);
    const described = await broker.admin.describeTopics([...names]);
    this.#partitions = new Map(
      described.flatMap((topic) => (topic === undefined ? [] : [[topic.name, topic.partitions]])),
    );
    const stored = await readProgress(broker);
    if (stored === undefined) return;
    if (stored.fingerprint !== fingerprint) {
      throw new StreamsError('SETTING_INVALID', 'the topics hold a replay of other orders or options', {
        hint: 'start it with the same ones to go on, or add --reset to delete its topics and begin anew',
      });
    }
    this.#progress = stored;
  }

  /**
   * Runs the plan to its end, or until the signal. True when it is finished.
   * Order: after `open`, when the applications have been started.
   * Errors: BROKER_UNAVAILABLE, PRODUCER_FENCED (another driver of the same application id is running).
   */
  async run(): Promise<boolean> {
    const { plan, signal, onProgress, openLag } = this.#options;
    this.#lag = await openLag();
    try {
      onProgress({ eventsSent: this.#progress.eventsSent, lag: 0 });
      await this.#drain();
      while (!signal.aborted) {
        const step = plan.steps[this.#progress.nextStep];
        if (step === undefined) return true;
        await this.#run(step);
      }
      return false;
    } finally {
      await this.#producer?.close();
    }
  }

  async #run(step: ReplayStep): Promise<void> {
    const { plan, signal } = this.#options;
    const nextStep = this.#progress.nextStep + 1;
    if (step.kind === 'send') {
      const events = plan.events.slice(step.from, step.to);
      const progress = { ...this.#progress, nextStep, eventsSent: step.to };
      await this.#transaction(
        events.map((event) => this.#toRecord(event)),
        progress,
      );
      this.sentHere += events.length;
      this.#options.onProgress({ eventsSent: step.to, lag: 0 });
      return;
    }
    if (!(await this.#drain())) return;
    if (step.kind === 'drain') {
      // Not worth a transaction: whoever resumes drains first.
      this.#progress = { ...this.#progress, nextStep };
      return;
    }
    const progress = { ...this.#progress, nextStep, watermarkMs: step.watermarkMs };
    await this.#transaction(this.#watermarkRecords(step.watermarkMs), progress);
    if (!signal.aborted) await this.#drain();
  }

  async #transaction(records: readonly OutgoingRecord[], progress: ReplayProgress): Promise<void> {
    const { clock, log, signal } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        const producer = this.#producer as Producer;
        await producer.begin();
        await producer.send([...records, this.#progressRecord(progress)]);
        await producer.commit();
        this.#progress = progress;
        if (producer.mayHaveRetried()) await this.open();
        return;
      } catch (error) {
        if (!(error instanceof StreamsError) || attempt >= triesMax || signal.aborted) throw error;
        if (!['retriable', 'abort', 'fenced'].includes(error.kind) || error.code === 'PRODUCER_FENCED')
          throw error;
        log.warn('the replay sends a step again', { attempt, code: error.code }, error);
        await clock.sleep(Math.min(5_000, 100 * 2 ** attempt), signal);
        await this.open();
        // What looked like a failure may have been committed after all.
        if (this.#progress.nextStep >= progress.nextStep) return;
      }
    }
  }

  /** True when all is worked off; false when the signal came first. */
  async #drain(): Promise<boolean> {
    const { clock, signal, drainPollMs, onProgress } = this.#options;
    let pauseMs = drainPollMs;
    let before = Number.POSITIVE_INFINITY;
    while (!signal.aborted) {
      const behind = await this.#readLag();
      if (behind === 0) return true;
      if (behind !== undefined) {
        onProgress({ eventsSent: this.#progress.eventsSent, lag: behind });
        // While it shrinks there is a lot to do: asking more often would only cost those who do it.
        pauseMs = behind < before ? Math.min(drainPollMs * 8, pauseMs * 1.5) : drainPollMs;
        before = behind;
      }
      await clock.sleep(pauseMs, signal);
    }
    return false;
  }

  async #readLag(): Promise<number | undefined> {
    try {
      return await this.#lag?.read();
    } catch (error) {
      if (error instanceof StreamsError && error.kind === 'retriable') return undefined;
      throw error;
    }
  }

  #toRecord(event: ReplayEvent): OutgoingRecord {
    const { topic, key, value, timestamp } = event;
    const keyBytes = Buffer.from(key, 'utf8');
    const serde = this.#options.serdes[topic] as ShopSerdes['purchase.events'];
    return {
      topic,
      partition: partitionForKey(keyBytes, this.#partitions.get(topic) ?? 1),
      key: keyBytes,
      value: serde.serialize(value as never, topic),
      timestamp,
      headers: headersOfEvent(event),
    };
  }

  #watermarkRecords(watermarkMs: number): OutgoingRecord[] {
    return Array.from({ length: this.#partitions.get(watermarkTopic) ?? 0 }, (_, partition) => ({
      topic: watermarkTopic,
      partition,
      key: Buffer.from('watermark'),
      value: Buffer.from(String(watermarkMs)),
      timestamp: watermarkMs,
      headers: [],
    }));
  }

  #progressRecord(progress: ReplayProgress): OutgoingRecord {
    return {
      topic: progressTopic,
      partition: 0,
      key: Buffer.from(progressKey),
      value: Buffer.from(JSON.stringify(progress)),
      timestamp: this.#options.clock.nowMs(),
      headers: [],
    };
  }
}

/** How far the last driver came; undefined when there was none. */
export async function readProgress(broker: Broker): Promise<ReplayProgress | undefined> {
  let last: ReplayProgress | undefined;
  await readTopics({
    broker,
    topics: [progressTopic],
    clientId: 'replay-progress',
    onRecord: ({ value }) => {
      if (value !== null) last = JSON.parse(value.toString('utf8')) as ReplayProgress;
    },
  });
  return last;
}

/** As every producer of the shop writes them; causes and traces begin here. */
function headersOfEvent({ key, value, timestamp, orderId }: ReplayEvent): Headers {
  const id = 'eventId' in value ? value.eventId : key;
  const subject = orderId === '' ? key : orderId;
  return headersOf({
    id,
    source: '/olist/replay',
    type: value.type,
    timeMs: timestamp,
    subject,
    traceparent: traceparentOf([], subject),
    causationId: id,
    tenantId: olistTenant,
  });
}
