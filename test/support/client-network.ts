/**
 * The network between one instance and the brokers of a cluster, whose links can be cut as a firewall or a dead
 * switch cuts them: nothing is refused and no connection is closed, what is sent just does not arrive.
 *
 * As TCP would, the cut link delivers what was sent meanwhile once it is whole again, to a side that is still there:
 * requests of an instance that others have replaced long since come late. One per instance; the test's own client
 * goes to the brokers directly. A new connection over a cut link seems to be made (the kernel of this machine answers)
 * and then stays silent.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { onFrames, withPorts } from './kafka-frames.ts';

export type Direction = 'requests' | 'answers';

/** Kafka's numbers of the requests by which a coordinator is known. */
export const coordinatorRequests = {
  /** Of both group protocols. */
  group: [12, 68],
  transaction: [26],
} as const;

interface Connection {
  readonly client: Socket;
  /** Undefined while it waits for the link. */
  upstream: Socket | undefined;
  readonly requests: Buffer[];
  readonly answers: Buffer[];
  clientIsGone: boolean;
  upstreamIsGone: boolean;
}

class Link {
  readonly #brokerPort: number;
  readonly #ports: ReadonlyMap<number, number>;
  readonly #onRequest: (apiKey: number) => void;
  readonly #connections = new Set<Connection>();
  readonly #server = createServer((client) => this.#accept(client));
  #cut: readonly Direction[] = [];
  readonly held = { requests: 0, answers: 0 };

  /** Arguments: `ports`, by a broker's port that of its link, filled once all links listen. */
  constructor(brokerPort: number, ports: ReadonlyMap<number, number>, onRequest: (apiKey: number) => void) {
    this.#brokerPort = brokerPort;
    this.#ports = ports;
    this.#onRequest = onRequest;
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  cut(directions: readonly Direction[]): void {
    this.#cut = directions;
  }

  heal(): void {
    this.#cut = [];
    for (const connection of this.#connections) this.#goOn(connection);
  }

  async close(): Promise<void> {
    for (const { client, upstream } of this.#connections) {
      client.destroy();
      upstream?.destroy();
    }
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(client: Socket): void {
    const connection: Connection = {
      client,
      upstream: undefined,
      requests: [],
      answers: [],
      clientIsGone: false,
      upstreamIsGone: false,
    };
    this.#connections.add(connection);
    client.setNoDelay(true);
    client.on('error', () => {});
    client.on('close', () => {
      connection.clientIsGone = true;
      this.#goOn(connection);
    });
    onFrames(client, (frame) => {
      this.#onRequest(frame.readInt16BE(4));
      if (this.#isCut('requests', connection)) this.held.requests++;
      connection.requests.push(frame);
      this.#goOn(connection);
    });
    this.#goOn(connection);
  }

  /** No new connection comes about while answers are lost, for its own answer is. */
  #isCut(direction: Direction, { upstream }: Connection): boolean {
    return this.#cut.includes(direction) || (upstream === undefined && this.#cut.length > 0);
  }

  #connect(connection: Connection): Socket {
    const upstream = connect(this.#brokerPort, '127.0.0.1');
    upstream.setNoDelay(true);
    upstream.on('error', () => {});
    upstream.on('close', () => {
      connection.upstreamIsGone = true;
      this.#goOn(connection);
    });
    onFrames(upstream, (frame) => {
      if (this.#isCut('answers', connection)) this.held.answers++;
      connection.answers.push(frame);
      this.#goOn(connection);
    });
    return upstream;
  }

  /** Delivers what may pass, the ends of connections too. */
  #goOn(connection: Connection): void {
    const { client } = connection;
    if (!this.#isCut('requests', connection)) {
      if (connection.upstream === undefined && !connection.clientIsGone) {
        connection.upstream = this.#connect(connection);
      }
      for (const frame of connection.requests.splice(0)) connection.upstream?.write(frame);
      if (connection.clientIsGone) connection.upstream?.end();
    }
    if (!this.#isCut('answers', connection)) {
      for (const frame of connection.answers.splice(0)) client.write(withPorts(frame, this.#ports));
      if (connection.upstreamIsGone) client.destroy();
    }
    const { clientIsGone, upstreamIsGone, upstream } = connection;
    if (clientIsGone && (upstreamIsGone || upstream === undefined)) this.#connections.delete(connection);
  }
}

export class ClientNetwork {
  readonly #links: readonly Link[];
  readonly #carriers: Map<number, number>;
  /** Shape: `host:port,…`, what the instance is given for the brokers. */
  readonly bootstrap: string;

  private constructor(links: readonly Link[], carriers: Map<number, number>, bootstrap: string) {
    this.#links = links;
    this.#carriers = carriers;
    this.bootstrap = bootstrap;
  }

  /** Arguments: `brokers`, every broker of the cluster as it advertises itself. Shape: `127.0.0.1:port,…`. */
  static async open(brokers: string): Promise<ClientNetwork> {
    const ports = new Map<number, number>();
    const carriers = new Map<number, number>();
    const links: Link[] = [];
    for (const [index, address] of brokers.split(',').entries()) {
      const port = Number(address.slice(address.lastIndexOf(':') + 1));
      const link = new Link(port, ports, (apiKey) => carriers.set(apiKey, index));
      ports.set(port, await link.listen());
      links.push(link);
    }
    const bootstrap = [...ports.values()].map((port) => `127.0.0.1:${port}`).join(',');
    return new ClientNetwork(links, carriers, bootstrap);
  }

  /** The broker, by its place in the list, that such a request went to last. */
  carrierOf(apiKeys: readonly number[]): number | undefined {
    return apiKeys.map((apiKey) => this.#carriers.get(apiKey)).find((index) => index !== undefined);
  }

  /** Arguments: `brokers` by their place in the list; all of them unless given. */
  cut(
    directions: readonly Direction[] = ['requests', 'answers'],
    brokers: readonly number[] = [...this.#links.keys()],
  ): void {
    for (const index of brokers) this.#links[index]?.cut(directions);
  }

  /** What is held arrives. */
  heal(): void {
    for (const link of this.#links) link.heal();
  }

  /** How many frames a cut has kept back since the beginning. */
  get held(): { readonly requests: number; readonly answers: number } {
    const sum = (direction: Direction) => this.#links.reduce((total, { held }) => total + held[direction], 0);
    return { requests: sum('requests'), answers: sum('answers') };
  }

  async close(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.close()));
  }
}
