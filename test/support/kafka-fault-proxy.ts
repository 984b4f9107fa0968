/**
 * A proxy that understands Kafka's framing and repeats, delays or loses single requests of a running
 * application, the way a network does when a connection breaks: the client reconnects and asks again unseen.
 * Stands in front of one broker, beside kafka-proxy.ts, which does one such thing for one bare producer.
 *
 *   hold    the request is kept back and its connection cut; the client repeats it; when the *next*
 *           transaction has records (or offsets) in it, the kept one is delivered, and that transaction's
 *           end is delayed until the broker has answered it
 *   double  the request is delivered and its connection cut before the answer: it arrives twice
 *   cut     the request is lost with its connection: only the repetition arrives
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { wallClock } from '../../src/base/wall-clock.ts';
import { onFrames, withPorts } from './kafka-frames.ts';

/** Kafka's numbers of the requests that carry a transaction. */
export const transactionalRequests = {
  Produce: 0,
  AddPartitionsToTxn: 24,
  AddOffsetsToTxn: 25,
  EndTxn: 26,
  TxnOffsetCommit: 28,
} as const;
export type TransactionalRequest = keyof typeof transactionalRequests;

export interface RequestFault {
  readonly request: TransactionalRequest;
  readonly action: 'hold' | 'double' | 'cut';
  /** Of a held request: delivered at the first answer of this kind within the next transaction. */
  readonly release: 'Produce' | 'TxnOffsetCommit';
}

export interface FaultOutcome {
  /** The request was caught. */
  readonly caught: boolean;
  /** The client has sent such a request again, and it was answered. */
  readonly repeated: boolean;
  /** The held request has reached the broker after its time. */
  readonly released: boolean;
}

/** What a fault may take from catching its request to its end. */
const faultMsMax = 20_000;
/** How long the next transaction's end waits for the answer to the released request. */
const gateMsMax = 1_500;

interface Connection {
  readonly client: Socket;
  readonly upstream: Socket;
  readonly asked: Map<number, { readonly apiKey: number; readonly version: number }>;
  /** Frames that wait for the gate, so that their order stays. */
  readonly waiting: Buffer[];
  isCut: boolean;
}

class Active {
  readonly fault: RequestFault;
  readonly #resolve: (outcome: FaultOutcome) => void;
  caught: { connection: Connection; frame: Buffer } | undefined;
  repeated = false;
  /** A transaction has ended since the repetition was answered. */
  nextBegan = false;
  released = false;

  constructor(fault: RequestFault, resolve: (outcome: FaultOutcome) => void) {
    this.fault = fault;
    this.#resolve = resolve;
  }

  end(): void {
    const { caught, repeated, released } = this;
    this.#resolve({ caught: caught !== undefined, repeated, released });
  }
}

export class KafkaFaultProxy {
  readonly #upstreamPort: number;
  readonly #connections = new Set<Connection>();
  readonly #server = createServer((client) => this.#accept(client));
  #active: Active | undefined;
  #gateIsShut = false;
  #edit: { apiKey: number; edit: (answer: Buffer, version: number) => void } | undefined;

  /** Arguments: `upstream` is `127.0.0.1:port`, as the broker advertises it. */
  constructor(upstream: string) {
    this.#upstreamPort = Number(upstream.slice(upstream.lastIndexOf(':') + 1));
  }

