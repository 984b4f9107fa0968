import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { SchemaRegistry } from '../../../src/base/registry-port.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import { type HttpRegistryOptions, openHttpRegistry } from '../../../src/registry/http-registry.ts';

/** An answer of the fake server: status and JSON, or nothing at all. */
type Reply =
  | { readonly status: number; readonly body?: unknown; readonly text?: string }
  | 'silence'
  | 'hang up';

const schema = JSON.stringify({ type: 'record', namespace: 't', name: 'R', fields: [] });
const ok = (body: unknown): Reply => ({ status: 200, body });
const failed = (status: number, code: number, message = 'no'): Reply => ({
  status,
  body: { error_code: code, message },
});

describe('the registry over HTTP', () => {
  let server: Server;
  let url: string;
  /** What the server was asked, as `METHOD path`, without the probe of the start. */
  let asked: string[];
  let bodies: string[];
  let answer: (method: string, path: string) => Reply;
  let registry: SchemaRegistry | undefined;

  const open = async (options: Partial<HttpRegistryOptions> = {}): Promise<SchemaRegistry> => {
    registry = await openHttpRegistry({
      url,
      clock: wallClock,
      retries: 2,
      retryPauseMs: 1,
      timeoutMs: 500,
      ...options,
    });
    asked = [];
    return registry;
  };

  beforeEach(async () => {
    asked = [];
    bodies = [];
    answer = () => failed(404, 40401);
    server = createServer((request, response) => {
      void read(request).then((body) => {
        const path = request.url ?? '';
        asked.push(`${request.method} ${path}`);
        bodies.push(body);
        const reply =
          path === '/base/config'
            ? ok({ compatibilityLevel: 'BACKWARD' })
            : answer(request.method ?? '', path);
        if (reply === 'silence') return;
        if (reply === 'hang up') return request.socket.destroy();
        response.writeHead(reply.status, { 'content-type': 'application/vnd.schemaregistry.v1+json' });
        response.end(reply.text ?? JSON.stringify(reply.body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/base`;
  });

  afterEach(async () => {
    await registry?.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it('names the URL when nobody listens there', async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await assert.rejects(open(), {
      code: 'REGISTRY_UNAVAILABLE',
      kind: 'retriable',
      message: new RegExp(`ECONNREFUSED.*${url}`),
    });
    server.listen(0);
  });

  it('refuses what is not a URL, and never shows a password in one', async () => {
    for (const bad of ['nonsense', 'ftp://host', 'http://user:secret@host/']) {
      await assert.rejects(open({ url: bad }), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'SETTING_INVALID');
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    }
  });

  it("says so when the address is not a registry's", async () => {
    const wrong = url.replace('/base', '/elsewhere');
    answer = () => ({ status: 404, text: '<html>' });
    await assert.rejects(open({ url: wrong }), {
      code: 'REGISTRY_REQUEST_FAILED',
      message: /base of a Confluent-compatible API/,
    });
  });

  it('sends the credentials and the client id', async () => {
    let headers: IncomingMessage['headers'] = {};
    server.prependListener('request', (request: IncomingMessage) => {
      headers = request.headers;
    });
    await open({ auth: { username: 'u', password: 'p' }, clientId: 'shop' });
    assert.equal(headers.authorization, 'Basic dTpw');
    assert.equal(headers['user-agent'], 'shop');
  });

  it('repeats a request that failed for a passing reason, a bounded number of times', async () => {
    const open503 = await open();
    let left = 2;
    answer = () => (left-- > 0 ? failed(503, 50003) : ok({ schema }));
    assert.equal((await open503.schemaById(7)).schema, schema);
    assert.equal(asked.length, 3);
    left = 9;
    await assert.rejects(open503.schemaById(8), { code: 'REGISTRY_UNAVAILABLE' });
    assert.equal(asked.length, 6);
  });

  for (const [name, reply] of [
    ['429', failed(429, 42901)],
    ['500', failed(500, 50001)],
    ["a gateway's 502 in HTML", { status: 502, text: '<html>' }],
    ['no answer in time', 'silence'],
    ['a connection that breaks', 'hang up'],
    ['expired credentials', failed(401, 40101)],
  ] as [string, Reply][]) {
    it(`takes ${name} for an outage, not for an unknown schema`, async () => {
      const client = await open({ retries: 1, timeoutMs: 100 });
      answer = () => reply;
      await assert.rejects(client.schemaById(1), { code: 'REGISTRY_UNAVAILABLE', kind: 'retriable' });
    });
  }

  it("takes only the registry's own code for an unknown schema, not any 404", async () => {
    const client = await open();
    answer = () => failed(404, 40403);
    await assert.rejects(client.schemaById(1), { code: 'SCHEMA_UNKNOWN', kind: 'poison' });
    answer = () => ({ status: 404, text: 'no such page' });
    await assert.rejects(client.schemaById(1), { code: 'REGISTRY_REQUEST_FAILED' });
  });

  it('asks again for an unknown id, which a replica may not have heard of yet', async () => {
    const client = await open();
    let left = 1;
    answer = () => (left-- > 0 ? failed(404, 40403) : ok({ schema }));
    assert.equal((await client.schemaById(1)).schema, schema);
    left = 9;
    await assert.rejects(client.schemaById(2), { code: 'SCHEMA_UNKNOWN' });
    assert.equal(asked.length, 5);
  });

  it('refuses an answer without what was asked for', async () => {
    const client = await open();
    answer = () => ok({});
    await assert.rejects(client.schemaById(1), { code: 'REGISTRY_REQUEST_FAILED' });
    answer = () => ({ status: 200, text: 'not JSON' });
    await assert.rejects(client.versions('s'), { code: 'REGISTRY_REQUEST_FAILED' });
  });

  /** A server without levels set, like Confluent's: 40408 for the subject's own. */
  const emptyServer =
    (levels: Map<string, string>) =>
    (method: string, path: string): Reply => {
      if (path.startsWith('/base/config/s')) {
        if (method === 'PUT')
          levels.set('s', (JSON.parse(bodies.at(-1) ?? '{}') as { compatibility: string }).compatibility);
        const level = levels.get('s');
        return level === undefined
          ? failed(404, 40408)
          : ok({ compatibilityLevel: level, compatibility: level });
      }
      if (path === '/base/subjects/s/versions' && method === 'POST') return ok({ id: 12 });
      return failed(404, 40401);
    };

  it('sets the level before the first version, and only once', async () => {
    const client = await open();
    const levels = new Map<string, string>();
    answer = emptyServer(levels);
    assert.equal((await client.register('s', schema, 'FULL_TRANSITIVE')).id, 12);
    const writes = asked.filter((line) => !line.startsWith('GET') && line !== 'POST /base/subjects/s');
    assert.deepEqual(writes, ['PUT /base/config/s', 'POST /base/subjects/s/versions']);
    assert.equal(levels.get('s'), 'FULL_TRANSITIVE');
  });

  it('sets no level when none is asked for, although the library would', async () => {
    const client = await open();
    answer = emptyServer(new Map());
    await client.register('s', schema);
    assert.deepEqual(
      asked.filter((line) => line.startsWith('PUT')),
      [],
    );
  });

  it('leaves a subject with versions at its level, and registers under it', async () => {
    const client = await open();
    const empty = emptyServer(new Map([['s', 'BACKWARD']]));
    answer = (method, path) =>
      path.startsWith('/base/subjects/s') && !path.endsWith('/versions')
        ? failed(404, 40403)
        : empty(method, path);
    assert.equal((await client.register('s', schema, 'FULL_TRANSITIVE')).id, 12);
    assert.deepEqual(
      asked.filter((line) => line.startsWith('PUT')),
      [],
    );
  });

  it('looks again when the level moves between reading it and registering', async () => {
    const client = await open();
    const levels = new Map<string, string>();
    const empty = emptyServer(levels);
    let reads = 0;
    answer = (method, path) => {
      const reply = empty(method, path);
      if (path === '/base/config/s' && method === 'GET' && ++reads === 1) levels.set('s', 'FULL');
      return reply;
    };
    assert.equal((await client.register('s', schema)).id, 12);
  });

  for (const [name, reply, code] of [
    ['409', failed(409, 409, 'incompatible'), 'SCHEMA_INCOMPATIBLE'],
    ['422', failed(422, 42201, 'invalid'), 'SCHEMA_INVALID'],
    ['503', failed(503, 50003), 'REGISTRY_UNAVAILABLE'],
    ['a broken connection, which the library reports as 400', 'hang up', 'REGISTRY_UNAVAILABLE'],
  ] as [string, Reply, string][]) {
    it(`reports ${name} at registration as ${code}`, async () => {
      const client = await open({ retries: 0 });
      const empty = emptyServer(new Map());
      answer = (method, path) =>
        method === 'POST' && path.endsWith('/versions') ? reply : empty(method, path);
      await assert.rejects(client.register('s', schema), { code, message: /s/ });
    });
  }

  it('reports a server that goes away during registration as an outage', async () => {
    const client = await open({ retries: 0 });
    const empty = emptyServer(new Map());
    answer = (method, path) => {
      if (method !== 'POST' || !path.endsWith('/versions')) return empty(method, path);
      server.close();
      server.closeAllConnections();
      return 'hang up';
    };
    await assert.rejects(client.register('s', schema), { code: 'REGISTRY_UNAVAILABLE' });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });

  it('asks for a few things at a time, however many callers there are', async () => {
    const client = await open();
    let open_ = 0;
    let most = 0;
    server.on('request', (_request, response) => {
      most = Math.max(most, ++open_);
      response.on('close', () => open_--);
    });
    answer = () => ok({ schema });
    await Promise.all(Array.from({ length: 50 }, (_, id) => client.schemaById(id + 1)));
    assert.ok(most <= 8, `${most} at once`);
  });
});

async function read(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
