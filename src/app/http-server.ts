/**
 * The HTTP side of an instance and the gateway of `fastify`: metrics, health, the JSON API and the static
 * dashboard. The command line starts it before the runtime (so that `/readyz` can say why it is not ready)
 * and closes it after. It knows no order and no task: what it answers comes from the functions it is given.
 *
 * It listens on this machine only unless told otherwise, has no write operation of its own and holds no state.
 */
import { existsSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import fastifyStatic from '@fastify/static';
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { Logger } from '../base/telemetry-port.ts';
import { wallClock } from '../base/wall-clock.ts';
import type { ApiProblem } from './http-api-types.ts';
import { EventHub } from './http-events.ts';
import { type HttpProblem, notFound, problemOf, toJson } from './http-problems.ts';

/** True, false, or false with the reason that the answer shall name. */
export type Health = boolean | { readonly ok: boolean; readonly reason?: string };

/**
 * One route of the API. Shape: `path` as fastify writes it (`/api/orders/:id`). What the handler returns is
 * sent as JSON; `undefined` or `null` means 404. A StreamsError keeps its code, message and hint.
 */
export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly handler: (
    params: Readonly<Record<string, string>>,
    query: Readonly<Record<string, string>>,
  ) => Promise<unknown>;
}

export interface HttpServerOptions {
  /** Default: 127.0.0.1. Anything else shows orders to whoever reaches it. */
  readonly host?: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** Served at `/`. Absent: no dashboard. */
  readonly dashboardDir?: string;
  readonly metrics?: { text(): Promise<string>; readonly contentType: string };
  /** `/healthz`: false means that only a restart helps. */
  readonly healthy: () => Health;
  /** `/readyz`: false while the instance restores or has no task. */
  readonly ready: () => Health;
  /** A route `GET /api/overview` among them is also pushed to the listeners of `/api/events`. */
  readonly routes: readonly HttpRoute[];
  readonly log: Logger;
  readonly clock?: Clock;
  /** Between two events of `/api/events`. Default: 1000. */
  readonly eventsEveryMs?: number;
  /** Open pages at one time. Default: 100. */
  readonly listenersMax?: number;
}

export interface HttpServer {
  readonly port: number;
  /** Shape: `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Ends event streams, answers what is under way, frees the port. Idempotent. */
  close(): Promise<void>;
}

const OVERVIEW = '/api/overview';

/** The page loads nothing from elsewhere and nobody may frame it. */
const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
};

/**
 * Starts listening.
 * Errors: PORT_IN_USE, SETTING_INVALID (an address this machine does not have, a port that may not be
 * opened), INPUT_MISSING (no dashboard in `dashboardDir`).
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const host = options.host ?? '127.0.0.1';
  const app = fastify({
    logger: false,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 500, ignoreTrailingSlash: true },
  });
  const events = eventHub(options);
  addGuards(app, host, options.log);
  addOperations(app, options);
  if (events !== undefined) addEvents(app, events);
  for (const route of options.routes) addRoute(app, route);
  addDashboard(app, options.dashboardDir);
  await listen(app, host, options.port);
  const { port } = app.server.address() as AddressInfo;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  options.log.info('HTTP server listens', { url });
  return {
    port,
    url,
    close: async () => {
      await events?.close();
      await app.close();
    },
  };
}

function eventHub(options: HttpServerOptions): EventHub | undefined {
  const overview = options.routes.find((route) => route.method === 'GET' && route.path === OVERVIEW);
  if (overview === undefined) return undefined;
  return new EventHub({
    read: async () => {
      const found = await overview.handler({}, {});
      return found === undefined || found === null ? undefined : toJson(found);
    },
    everyMs: options.eventsEveryMs ?? 1000,
    listenersMax: options.listenersMax ?? 100,
    clock: options.clock ?? wallClock,
    log: options.log,
  });
}

/** Headers of every answer, the check of the Host header, and JSON for what goes wrong. */
function addGuards(app: FastifyInstance, host: string, log: Logger): void {
  const ownNames = isLoopback(host) ? new Set(['localhost', '127.0.0.1', '[::1]', host]) : undefined;
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    // On loopback another name in Host means a foreign web page that made its own name point here.
    const name = (request.headers.host ?? '').replace(/:\d+$/, '');
    if (ownNames !== undefined && !ownNames.has(name)) {
      const problem: HttpProblem = {
        status: 403,
        body: {
          code: 'HOST_REFUSED',
          message: `This instance answers only for this machine, not for "${name}"`,
          hint: 'open it as http://127.0.0.1, or start it with another host',
        },
      };
      return send(reply, problem);
    }
    return undefined;
  });
  app.setNotFoundHandler((request, reply) => send(reply, notFound(request.url)));
  app.setErrorHandler((error, request, reply) => {
    const problem = problemOf(error);
    if (problem.status >= 500)
      log.error('a request failed', { method: request.method, path: request.url }, error);
    return send(reply, problem);
  });
}

