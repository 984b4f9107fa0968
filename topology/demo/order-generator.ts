/**
 * Orders of a demo: order number n of a seed is always the same one, so a demo that was stopped goes on with the
 * next number. Pure; called by demo-driver.ts. Times are the caller's, because a demo happens now.
 */
import { type Random, seededRandom } from '#streams';
import { dice, type FaultSwitches, isShort } from '../participants/faults.ts';
import type { OrderCancelRequested, OrderPlaced, StockReceived } from '../schema-types.ts';

export const demoTenant = 'demo';
const currencyCode = 'EUR';
const products = 48;
const sellers = ['north', 'south', 'west'];
/** Share of orders whose customer has second thoughts. */
const cancelShare = 0.03;
const openingPieces = 500;
const shortPieces = 5;
/** A delivery of goods comes with every so many orders. */
const restockEveryOrders = 5;
const restockPieces = 30;
const methods = ['card', 'card', 'card', 'card', 'boleto', 'voucher'];

const skuOf = (product: number): string => `sku-${String(product + 1).padStart(3, '0')}`;

/** Shape: `D1-000042` = order 42 of seed 1. */
export function orderIdOf(seed: number, number: number): string {
  return `D${seed}-${String(number).padStart(6, '0')}`;
}

/** What is on the shelves before the first order; little of some products, for the out-of-stock branch. */
export function openingStock(seed: number, faults: FaultSwitches, nowMs: number): StockReceived[] {
  return Array.from({ length: products }, (_, product) => {
    const sku = skuOf(product);
    const quantity = isShort(seed, sku, faults) ? shortPieces : openingPieces;
    return received(`${seed}/opening/${sku}`, sku, quantity, nowMs);
  });
}

function received(eventId: string, sku: string, quantity: number, nowMs: number): StockReceived {
  return {
    type: 'StockReceived',
    eventId,
    occurredAt: nowMs,
    sourceSeq: null,
    sku,
    locationId: null,
    quantity,
  };
}

/** One order with what happens beside it: goods that arrive, a cancel that follows at once. */
export interface DemoOrder {
  readonly placed: OrderPlaced;
  readonly cancel: OrderCancelRequested | undefined;
  readonly restock: StockReceived | undefined;
}

export function demoOrder(seed: number, number: number, faults: FaultSwitches, nowMs: number): DemoOrder {
  const random = seededRandom((seed * 1_000_003 + number) >>> 0);
  const orderId = orderIdOf(seed, number);
  const placed = placedOrder(orderId, random, nowMs);
  const cancels = dice(seed, orderId, 'cancel') < cancelShare;
  const sku = skuOf(random.integer(products));
  const restocks = number % restockEveryOrders === 0 && !isShort(seed, sku, faults);
  return {
    placed,
    cancel: cancels ? cancelOf(orderId, nowMs) : undefined,
    restock: restocks ? received(`${seed}/restock/${number}`, sku, restockPieces, nowMs) : undefined,
  };
}

function placedOrder(orderId: string, random: Random, nowMs: number): OrderPlaced {
  const lines = Array.from({ length: 1 + random.integer(3) }, (_, index) => {
    const product = Math.floor(products * random.next() ** 2);
    return {
      lineId: String(index + 1),
      sku: skuOf(product),
      quantity: 1 + random.integer(2),
      unitPriceMinor: 500 + 175 * (product + 1),
      sellerId: sellers[product % sellers.length] ?? null,
      locationId: null,
      shipByAt: null,
    };
  });
  const goods = lines.reduce((sum, line) => sum + line.quantity * line.unitPriceMinor, 0);
  const shippingMinor = goods > 10_000 ? 0 : 490;
  const totalMinor = goods + shippingMinor;
  return {
    type: 'OrderPlaced',
    eventId: `${orderId}/placed`,
    occurredAt: nowMs,
    sourceSeq: null,
    orderId,
    tenantId: demoTenant,
    customerId: `customer-${random.integer(500)}`,
    currencyCode,
    totalMinor,
    shippingMinor,
    adjustmentMinor: 0,
    policy: 'ALL_OR_NOTHING',
    placedAt: nowMs,
    promisedAt: null,
    lines,
    payments: paymentsOf(orderId, totalMinor, random),
  };
}

/** One means of payment; sometimes a voucher takes a part of it. */
function paymentsOf(orderId: string, totalMinor: number, random: Random): OrderPlaced['payments'] {
  const method = methods[random.integer(methods.length)] ?? 'card';
  if (method !== 'voucher') return [{ paymentId: `${orderId}/1`, method, amountMinor: totalMinor }];
  const voucher = Math.min(1_000, Math.floor(totalMinor / 2));
  return [
    { paymentId: `${orderId}/1`, method: 'card', amountMinor: totalMinor - voucher },
    { paymentId: `${orderId}/2`, method: 'voucher', amountMinor: voucher },
  ];
}

function cancelOf(orderId: string, nowMs: number): OrderCancelRequested {
  return {
    type: 'OrderCancelRequested',
    eventId: `${orderId}/cancel`,
    occurredAt: nowMs + 1,
    sourceSeq: null,
    orderId,
    reasonCode: 'second_thoughts',
    requestedBy: 'customer',
    lineIds: null,
  };
}
