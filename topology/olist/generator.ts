/**
 * Orders in Olist's tables and columns from a seed, with the natural trouble of the real ones: handovers before
 * the approval or even the purchase, deliveries before the handover, orders without lines or approval, cancels
 * after the handover, several sellers, lines and payments, sums that do not add up, late deliveries and a peak
 * on one day. For tests in a clone that has not got the real data. Writes files; the same seed writes the same.
 */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type Random, seededRandom } from '#streams';
import { tableTime } from './civil-time.ts';

export interface GeneratorOptions {
  readonly orders: number;
  readonly seed: number;
  /** Default true: `orders.csv.gz` and so on, as Olist's here. */
  readonly gzip?: boolean;
}

/** Of 22,870 real orders so many had this trouble; each is made at least once. */
const troublePer22870 = {
  handoverBeforeApproval: 300,
  handoverBeforePurchase: 52,
  deliveryBeforeHandover: 3,
  deliveredWithoutApproval: 4,
  cancelledAfterHandover: 9,
  withoutLines: 110,
  severalSellers: 287,
  severalLines: 2_003,
  severalPayments: 667,
  wrongSum: 61,
  lateDelivery: 1_775,
  slowBoleto: 160,
} as const;
type Trouble = keyof typeof troublePer22870;

/** Shares of the recorded statuses that no trouble of above brings. */
const shares = { shipped: 0.0062, canceled: 0.003, invoiced: 0.0023, processing: 0.0017 } as const;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const firstDayMs = Date.UTC(2016, 9, 4);
const days = 690;
const peakMs = Date.UTC(2017, 10, 24);

type Row = Readonly<Record<string, string>>;

/** Rows by table, as text. Order: as a database would dump them, orders by id, not by time. */
export interface OlistTables {
  readonly orders: readonly Row[];
  readonly order_items: readonly Row[];
  readonly order_payments: readonly Row[];
  readonly customers: readonly Row[];
  readonly sellers: readonly Row[];
}

export function generateOlist(options: GeneratorOptions): OlistTables {
  const random = seededRandom(options.seed);
  const sellers = Array.from({ length: Math.max(5, Math.ceil(options.orders / 10)) }, (_, index) =>
    idOf(options.seed, 'seller', index),
  );
  const troubles = chooseTroubles(options.orders, random);
  const tables = { orders: [], order_items: [], order_payments: [], customers: [] } as {
    orders: Row[];
    order_items: Row[];
    order_payments: Row[];
    customers: Row[];
  };
  for (let index = 0; index < options.orders; index++) {
    const order = new OrderDraft(options.seed, index, troubles.get(index), random, sellers);
    tables.orders.push(order.row());
    tables.order_items.push(...order.items());
    tables.order_payments.push(...order.payments());
    tables.customers.push(order.customer());
  }
  const byId = (a: Row, b: Row) => ((a.order_id ?? '') < (b.order_id ?? '') ? -1 : 1);
  return {
    ...tables,
    orders: tables.orders.sort(byId),
    sellers: sellers.map((seller_id) => ({
      seller_id,
      seller_zip_code_prefix: '13023',
      seller_city: 'campinas',
      seller_state: 'SP',
    })),
  };
}

/** Writes the five tables into a folder, which is created. */
export async function writeOlistFolder(folder: string, options: GeneratorOptions): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [table, rows] of Object.entries(generateOlist(options)) as [string, readonly Row[]][]) {
    const header = Object.keys(rows[0] ?? { empty: '' });
    const text = `${[header, ...rows.map((row) => header.map((column) => row[column] ?? ''))]
      .map((cells) => cells.join(','))
      .join('\n')}\n`;
    if (options.gzip === false) await writeFile(join(folder, `${table}.csv`), text);
    else await writeFile(join(folder, `${table}.csv.gz`), gzipSync(text));
  }
}

function idOf(seed: number, what: string, index: number): string {
  return createHash('md5').update(`${seed}/${what}/${index}`).digest('hex');
}

