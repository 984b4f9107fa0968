/**
 * One client object of the Kafka library with the manners it needs: no call once it is being closed, one
 * disconnect, and that only when no call is inside it. The library answers a call on a closed client, or a
 * second disconnect, with a crash of the process.
 *
 * Used by every kafka-*.ts adapter; knows nothing of records, groups or transactions.
 */
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Done, NativeClient, NativeLogLine } from './kafka-client-types.ts';
import { asNativeError, requestError } from './kafka-errors.ts';

/** How long opening a client waits for the first answer of a broker. */
const connectTimeoutMs = 8_000;
/** How long closing waits for calls in flight, and then again for the library to say good-bye. */
const closeTimeoutMs = 15_000;
/** Syslog severities up to this one are worth a person's attention. */
const warningSeverity = 4;

export interface HandleOptions {
  /** The client's id, for messages. */
  readonly name: string;
  readonly address: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export class KafkaHandle<C extends NativeClient> {
  readonly #client: C;
  readonly #options: HandleOptions;
  readonly #disconnect: (client: C, done: () => void) => void;
  #callsInFlight = 0;
  #onIdle: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  #connected = false;
  #lastFailure: string | undefined;

  constructor(client: C, options: HandleOptions, disconnect: (client: C, done: () => void) => void) {
    this.#client = client;
    this.#options = options;
    this.#disconnect = disconnect;
    client.on('event.log', (line) => this.#noteLine(line));
    client.on('event.error', (error) => {
      this.#lastFailure ??= error.message;
      options.log.debug('kafka client error', { client: options.name, reason: error.message });
    });
  }

  get isClosing(): boolean {
    return this.#closed !== undefined;
  }

  /** Errors: BROKER_UNAVAILABLE, within about ten seconds, with what the library last complained of. */
  async connect(): Promise<void> {
    try {
      await this.#started<unknown>((client, done) =>
        client.connect({ allTopics: false, timeout: connectTimeoutMs }, done),
      );
      this.#connected = true;
    } catch (error) {
      // The library has already taken a client that failed to connect down again.
      this.#closed = Promise.resolve();
      const reason = this.#lastFailure ?? asNativeError(error).message;
      throw new StreamsError(
        'BROKER_UNAVAILABLE',
        `no Kafka broker answers at ${this.#options.address}: ${reason}`,
        {
          hint: 'check that Kafka runs there, that the address is the one it advertises, and its TLS and SASL settings',
          cause: error,
        },
      );
    }
  }

  /** A call that answers through a callback. Errors: the library's own, unwrapped; BROKER_REQUEST_FAILED when closed. */
  call<T>(start: (client: C, done: Done<T>) => unknown): Promise<T> {
    if (this.isClosing) return Promise.reject(this.#closedError());
    return this.#started(start);
  }

  /** A call that answers at once. */
  now<T>(use: (client: C) => T): T {
    if (this.isClosing) throw this.#closedError();
    return use(this.#client);
  }

  /** Past the guard, for the answer to a rebalance, which has to be given while the client closes. */
  get unguarded(): C {
    return this.#client;
  }

  /** Idempotent. Never rejects: what cannot be closed in time is left behind, with an error in the log. */
  close(): Promise<void> {
    this.#closed ??= this.#connected ? this.#shutDown() : Promise.resolve();
    return this.#closed;
  }

  /**
   * Instead of `close`, for a client inside which a call has not come back: it is left open, for closing would wait for
   * that call for ever. It is closed when the call returns after all; `onGone` is told.
   */
  abandon(onGone: () => void): void {
    if (this.#closed !== undefined) return;
    this.#closed = Promise.resolve();
    this.#leaveOpen(onGone);
  }

  #leaveOpen(onGone: () => void): void {
    const { log, name } = this.#options;
    log.error('a call to the Kafka client does not return; the client is left open', { client: name });
    this.#onIdle = () => this.#disconnect(this.#client, onGone);
  }

  async #shutDown(): Promise<void> {
    const { clock, log, name } = this.#options;
    const idle = this.#callsInFlight === 0 ? Promise.resolve() : new Promise<void>((r) => (this.#onIdle = r));
    if (!(await within(clock, idle, closeTimeoutMs))) {
      this.#leaveOpen(() => {});
      return;
    }
    const gone = new Promise<void>((resolve) => this.#disconnect(this.#client, resolve));
    if (!(await within(clock, gone, closeTimeoutMs))) {
      log.error('the Kafka client does not close', { client: name, waitedMs: closeTimeoutMs });
    }
  }

  #started<T>(start: (client: C, done: Done<T>) => unknown): Promise<T> {
    this.#callsInFlight += 1;
    return new Promise<T>((resolve, reject) => {
      const done: Done<T> = (error, value) => {
        this.#ended();
        if (error) reject(error);
        else resolve(value);
      };
      try {
        start(this.#client, done);
      } catch (error) {
        this.#ended();
        reject(error);
      }
    });
  }

  #ended(): void {
    this.#callsInFlight -= 1;
    if (this.#callsInFlight === 0) this.#onIdle?.();
  }

  #noteLine(line: NativeLogLine): void {
    const { log, name } = this.#options;
    if (line.fac === 'FAIL' || line.fac === 'FATAL') this.#lastFailure = line.message;
    const fields = { client: name, facility: line.fac };
    if (line.severity <= warningSeverity) log.warn(line.message, fields);
    else log.debug(line.message, fields);
  }

  #closedError(): StreamsError {
    return new StreamsError('BROKER_REQUEST_FAILED', `the Kafka client ${this.#options.name} is closed`);
  }
}

/** Whether the promise settles in time; its rejection is the caller's to see elsewhere. */
export async function within(clock: Clock, promise: Promise<void>, waitMs: number): Promise<boolean> {
  const cancel = new AbortController();
  const settled = promise.then(
    () => true,
    () => true,
  );
  const late = clock.sleep(waitMs, cancel.signal).then(() => false);
  const result = await Promise.race([settled, late]);
  cancel.abort();
  return result;
}

/** Runs a call of a handle and wraps what it fails with. */
export async function requested<T>(
  doing: string,
  call: Promise<T>,
  context: Readonly<Record<string, string | number>> = {},
): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof StreamsError) throw error;
    throw requestError(asNativeError(error), doing, context);
  }
}

/**
 * Lets a poller sleep until the client has something for it.
 * The library calls `wake` when its queue goes from empty to not empty, so no thread waits inside it.
 */
export class Wakeup {
  readonly #clock: Clock;
  #count = 0;
  #sleeping: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Changes with each call of `wake`. */
  get count(): number {
    return this.#count;
  }

  wake(): void {
    this.#count += 1;
    this.#sleeping?.abort();
  }

  /** Resolves at the next wake after `seen` was read, or after `waitMs`. */
  async wait(seen: number, waitMs: number): Promise<void> {
    if (seen !== this.#count || waitMs <= 0) return;
    this.#sleeping = new AbortController();
    await this.#clock.sleep(waitMs, this.#sleeping.signal);
    this.#sleeping = undefined;
  }
}
