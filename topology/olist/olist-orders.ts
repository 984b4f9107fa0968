/**
 * The Olist tables as orders: each with its lines, payments and times. Called by the replay and its tests.
 * It checks what joins the tables (every row belongs to an order, every order has its customer, every line
 * its seller), because an orphan row would otherwise be an order that silently pays or ships less.
 */
import { type CsvProblem, CsvTable, throwProblems } from './csv-table.ts';

export const olistStatuses = [
  'created',
  'approved',
  'delivered',
  'shipped',
  'invoiced',
  'processing',
  'canceled',
  'unavailable',
] as const;

/** The state that the company recorded; the oracle of the replay. */
export type OlistStatus = (typeof olistStatuses)[number];

/** One piece. Units: minor units (cents), milliseconds since the epoch. */
export interface OlistLine {
  readonly itemId: number;
  readonly productId: string;
  readonly sellerId: string;
  readonly shippingLimitAt: number;
  readonly priceMinor: number;
  readonly freightMinor: number;
}

export interface OlistPayment {
  readonly sequential: number;
  readonly type: string;
  readonly valueMinor: number;
}

/** Units: milliseconds since the epoch. Order: lines by itemId, payments by sequential. */
export interface OlistOrder {
  readonly orderId: string;
  readonly customerId: string;
  readonly status: OlistStatus;
  readonly purchasedAt: number;
  readonly approvedAt: number | undefined;
  readonly handedOverAt: number | undefined;
  readonly deliveredAt: number | undefined;
  readonly promisedAt: number;
  readonly lines: readonly OlistLine[];
  readonly payments: readonly OlistPayment[];
}

/** The tables that are read and their columns that are needed. */
export const olistColumns = {
  orders: [
    'order_id',
    'customer_id',
    'order_status',
    'order_purchase_timestamp',
    'order_approved_at',
    'order_delivered_carrier_date',
    'order_delivered_customer_date',
    'order_estimated_delivery_date',
  ],
  order_items: [
    'order_id',
    'order_item_id',
    'product_id',
    'seller_id',
    'shipping_limit_date',
    'price',
    'freight_value',
  ],
  order_payments: ['order_id', 'payment_sequential', 'payment_type', 'payment_value'],
  customers: ['customer_id', 'customer_unique_id'],
  sellers: ['seller_id'],
} as const;

interface Draft {
  readonly order: Omit<OlistOrder, 'lines' | 'payments'>;
  readonly lines: OlistLine[];
  readonly payments: OlistPayment[];
}

/**
 * All orders of a folder, by time of purchase, then by id.
 * Errors: INPUT_MISSING (folder or table), INPUT_INVALID (column, date, number, orphan row: with file, line
 * and column; all of them together).
 */
export async function readOlistOrders(folder: string): Promise<OlistOrder[]> {
  const problems: CsvProblem[] = [];
  const read = (name: keyof typeof olistColumns) => CsvTable.read(folder, name, olistColumns[name], problems);
  const [orders, items, payments, customers, sellers] = await Promise.all([
    read('orders'),
    read('order_items'),
    read('order_payments'),
    read('customers'),
    read('sellers'),
  ]);
  const persons = new Map(
    customers.rows.map((row) => [row.text('customer_id'), row.text('customer_unique_id')]),
  );
  const knownSellers = new Set(sellers.rows.map((row) => row.text('seller_id')));
  const drafts = readOrderRows(orders, persons);
  readLines(items, drafts, knownSellers);
  readPayments(payments, drafts);
  throwProblems(problems);
  return [...drafts.values()].map(finish).sort(byPurchase);
}

function readOrderRows(table: CsvTable, persons: ReadonlyMap<string, string>): Map<string, Draft> {
  const drafts = new Map<string, Draft>();
  for (const row of table.rows) {
    const orderId = row.text('order_id');
    const status = row.text('order_status');
    const customer = row.text('customer_id');
    const person = persons.get(customer);
    if (customer !== '' && person === undefined) {
      row.report('customer_id', `${customer} is not in the table customers`);
    }
    if (status !== '' && !(olistStatuses as readonly string[]).includes(status)) {
      row.report('order_status', `${JSON.stringify(status)} is not one of ${olistStatuses.join(', ')}`);
    }
    if (drafts.has(orderId)) row.report('order_id', `${orderId} is there twice`);
    drafts.set(orderId, {
      order: {
        orderId,
        customerId: person ?? customer,
        status: status as OlistStatus,
        purchasedAt: row.time('order_purchase_timestamp'),
        approvedAt: row.optionalTime('order_approved_at'),
        handedOverAt: row.optionalTime('order_delivered_carrier_date'),
        deliveredAt: row.optionalTime('order_delivered_customer_date'),
        promisedAt: row.time('order_estimated_delivery_date'),
      },
      lines: [],
      payments: [],
    });
  }
  return drafts;
}

function readLines(
  table: CsvTable,
  drafts: ReadonlyMap<string, Draft>,
  knownSellers: ReadonlySet<string>,
): void {
  for (const row of table.rows) {
    const orderId = row.text('order_id');
    const line: OlistLine = {
      itemId: row.integer('order_item_id'),
      productId: row.text('product_id'),
      sellerId: row.text('seller_id'),
      shippingLimitAt: row.time('shipping_limit_date'),
      priceMinor: row.minorUnits('price'),
      freightMinor: row.minorUnits('freight_value'),
    };
    if (line.sellerId !== '' && !knownSellers.has(line.sellerId)) {
      row.report('seller_id', `${line.sellerId} is not in the table sellers`);
    }
    const draft = drafts.get(orderId);
    if (draft === undefined) row.report('order_id', `${orderId} is not in the table orders`);
    else if (draft.lines.some(({ itemId }) => itemId === line.itemId)) {
      row.report('order_item_id', `order ${orderId} has the line ${line.itemId} twice`);
    } else draft.lines.push(line);
  }
}

function readPayments(table: CsvTable, drafts: ReadonlyMap<string, Draft>): void {
  for (const row of table.rows) {
    const orderId = row.text('order_id');
    const payment: OlistPayment = {
      sequential: row.integer('payment_sequential'),
      type: row.text('payment_type'),
      valueMinor: row.minorUnits('payment_value'),
    };
    const draft = drafts.get(orderId);
    if (draft === undefined) row.report('order_id', `${orderId} is not in the table orders`);
    else if (draft.payments.some(({ sequential }) => sequential === payment.sequential)) {
      row.report('payment_sequential', `order ${orderId} has the payment ${payment.sequential} twice`);
    } else draft.payments.push(payment);
  }
}

function finish({ order, lines, payments }: Draft): OlistOrder {
  return {
    ...order,
    lines: lines.sort((a, b) => a.itemId - b.itemId),
    payments: payments.sort((a, b) => a.sequential - b.sequential),
  };
}

function byPurchase(a: OlistOrder, b: OlistOrder): number {
  return a.purchasedAt - b.purchasedAt || (a.orderId < b.orderId ? -1 : 1);
}