/** At most one trouble per order, at orders that chance picks. */
function chooseTroubles(orders: number, random: Random): Map<number, Trouble> {
  const chosen = new Map<number, Trouble>();
  for (const [trouble, count] of Object.entries(troublePer22870) as [Trouble, number][]) {
    const wanted = Math.max(1, Math.round((orders * count) / 22_870));
    for (let made = 0, tries = 0; made < wanted && tries < 20 * orders; tries++) {
      const index = random.integer(orders);
      if (chosen.has(index)) continue;
      chosen.set(index, trouble);
      made++;
    }
  }
  return chosen;
}

const timeText = (ms: number | undefined): string => (ms === undefined ? '' : tableTime(ms));

function amountText(minor: number): string {
  return (minor / 100).toFixed(2);
}

/** Skewed: most values are near the low end, a few reach the high one. */
function skewed(random: Random, low: number, high: number): number {
  return low + (high - low) * random.next() ** 3;
}

interface Item {
  readonly productId: string;
  readonly sellerId: string;
  readonly priceMinor: number;
  readonly freightMinor: number;
}

class OrderDraft {
  readonly #id: string;
  readonly #customer: string;
  readonly #person: string;
  readonly #status: string;
  readonly #purchased: number;
  readonly #approved: number | undefined;
  readonly #handedOver: number | undefined;
  readonly #delivered: number | undefined;
  readonly #promised: number;
  readonly #items: readonly Item[];
  readonly #payments: readonly { readonly type: string; readonly minor: number }[];

  constructor(
    seed: number,
    index: number,
    trouble: Trouble | undefined,
    random: Random,
    sellers: readonly string[],
  ) {
    this.#id = idOf(seed, 'order', index);
    this.#customer = idOf(seed, 'customer', index);
    this.#person = idOf(seed, 'person', random.integer(1_000_000));
    this.#status = statusOf(trouble, random);
    this.#purchased = purchaseTime(random);
    const boleto = trouble === 'slowBoleto' || random.next() < 0.19;
    this.#items = itemsOf(seed, index, trouble, this.#status, random, sellers);
    this.#payments = paymentRows(this.#items, boleto, trouble, random);
    const approved =
      this.#purchased +
      (boleto
        ? skewed(random, 0.5, trouble === 'slowBoleto' ? 12 : 4) * dayMs
        : skewed(random, 5, 2_000) * minuteMs);
    this.#approved = isApproved(this.#status, trouble, this.#items) ? approved : undefined;
    this.#handedOver = this.#isHandedOver(trouble)
      ? this.#handoverTime(trouble, approved, random)
      : undefined;
    const arrived = (this.#handedOver ?? approved) + skewed(random, 1, 40) * dayMs;
    this.#delivered =
      this.#status !== 'delivered'
        ? undefined
        : trouble === 'deliveryBeforeHandover'
          ? (this.#handedOver ?? 0) - 5 * hourMs
          : arrived;
    const promised =
      trouble === 'lateDelivery' ? arrived - skewed(random, 1, 10) * dayMs : arrived + 7 * dayMs;
    this.#promised = Math.floor(Math.max(promised, this.#purchased + dayMs) / dayMs) * dayMs;
  }

  #isHandedOver(trouble: Trouble | undefined): boolean {
    return this.#status === 'delivered' || this.#status === 'shipped' || trouble === 'cancelledAfterHandover';
  }

  #handoverTime(trouble: Trouble | undefined, approved: number, random: Random): number {
    if (trouble === 'handoverBeforePurchase') return this.#purchased - skewed(random, 1, 130) * minuteMs;
    if (trouble === 'handoverBeforeApproval') {
      return this.#purchased + (approved - this.#purchased) * random.next();
    }
    return approved + skewed(random, 0.2, 17) * dayMs;
  }

