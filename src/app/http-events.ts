/**
 * Server-sent events: one reader of the overview for all open pages. app/http-server.ts gives it each
 * connection of `GET /api/events`; it reads the overview once a round and writes it to everybody.
 *
 * It reads nothing while nobody listens, sends to nobody faster than they read (a slow page gets the latest
 * overview later, not all of them), and ends every stream when it is closed.
 */
import type { ServerResponse } from 'node:http';
import type { Clock } from '../base/clock-port.ts';
import type { Logger } from '../base/telemetry-port.ts';

export interface EventHubOptions {
  /** The data of one event, as JSON text on one line; undefined while there is none. */
  readonly read: () => Promise<string | undefined>;
  readonly everyMs: number;
  readonly listenersMax: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const HEAD = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
  connection: 'keep-alive',
};

export class EventHub {
  readonly #options: EventHubOptions;
  readonly #listeners = new Set<ServerResponse>();
  readonly #closing = new AbortController();
  /** The last event of the running rounds: who comes between two rounds gets it at once. */
  #last: string | undefined;
  #rounds: Promise<void> | undefined;

  constructor(options: EventHubOptions) {
    this.#options = options;
  }

  /** True when another page may listen. */
  get hasRoom(): boolean {
    return !this.#closing.signal.aborted && this.#listeners.size < this.#options.listenersMax;
  }

  /** Takes over the response: its head and, as soon as there is one, an event now; one a round after that. */
  add(response: ServerResponse): void {
    response.writeHead(200, HEAD);
    // The page waits this long before it connects again by itself.
    response.write('retry: 1000\n\n');
    if (this.#last !== undefined) response.write(this.#last);
    this.#listeners.add(response);
    response.on('close', () => this.#listeners.delete(response));
    response.on('error', () => this.#listeners.delete(response));
    this.#rounds ??= this.#run().finally(() => {
      this.#rounds = undefined;
    });
  }

  /** Ends every stream. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const response of this.#listeners) response.end();
    this.#listeners.clear();
    await this.#rounds;
  }

  async #run(): Promise<void> {
    while (this.#listeners.size > 0 && !this.#closing.signal.aborted) {
      await this.#round();
      await this.#options.clock.sleep(this.#options.everyMs, this.#closing.signal);
    }
    this.#last = undefined;
  }

  async #round(): Promise<void> {
    // A comment keeps the connection and proxies alive; the page shows the age of what it has.
    let event = ': no data\n\n';
    try {
      const data = await this.#options.read();
      if (data !== undefined) {
        event = `event: overview\ndata: ${data}\n\n`;
        this.#last = event;
      }
    } catch (error) {
      this.#options.log.warn('the overview could not be read', {}, error);
    }
    for (const response of this.#listeners) if (!response.writableNeedDrain) response.write(event);
  }
}
