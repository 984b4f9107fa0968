/**
 * Suspects requests that the Kafka client repeated behind our back.
 *
 * Why: librdkafka ends transactions with a protocol version under which a commit request that was held up
 * in the network and arrives late commits half of the *next* transaction. Such a repeat needs a broken
 * connection, a timed-out request, or at least a slow call; any of them marks the producer, which has then to
 * be re-created and initialised before it begins again. An answer with a retriable error is no such repeat:
 * that request is over.
 *
 * Two witnesses, because each has a hole: the client's log names a broken connection at once but keeps a
 * second equal line back for 30 s; its statistics count all of them but come every 100 ms.
 */
import type { NativeLogLine } from './kafka-client-types.ts';

/** A transactional call that takes longer than this is not trusted, whatever it answers. */
export const slowRequestMs = 1_000;

interface BrokerCounters {
  readonly source?: string;
  readonly disconnects?: number;
  readonly req_timeouts?: number;
}

export class RetryWatch {
  #watching = false;
  #suspicion: string | undefined;
  #lastTotal: number | undefined;
  #baseline: number | undefined;

  /** What it suspects, for the log; undefined while all is well. */
  get suspicion(): string | undefined {
    return this.#suspicion;
  }

  /** From here on: called when the producer has been initialised. What connecting cost does not count. */
  start(): void {
    this.#watching = true;
    this.#baseline = this.#lastTotal;
  }

  noteLog(line: NativeLogLine): void {
    if (line.fac === 'FAIL') this.#suspect(`connection lost: ${line.message}`);
    else if (line.fac === 'REQTMOUT') this.#suspect(`request timed out: ${line.message}`);
  }

  noteError(message: string): void {
    this.#suspect(`client error: ${message}`);
  }

  noteCall(name: string, tookMs: number): void {
    if (tookMs > slowRequestMs) this.#suspect(`${name} took ${Math.round(tookMs)} ms`);
  }

  noteFailure(name: string, message: string): void {
    this.#suspect(`${name} failed: ${message}`);
  }

  /** Arguments: the client's statistics as JSON text. */
  noteStatistics(text: string): void {
    const brokers = (JSON.parse(text) as { brokers?: Record<string, BrokerCounters> }).brokers ?? {};
    let total = 0;
    for (const broker of Object.values(brokers)) {
      // The first contact's connection carries no transaction, and the broker closes it when it idles.
      if (broker.source === 'configured') continue;
      total += (broker.disconnects ?? 0) + (broker.req_timeouts ?? 0);
    }
    this.#lastTotal = total;
    if (!this.#watching) return;
    this.#baseline ??= total;
    if (total > this.#baseline)
      this.#suspect(`${total - this.#baseline} connections lost or requests timed out`);
  }

  #suspect(reason: string): void {
    if (this.#watching) this.#suspicion ??= reason;
  }
}