function addOperations(app: FastifyInstance, options: HttpServerOptions): void {
  const { metrics } = options;
  if (metrics !== undefined) {
    app.get('/metrics', async (_request, reply) =>
      reply.header('content-type', metrics.contentType).send(await metrics.text()),
    );
  }
  const answer = (path: string, read: () => Health): void => {
    app.get(path, (_request, reply) => {
      const health = read();
      const { ok, reason } = typeof health === 'boolean' ? { ok: health, reason: undefined } : health;
      return sendJson(
        reply,
        ok ? 200 : 503,
        ok ? { ok: true } : { ok: false, reason: reason ?? 'no reason given' },
      );
    });
  };
  answer('/healthz', options.healthy);
  answer('/readyz', options.ready);
}

function addEvents(app: FastifyInstance, events: EventHub): void {
  app.get('/api/events', (_request, reply) => {
    if (!events.hasRoom) {
      const body: ApiProblem = {
        code: 'TOO_MANY_LISTENERS',
        message: 'Too many pages listen already, or the instance is stopping',
        hint: `read ${OVERVIEW} instead`,
      };
      return send(reply, { status: 503, body });
    }
    // The stream outlives the handler: fastify must not touch the response any more.
    reply.hijack();
    for (const [name, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) reply.raw.setHeader(name, value);
    events.add(reply.raw);
    return reply;
  });
}

function addRoute(app: FastifyInstance, route: HttpRoute): void {
  app.route({
    method: route.method,
    url: route.path,
    handler: async (request, reply) => {
      const result = await route.handler(strings(request.params), strings(request.query));
      if (result === undefined || result === null) return send(reply, notFound(request.url));
      return sendJson(reply, 200, result);
    },
  });
}

function addDashboard(app: FastifyInstance, dashboardDir: string | undefined): void {
  if (dashboardDir === undefined) return;
  if (!existsSync(`${dashboardDir}/index.html`)) {
    throw new StreamsError('INPUT_MISSING', 'the dashboard is not where it should be', {
      context: { file: `${dashboardDir}/index.html` },
      hint: 'install the package again, or start without the dashboard',
    });
  }
  // No caching by age: after an upgrade the page must fit the API; the entity tag keeps it cheap.
  app.register(fastifyStatic, { root: dashboardDir, prefix: '/', maxAge: 0 });
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<void> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw listenError(error, host, port);
  }
}

function listenError(error: unknown, host: string, port: number): unknown {
  const code = (error as { code?: unknown }).code;
  if (code === 'EADDRINUSE') {
    return new StreamsError('PORT_IN_USE', `port ${port} is taken by another process`, {
      context: { host, port },
      hint: 'choose another with --port P, or any free one with --port 0',
      cause: error,
    });
  }
  if (
    code === 'EACCES' ||
    code === 'EADDRNOTAVAIL' ||
    code === 'ENOTFOUND' ||
    code === 'ERR_SOCKET_BAD_PORT'
  ) {
    return new StreamsError(
      'SETTING_INVALID',
      `the address ${host}:${port} cannot be listened on (${code})`,
      {
        context: { host, port },
        hint: 'choose a port from 1024 to 65535 and an address of this machine',
        cause: error,
      },
    );
  }
  return error;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

/** Query values as single strings: of a repeated name the last. */
function strings(source: unknown): Readonly<Record<string, string>> {
  const pairs = Object.entries((source ?? {}) as Record<string, string | readonly string[]>);
  return Object.fromEntries(
    pairs.map(([name, value]) => [name, typeof value === 'string' ? value : (value.at(-1) ?? '')]),
  );
}

function send(reply: FastifyReply, problem: HttpProblem): FastifyReply {
  return sendJson(reply, problem.status, problem.body);
}

function sendJson(reply: FastifyReply, status: number, body: unknown): FastifyReply {
  return reply
    .code(status)
    .header('content-type', 'application/json; charset=utf-8')
    .header('cache-control', 'no-store')
    .send(toJson(body));
}
