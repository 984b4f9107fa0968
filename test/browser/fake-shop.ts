/** A shop that exists only as answers of the HTTP API: what the dashboard's tests look at. */

import type { Overview, RecentOrder } from '../../src/app/http-api-types.ts';
import type { HttpRoute } from '../../src/app/http-server.ts';

/** A moment that no test depends on, so that pictures of the page stay the same. */
export const startedAt = Date.UTC(2026, 10, 21, 9, 0, 0);

const phases = ['SHIPPED', 'DELIVERED', 'AUTHORIZING', 'CONFIRMED', 'FULFILLING', 'REJECTED', 'RESERVING'];

function recentOrder(i: number): RecentOrder {
  const phase = phases[(i * 5) % phases.length] ?? 'RESERVING';
  return {
    orderId: i === 0 ? 'a/b <i>&' : `order-${String(10_482 - i).padStart(6, '0')}`,
    phase,
    totalMinor: 1990 + ((i * 7919) % 40_000),
    currencyCode: 'BRL',
    lines: 1 + ((i * 3) % 4),
    updatedAt: startedAt + 372_000 - i * 700,
  };
}

/** The shop as the API shows it; a test changes `overview` and sees the page follow. */
export class FakeShop {
  overview: Overview = {
    broker: 'embedded',
    state: 'RUNNING',
    ready: true,
    startedAt,
    asOf: startedAt + 372_000,
    orders: {
      total: 10_482,
      byPhase: {
        RESERVING: 41,
        AUTHORIZING: 212,
        CONFIRMED: 96,
        FULFILLING: 388,
        SHIPPED: 264,
        DELIVERED: 9012,
        BACKORDERED: 18,
        CANCELLING: 3,
        CANCELLED: 291,
        REJECTED: 157,
      },
    },
    rates: { ordersPerMinute: 1684, eventsPerSecond: 347.2 },
    recent: Array.from({ length: 20 }, (_, i) => recentOrder(i)),
    tasks: ['0_0', '0_1', '1_0', '1_1'].map((taskId) => ({ taskId, state: 'RUNNING', lag: 0 })),
  };
  orders = new Map<string, object>([[recentOrder(0).orderId, orderJson(recentOrder(0).orderId)]]);

  constructor() {
    for (const { orderId } of this.overview.recent) this.orders.set(orderId, orderJson(orderId));
  }

  get routes(): readonly HttpRoute[] {
    return [
      { method: 'GET', path: '/api/overview', handler: async () => this.overview },
      {
        method: 'GET',
        path: '/api/orders/:id',
        handler: async ({ id }) => this.orders.get(id ?? ''),
      },
      { method: 'GET', path: '/api/topology', handler: async () => ({ subtopologies: [] }) },
    ];
  }
}

/** An order in the form of orchestration.state, with two sellers, two payments and a timeline. */
function orderJson(orderId: string): object {
  return {
    orderId,
    tenantId: 'olist',
    stateVersion: 11,
    phase: 'SHIPPED',
    flags: ['SLA_BREACHED'],
    reasonCode: null,
    customerId: '9ef432eb6251297304e76186b10a928d',
    currencyCode: 'BRL',
    placedAt: startedAt - 4 * 86_400_000,
    promisedAt: startedAt + 9 * 86_400_000,
    updatedAt: startedAt + 372_000,
    totalMinor: 18_140,
    shippingMinor: 1740,
    adjustmentMinor: 0,
    authorizedMinor: 18_140,
    capturedMinor: 18_140,
    voidedMinor: 0,
    refundedMinor: 0,
    lines: [
      line('1', 'b1a2-garden-hose', 4200, { ordered: 2, shipped: 2 }),
      line('2', 'c99f-rain-barrel', 8000, { ordered: 1, shipped: 1, delivered: 1 }),
    ],
    payments: [
      payment('p-1', 'credit_card', 'CAPTURED', 10_140),
      payment('p-2', 'voucher', 'CAPTURED', 8000),
    ],
    shipments: [
      shipment('s-1', 'OUT_FOR_DELIVERY', 'BR1029384756'),
      shipment('s-2', 'DELIVERED', 'BR5647382910'),
    ],
    timeline: [
      entry(0, 'event', 'OrderPlaced', 'PENDING', 'RESERVING', '2'),
      entry(1, 'command', 'ReserveStock', 'RESERVING', 'RESERVING', '2'),
      entry(2, 'event', 'StockReserved', 'RESERVING', 'AUTHORIZING', '7'),
      entry(3, 'event', 'PaymentAuthorized', 'AUTHORIZING', 'CONFIRMED', '16'),
      entry(4, 'event', 'PaymentAuthorized', 'CONFIRMED', 'CONFIRMED', 'dup'),
      entry(5, 'timer', 'graceRelease', 'CONFIRMED', 'FULFILLING', '23'),
      entry(6, 'event', 'ShipmentDispatched', 'FULFILLING', 'SHIPPED', '30'),
    ],
  };
}

function line(lineId: string, sku: string, unitPriceMinor: number, quantities: object): object {
  return { lineId, sku, unitPriceMinor, sellerId: `seller-${lineId}`, ...quantities };
}

function payment(paymentId: string, method: string, status: string, amountMinor: number): object {
  return { paymentId, method, status, amountMinor, pspReference: `psp-${paymentId}` };
}

function shipment(shipmentId: string, status: string, trackingNumber: string): object {
  const dispatchedAt = startedAt - 2 * 86_400_000;
  const deliveredAt = status === 'DELIVERED' ? startedAt - 3_600_000 : null;
  return { shipmentId, status, carrierCode: 'correios', trackingNumber, dispatchedAt, deliveredAt };
}

function entry(i: number, kind: string, name: string, phaseBefore: string, phaseAfter: string, row: string) {
  return {
    at: startedAt - (6 - i) * 3_600_000,
    kind,
    name,
    detail: '',
    phaseBefore,
    phaseAfter,
    row,
    sourceTopic: kind === 'event' ? 'payment.events' : null,
    sourcePartition: 2,
    sourceOffset: 8130 + i,
  };
}