  row(): Row {
    return {
      order_id: this.#id,
      customer_id: this.#customer,
      order_status: this.#status,
      order_purchase_timestamp: timeText(this.#purchased),
      order_approved_at: timeText(this.#approved),
      order_delivered_carrier_date: timeText(this.#handedOver),
      order_delivered_customer_date: timeText(this.#delivered),
      order_estimated_delivery_date: timeText(this.#promised),
    };
  }

  items(): Row[] {
    return this.#items.map((item, index) => ({
      order_id: this.#id,
      order_item_id: String(index + 1),
      product_id: item.productId,
      seller_id: item.sellerId,
      shipping_limit_date: timeText(this.#purchased + 6 * dayMs),
      price: amountText(item.priceMinor),
      freight_value: amountText(item.freightMinor),
    }));
  }

  payments(): Row[] {
    return this.#payments.map(({ type, minor }, index) => ({
      order_id: this.#id,
      payment_sequential: String(index + 1),
      payment_type: type,
      payment_installments: '1',
      payment_value: amountText(minor),
    }));
  }

  customer(): Row {
    return {
      customer_id: this.#customer,
      customer_unique_id: this.#person,
      customer_zip_code_prefix: '1310',
      customer_city: 'sao paulo',
      customer_state: 'SP',
    };
  }
}

function statusOf(trouble: Trouble | undefined, random: Random): string {
  if (trouble === 'cancelledAfterHandover') return 'canceled';
  // As in the real tables: nine of ten orders without lines were recorded as unavailable or cancelled.
  if (trouble === 'withoutLines') return random.next() < 0.65 ? 'unavailable' : 'canceled';
  if (trouble !== undefined) return 'delivered';
  let chance = random.next();
  for (const [status, share] of Object.entries(shares)) {
    if (chance < share) return status;
    chance -= share;
  }
  return chance < 0.0004 ? 'unavailable' : 'delivered';
}

function isApproved(status: string, trouble: Trouble | undefined, items: readonly Item[]): boolean {
  if (trouble === 'deliveredWithoutApproval') return false;
  return !(status === 'canceled' && items.length === 0);
}

function purchaseTime(random: Random): number {
  // One order in seventy was placed on the day of the peak.
  if (random.next() < 0.014) return peakMs + random.next() * dayMs;
  return firstDayMs + days * Math.sqrt(random.next()) * dayMs;
}

function itemsOf(
  seed: number,
  index: number,
  trouble: Trouble | undefined,
  status: string,
  random: Random,
  sellers: readonly string[],
): Item[] {
  if (trouble === 'withoutLines') return [];
  const several = trouble === 'severalLines' || trouble === 'severalSellers';
  const count = several ? 2 + random.integer(3) : 1;
  const first = random.integer(sellers.length);
  return Array.from({ length: count }, (_, at) => {
    const seller = trouble === 'severalSellers' && at > 0 ? first + at : first;
    // Nobody else buys what was unavailable: the company had none of it.
    const productId =
      status === 'unavailable'
        ? idOf(seed, 'gone', index)
        : idOf(seed, 'product', Math.floor(skewed(random, 0, sellers.length * 6)));
    return {
      productId,
      sellerId: sellers[seller % sellers.length] ?? '',
      priceMinor: Math.round(skewed(random, 900, 90_000)),
      freightMinor: Math.round(skewed(random, 0, 6_000)),
    };
  });
}

function paymentRows(
  items: readonly Item[],
  boleto: boolean,
  trouble: Trouble | undefined,
  random: Random,
): { type: string; minor: number }[] {
  const goods = items.reduce((sum, item) => sum + item.priceMinor + item.freightMinor, 0);
  const total = (goods === 0 ? 5_000 : goods) + (trouble === 'wrongSum' ? random.integer(2_000) - 500 : 0);
  const main = boleto ? 'boleto' : 'credit_card';
  if (trouble !== 'severalPayments') return [{ type: main, minor: total }];
  const vouchers = 1 + random.integer(4);
  const each = Math.floor(total / (vouchers + 1));
  const rows = Array.from({ length: vouchers }, () => ({ type: 'voucher', minor: each }));
  return [{ type: main, minor: total - each * vouchers }, ...rows];
}
