/**
 * A proxy that understands Kafka's framing: it can hold one request back, cut the connection it came on, and
 * deliver it later, which is how a network makes a client repeat a request that is still on its way.
 *
 * It stands in front of one broker and rewrites that broker's advertised port in its answers, so that
 * clients come back through the proxy.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onFrames, withPorts } from './kafka-frames.ts';

/** Kafka's number of the request that commits or aborts a transaction. */
export const endTransactionRequest = 26;
export const sendOffsetsRequest = 28;

const correlationAt = 4;

/** A request taken out of the stream; the client's connection is cut. */
export interface HeldRequest {
  /** Sends it to the broker and resolves with the broker's answer, without the length. */
  release(): Promise<Buffer>;
}

export class KafkaProxy {
  readonly #upstreamPort: number;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((client) => this.#accept(client));
  #isInterrupted = false;
  #hold: { apiKey: number; held: (request: HeldRequest) => void } | undefined;

  /** Arguments: `upstream` is `127.0.0.1:port`, as the broker advertises it. */
  constructor(upstream: string) {
    this.#upstreamPort = Number(upstream.slice(upstream.lastIndexOf(':') + 1));
  }

  /** Resolves with the address for clients. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${this.#port}`;
  }

  /** Holds the next request of that kind and cuts its connection. */
  holdNext(apiKey: number): Promise<HeldRequest> {
    return new Promise((held) => {
      this.#hold = { apiKey, held };
    });
  }

  /** Cuts every connection and accepts none until `restore`. */
  interrupt(): void {
    this.#isInterrupted = true;
    this.cutAll();
  }

  restore(): void {
    this.#isInterrupted = false;
  }

  /** Cuts every connection; new ones are accepted. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  get #port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #accept(client: Socket): void {
    if (this.#isInterrupted) {
      client.destroy();
      return;
    }
    const upstream = connect(this.#upstreamPort, '127.0.0.1');
    let isCut = false;
    const answers = new Map<number, (answer: Buffer) => void>();
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
    }
    client.on('close', () => isCut || upstream.destroy());
    upstream.on('close', () => client.destroy());
    onFrames(client, (frame) => {
      if (isCut) return;
      if (this.#hold === undefined || frame.readInt16BE(4) !== this.#hold.apiKey) {
        upstream.write(frame);
        return;
      }
      const { held } = this.#hold;
      this.#hold = undefined;
      isCut = true;
      client.destroy();
      held({
        release: () =>
          new Promise((resolve) => {
            answers.set(frame.readInt32BE(4 + correlationAt), resolve);
            upstream.write(frame);
          }),
      });
    });
    onFrames(upstream, (frame) => {
      const waiting = answers.get(frame.readInt32BE(4));
      if (waiting !== undefined) waiting(frame.subarray(4));
      if (!isCut) client.write(withPorts(frame, new Map([[this.#upstreamPort, this.#port]])));
    });
  }
}
