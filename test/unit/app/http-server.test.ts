import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'mocha';
import { type HttpServer, type HttpServerOptions, startHttpServer } from '../../../src/app/http-server.ts';
import { StreamsError } from '../../../src/base/errors.ts';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import { silentTelemetry } from '../../../src/base/telemetry-port.ts';
import { eventually } from '../../support/eventually.ts';

describe('startHttpServer', () => {
  const servers: HttpServer[] = [];
  const folders: string[] = [];

  async function start(options: Partial<HttpServerOptions> = {}): Promise<HttpServer> {
    const server = await startHttpServer({
      port: 0,
      healthy: () => true,
      ready: () => true,
      routes: [],
      log: silentTelemetry.log,
      ...options,
    });
    servers.push(server);
    return server;
  }

  async function get(server: HttpServer, path: string): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${server.url}${path}`);
    return { status: response.status, body: await response.json() };
  }

  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.close()));
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  });

  it('answers health and readiness with 200, or 503 and the reason', async () => {
    let ready: HttpServerOptions['ready'] = () => ({ ok: false, reason: 'restoring 3 of 12 tasks' });
    const server = await start({ ready: () => ready() });
    assert.deepEqual(await get(server, '/healthz'), { status: 200, body: { ok: true } });
    assert.deepEqual(await get(server, '/readyz'), {
      status: 503,
      body: { ok: false, reason: 'restoring 3 of 12 tasks' },
    });
    ready = () => true;
    assert.equal((await get(server, '/readyz')).status, 200);
  });

  it('serves the metrics page under its content type', async () => {
    const server = await start({ metrics: { text: async () => 'up 1\n', contentType: 'text/plain; v=1' } });
    const response = await fetch(`${server.url}/metrics`);
    assert.equal(response.headers.get('content-type'), 'text/plain; v=1');
    assert.equal(await response.text(), 'up 1\n');
  });

  it('gives a handler path parameters and query and sends its result as JSON', async () => {
    const server = await start({
      routes: [
        {
          method: 'GET',
          path: '/api/orders/:id',
          handler: async (params, query) => ({
            ...params,
            ...query,
            big: 12n,
            huge: 2n ** 70n,
            bytes: Buffer.from('hi'),
            map: new Map([['a', 1]]),
          }),
        },
      ],
    });
    assert.deepEqual((await get(server, '/api/orders/o%2F1?at=5&at=6')).body, {
      id: 'o/1',
      at: '6',
      big: 12,
      huge: '1180591620717411303424',
      bytes: 'aGk=',
      map: { a: 1 },
    });
  });

  it('answers errors as code, message and hint under a fitting status', async () => {
    const failing = (path: string, error: unknown) => ({
      method: 'GET' as const,
      path,
      handler: () => Promise.reject(error),
    });
    const server = await start({
      routes: [
        failing('/api/user', new StreamsError('INPUT_INVALID', 'Bad id', { hint: 'use letters' })),
        failing('/api/away', new StreamsError('BROKER_UNAVAILABLE', 'No broker')),
        failing('/api/unknown', new StreamsError('STORE_UNKNOWN', 'No such store')),
        failing('/api/bug', new Error('secret detail')),
        { method: 'GET', path: '/api/none', handler: async () => undefined },
      ],
    });
    assert.deepEqual(await get(server, '/api/user'), {
      status: 400,
      body: { code: 'INPUT_INVALID', message: 'Bad id; use letters', hint: 'use letters' },
    });
    assert.equal((await get(server, '/api/away')).status, 503);
    assert.equal((await get(server, '/api/unknown')).status, 404);
    assert.equal((await get(server, '/api/none')).status, 404);
    assert.equal((await get(server, '/nowhere')).status, 404);
    const bug = await get(server, '/api/bug');
    assert.equal(bug.status, 500);
    assert.doesNotMatch(JSON.stringify(bug.body), /secret/);
    assert.equal((await get(server, '/api/%zz')).status, 400);
  });

  it('refuses a port that is in use and names the way out', async () => {
    const { port } = await start();
    await assert.rejects(start({ port }), (error: unknown) => {
      assert.ok(error instanceof StreamsError);
      assert.equal(error.code, 'PORT_IN_USE');
      assert.match(error.message, new RegExp(`port ${port}`));
      assert.match(error.message, /--port/);
      return true;
    });
  });

  it('refuses an address that this machine does not have', async () => {
    await assert.rejects(start({ host: '203.0.113.1' }), { code: 'SETTING_INVALID' });
  });

  it('answers on loopback only to names of this machine', async () => {
    const server = await start();
    const status = await new Promise((resolve, reject) => {
      const asking = httpRequest(
        `${server.url}/healthz`,
        { headers: { host: 'evil.example:80' } },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        },
      );
      asking.on('error', reject).end();
    });
    assert.equal(status, 403);
  });

  it('serves the dashboard and refuses a folder without one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-dashboard-'));
    folders.push(folder);
    await assert.rejects(start({ dashboardDir: folder }), { code: 'INPUT_MISSING' });
    writeFileSync(join(folder, 'index.html'), '<title>here</title>');
    const server = await start({ dashboardDir: folder });
    const page = await fetch(`${server.url}/`);
    assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'self'/);
    assert.match(await page.text(), /here/);
    assert.equal((await get(server, '/../package.json')).status, 404);
  });

  it('pushes the overview to each listener at most once a period and stops reading when none is left', async () => {
    const clock = new ManualClock();
    let reads = 0;
    const server = await start({
      clock,
      routes: [{ method: 'GET', path: '/api/overview', handler: async () => ({ read: ++reads }) }],
    });
    const first = await listen(server);
    await eventually(() => first.text().includes('data: {"read":1}'), { what: 'the first event' });
    const second = await listen(server);
    await eventually(() => second.text().includes('data: {"read":1}'), { what: 'the last event, at once' });
    assert.equal(reads, 1);
    clock.advance(1000);
    await eventually(() => second.text().includes('data: {"read":2}'), { what: 'the second event' });
    assert.ok(first.text().includes('data: {"read":2}'));
    first.stop();
    second.stop();
    await eventually(
      async () => {
        clock.advance(1000);
        const before = reads;
        await new Promise((resolve) => setImmediate(resolve));
        return reads === before;
      },
      { what: 'no reads without listeners' },
    );
  });

  it('keeps a stream open when the overview cannot be read for a while', async () => {
    const clock = new ManualClock();
    let works = false;
    const server = await start({
      clock,
      routes: [
        {
          method: 'GET',
          path: '/api/overview',
          handler: async () => {
            if (!works) throw new StreamsError('BROKER_UNAVAILABLE', 'away');
            return { fine: true };
          },
        },
      ],
    });
    const listener = await listen(server);
    await eventually(() => listener.text().includes(': no data'), { what: 'a comment' });
    works = true;
    clock.advance(1000);
    await eventually(() => listener.text().includes('"fine":true'), { what: 'an event' });
    listener.stop();
  });

  it('sends no event while there is no overview yet', async () => {
    const clock = new ManualClock();
    let overview: object | undefined;
    const server = await start({
      clock,
      routes: [{ method: 'GET', path: '/api/overview', handler: async () => overview }],
    });
    const listener = await listen(server);
    await eventually(() => listener.text().includes(': no data'), { what: 'a comment' });
    overview = { here: true };
    clock.advance(1000);
    await eventually(() => listener.text().includes('"here":true'), { what: 'an event' });
    assert.doesNotMatch(listener.text(), /undefined/);
    listener.stop();
  });

  it('turns away listeners beyond its bound', async () => {
    const server = await start({
      listenersMax: 1,
      routes: [{ method: 'GET', path: '/api/overview', handler: async () => ({}) }],
    });
    const listener = await listen(server);
    assert.equal((await get(server, '/api/events')).status, 503);
    listener.stop();
  });

  it('ends the streams and frees the port when it is closed, twice if need be', async () => {
    const server = await start({
      routes: [{ method: 'GET', path: '/api/overview', handler: async () => ({ n: 1 }) }],
    });
    const listener = await listen(server);
    await eventually(() => listener.text().includes('"n":1'), { what: 'an event' });
    await server.close();
    await server.close();
    await eventually(() => listener.ended(), { what: 'the end of the stream' });
    await start({ port: server.port });
  });
});

/** Opens the event stream and collects its text. */
async function listen(server: HttpServer) {
  const stopping = new AbortController();
  const response = await fetch(`${server.url}/api/events`, { signal: stopping.signal });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /text\/event-stream/);
  let text = '';
  let ended = false;
  const decoder = new TextDecoder();
  const reading = async () => {
    for await (const chunk of response.body!) text += decoder.decode(chunk, { stream: true });
  };
  const done = () => {
    ended = true;
  };
  reading().then(done, done);
  return { text: () => text, ended: () => ended, stop: () => stopping.abort() };
}
