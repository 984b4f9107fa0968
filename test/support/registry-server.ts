/**
 * A schema registry of a few schemas over HTTP that a test can take away, make slow or make answer nonsense.
 * Only what an application without the right to register asks for.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export type RegistryMode =
  | 'up'
  | 'refused'
  | 'silent'
  | 'error'
  | 'page'
  | 'not found page'
  | 'without schema';

export class RegistryServer {
  mode: RegistryMode = 'up';
  /** Requests that the mode spoilt. */
  hits = 0;
  /** Requests that wait for an answer that does not come. */
  held = 0;
  readonly #schemas: { readonly subject: string; readonly schema: string }[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer((request, response) => void this.#answer(request, response));

  async start(): Promise<string> {
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Its id. */
  add(subject: string, schema: string): number {
    return this.#schemas.push({ subject, schema });
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bodyOf(request);
    if (this.mode !== 'up') {
      this.hits++;
      this.#spoil(request, response);
      return;
    }
    const { status, json } = this.#reply(request.method ?? '', request.url ?? '', body);
    response.writeHead(status, { 'content-type': 'application/vnd.schemaregistry.v1+json' });
    response.end(JSON.stringify(json));
  }

  #spoil(request: IncomingMessage, response: ServerResponse): void {
    const page = '<html><body>Sign in to the network</body></html>';
    if (this.mode === 'refused') request.socket.destroy();
    else if (this.mode === 'silent') this.held++;
    else if (this.mode === 'error') response.writeHead(503).end('{"error_code":50301,"message":"no leader"}');
    else if (this.mode === 'page') response.writeHead(200, { 'content-type': 'text/html' }).end(page);
    else if (this.mode === 'not found page') response.writeHead(404).end(page);
    else response.writeHead(200).end('{"subject":"words"}');
  }

  #reply(method: string, url: string, body: string): { status: number; json: unknown } {
    const [, first, second, third, fourth] = decodeURIComponent(url.split('?')[0] ?? '').split('/');
    const none = (code: number) => ({ status: 404, json: { error_code: code, message: 'not found' } });
    const of = (subject: string | undefined) =>
      this.#schemas
        .map((entry, index) => ({ ...entry, id: index + 1 }))
        .filter((entry) => entry.subject === subject);
    if (first === 'config') return { status: 200, json: { compatibilityLevel: 'FULL_TRANSITIVE' } };
    if (first === 'schemas') {
      const found = this.#schemas[Number(third) - 1];
      return found === undefined ? none(40403) : { status: 200, json: { schema: found.schema } };
    }
    if (first !== 'subjects') return none(404);
    if (method === 'POST') {
      const { schema } = JSON.parse(body) as { schema: string };
      const found = of(second).find((entry) => entry.schema === schema);
      return found === undefined ? none(40403) : { status: 200, json: found };
    }
    if (third !== 'versions') return none(404);
    if (fourth === undefined) return { status: 200, json: of(second).map((_, index) => index + 1) };
    const version = of(second)[Number(fourth) - 1];
    return version === undefined ? none(40402) : { status: 200, json: version };
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