  /** Resolves with the address for clients. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${this.#port}`;
  }

  /** Does it to the next such request. One fault at a time. */
  async inject(fault: RequestFault): Promise<FaultOutcome> {
    if (this.#active !== undefined) throw new Error('a fault is still under way');
    let resolve: (outcome: FaultOutcome) => void = () => {};
    const outcome = new Promise<FaultOutcome>((settle) => {
      resolve = settle;
    });
    const active = new Active(fault, resolve);
    this.#active = active;
    const late = new AbortController();
    void wallClock.sleep(faultMsMax, late.signal).then(() => {
      if (late.signal.aborted) return;
      this.#release();
      active.end();
    });
    const result = await outcome;
    late.abort();
    active.caught?.connection.upstream.destroy();
    this.#active = undefined;
    this.#openGate();
    return result;
  }

  /** Changes the next answer to such a request, its four length bytes included, in place. */
  editNext(apiKey: number, edit: (answer: Buffer, version: number) => void): void {
    this.#edit = { apiKey, edit };
  }

  /** Cuts every connection; new ones are accepted. */
  cutAll(): void {
    for (const { client, upstream } of this.#connections) {
      client.destroy();
      upstream.destroy();
    }
  }

  async close(): Promise<void> {
    this.#active?.end();
    this.cutAll();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #accept(client: Socket): void {
    const upstream = connect(this.#upstreamPort, '127.0.0.1');
    const connection: Connection = { client, upstream, asked: new Map(), waiting: [], isCut: false };
    this.#connections.add(connection);
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    client.on('close', () => connection.isCut || upstream.destroy());
    upstream.on('close', () => {
      client.destroy();
      this.#connections.delete(connection);
    });
    onFrames(client, (frame) => this.#onRequest(connection, frame));
    onFrames(upstream, (frame) => this.#onAnswer(connection, frame));
  }

  #onRequest(connection: Connection, frame: Buffer): void {
    if (connection.isCut) return;
    const apiKey = frame.readInt16BE(4);
    const active = this.#active;
    if (
      active !== undefined &&
      active.caught === undefined &&
      transactionalRequests[active.fault.request] === apiKey
    ) {
      this.#catch(active, connection, frame);
      return;
    }
    const isEnd = apiKey === transactionalRequests.EndTxn;
    if (connection.waiting.length > 0 || (this.#gateIsShut && isEnd)) connection.waiting.push(frame);
    else this.#forward(connection, frame);
  }

  #forward(connection: Connection, frame: Buffer): void {
    const [apiKey, version] = [frame.readInt16BE(4), frame.readInt16BE(6)];
    connection.asked.set(frame.readInt32BE(8), { apiKey, version });
    connection.upstream.write(frame);
  }

  #catch(active: Active, connection: Connection, frame: Buffer): void {
    active.caught = { connection, frame };
    connection.isCut = true;
    if (active.fault.action === 'double') this.#forward(connection, frame);
    connection.client.destroy();
    if (active.fault.action === 'cut') connection.upstream.destroy();
  }

  #onAnswer(connection: Connection, frame: Buffer): void {
    const correlation = frame.readInt32BE(4);
    const { apiKey, version = 0 } = connection.asked.get(correlation) ?? {};
    connection.asked.delete(correlation);
    if (apiKey !== undefined && apiKey === this.#edit?.apiKey) {
      this.#edit.edit(frame, version);
      this.#edit = undefined;
    }
    const active = this.#active;
    if (active?.caught?.connection === connection) {
      if (active.released) active.end();
      return;
    }
    if (apiKey !== undefined && active !== undefined) this.#advance(active, apiKey);
    if (!connection.isCut)
      connection.client.write(withPorts(frame, new Map([[this.#upstreamPort, this.#port]])));
  }

  /** Follows the repetition, the end of its transaction and the next one's first steps. */
  #advance(active: Active, apiKey: number): void {
    if (active.caught === undefined) return;
    const { request, action, release } = active.fault;
    if (!active.repeated) {
      if (apiKey !== transactionalRequests[request]) return;
      active.repeated = true;
      if (action !== 'hold') active.end();
      // A request that ends its transaction has with its repetition done so.
      if (request === 'EndTxn') active.nextBegan = true;
      return;
    }
    if (!active.nextBegan) {
      if (apiKey === transactionalRequests.EndTxn) active.nextBegan = true;
      return;
    }
    if (apiKey === transactionalRequests[release] && !active.released) this.#release();
  }

  /** Delivers the held request late, while the next transaction is open. */
  #release(): void {
    const active = this.#active;
    if (active?.caught === undefined || active.released) return;
    active.released = true;
    if (active.fault.action !== 'hold') return;
    this.#gateIsShut = true;
    this.#forward(active.caught.connection, active.caught.frame);
    void wallClock.sleep(gateMsMax).then(() => {
      if (this.#active === active) active.end();
    });
  }

  #openGate(): void {
    this.#gateIsShut = false;
    for (const connection of this.#connections) {
      for (const frame of connection.waiting.splice(0)) this.#forward(connection, frame);
    }
  }
}
