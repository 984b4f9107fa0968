/** The HTTP server of a command: health, metrics, dashboard, and what the board and the engine know of orders. */
import {
  type HttpRoute,
  type HttpServer,
  type Logger,
  type PrometheusMetrics,
  startHttpServer,
} from '#streams';
import { orderStore } from '../order/order-processor.ts';
import { snapshotOf } from '../order/snapshot.ts';
import type { OrderState } from '../order/state.ts';
import type { ShopRuntime } from '../shop-runtime.ts';
import type { OrderBoard } from './order-board.ts';
import { dashboardFolder } from './paths.ts';

/** What the server answers from, as soon as it is there. */
export interface WebSource {
  shop: ShopRuntime | undefined;
  board: OrderBoard | undefined;
  /** Whether the shop's own store of orders is in this process. */
  hasOrders: boolean;
}

/**
 * Listens before the shop is there, so that `/readyz` can say why it is not ready.
 * Errors: PORT_IN_USE, SETTING_INVALID.
 */
export function openWeb(options: {
  readonly host: string;
  readonly port: number;
  readonly title: string;
  readonly metrics: PrometheusMetrics;
  readonly log: Logger;
  readonly source: WebSource;
}): Promise<HttpServer> {
  const { host, port, title, metrics, log, source } = options;
  return startHttpServer({
    host,
    port,
    dashboardDir: dashboardFolder,
    metrics: { text: () => metrics.text(), contentType: metrics.contentType },
    healthy: () => source.shop?.main.state !== 'ERROR',
    ready: () =>
      source.shop?.ready === true || {
        ok: false,
        reason: source.shop?.main.state ?? 'the instance is starting',
      },
    routes: routes(source, title),
    log,
  });
}

function routes(source: WebSource, title: string): HttpRoute[] {
  return [
    {
      method: 'GET',
      path: '/api/overview',
      handler: async () =>
        source.shop === undefined ? undefined : source.board?.overview(source.shop.main, title),
    },
    {
      method: 'GET',
      path: '/api/orders/:id',
      handler: async ({ id }) => (id === undefined ? undefined : findOrder(source, id)),
    },
    { method: 'GET', path: '/api/status', handler: async () => source.shop?.main.status() },
  ];
}

/** The board's snapshot, with its timeline; for an order that is long gone the engine's committed state. */
async function findOrder({ shop, board, hasOrders }: WebSource, orderId: string): Promise<unknown> {
  const known = board?.order(orderId);
  if (known !== undefined || shop === undefined || !hasOrders) return known;
  const state = await shop.main.query<string, OrderState>(orderStore, orderId);
  return state === undefined ? undefined : snapshotOf(state, state.clockMs);
}
