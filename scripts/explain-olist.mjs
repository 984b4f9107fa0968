// Says from the Olist files alone which orders cannot reach their recorded status, why, and which are refused for stock.
// Imports nothing of the project: it is the second opinion on `millrace replay`.
//
//   node scripts/explain-olist.mjs DIR [--orders N] [--oversell P] [--summary FILE]
//
// Prints JSON {"orders", "mismatches": {orderId: why}, "refused": [orderId]}. With --summary it compares that with
// the summary of a replay in event order instead; exit code 1 when the two differ.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gunzipSync } from 'node:zlib';

const usage = 'node scripts/explain-olist.mjs DIR [--orders N] [--oversell P] [--summary FILE]';
/** A bank slip is good for 14 days; a paid order can be cancelled without a parcel for 15 minutes. */
const slipSeconds = 14 * 86_400;
const graceSeconds = 15 * 60;

/** Rows as objects. Small on purpose: quoted cells, no line breaks in them. */
function readTable(folder, name) {
  const file = [`${name}.csv.gz`, `${name}.csv`, `olist_${name}_dataset.csv.gz`, `olist_${name}_dataset.csv`]
    .map((candidate) => join(folder, candidate))
    .find((candidate) => existsSync(candidate));
  if (file === undefined) throw new Error(`${folder} has no table ${name}`);
  const bytes = readFileSync(file);
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8').replace(/^\uFEFF/, '');
  const [header, ...rows] = text
    .split(/\r?\n/)
    .filter((line) => line !== '')
    .map(splitCells);
  return rows.map((cells) => Object.fromEntries(header.map((column, at) => [column, cells[at] ?? ''])));
}

function splitCells(line) {
  const cells = [];
  for (const match of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    cells.push(match[1] === undefined ? match[2] : match[1].replaceAll('""', '"'));
  }
  return cells;
}

const seconds = (text) => (text === '' ? undefined : Date.parse(`${text.replace(' ', 'T')}Z`) / 1000);

/** The orders with what the questions below need. Order: by purchase, then by id; the first `limit` of them. */
export function loadOrders(folder, limit = Number.POSITIVE_INFINITY) {
  const orders = new Map();
  for (const row of readTable(folder, 'orders')) {
    orders.set(row.order_id, {
      id: row.order_id,
      status: row.order_status,
      purchased: seconds(row.order_purchase_timestamp),
      approved: seconds(row.order_approved_at),
      handedOver: seconds(row.order_delivered_carrier_date),
      delivered: seconds(row.order_delivered_customer_date),
      products: [],
      slip: false,
      paid: 0,
      payments: 0,
      goods: 0,
    });
  }
  for (const row of readTable(folder, 'order_items')) {
    const order = orders.get(row.order_id);
    order.products.push(row.product_id);
    order.goods += Number(row.price) + Number(row.freight_value);
  }
  for (const row of readTable(folder, 'order_payments')) {
    const order = orders.get(row.order_id);
    order.payments += 1;
    order.paid += Number(row.payment_value);
    if (row.payment_type === 'boleto') order.slip = true;
  }
  return [...orders.values()]
    .sort((a, b) => a.purchased - b.purchased || (a.id < b.id ? -1 : 1))
    .slice(0, limit);
}

const lastKnown = (order) =>
  Math.max(order.purchased, order.approved ?? 0, order.handedOver ?? 0, order.delivered ?? 0);
const isFree = (order) => Math.round((order.payments > 0 ? order.paid : order.goods) * 100) === 0;
const isOverdue = (order) =>
  !isFree(order) &&
  order.slip &&
  (order.approved === undefined || order.approved > order.purchased + slipSeconds);
const isPaid = (order) => isFree(order) || (order.approved !== undefined && !isOverdue(order));
/** The parcel was away when the cancel came. */
const hasLeft = (order) =>
  isPaid(order) &&
  order.handedOver !== undefined &&
  (order.approved ?? order.purchased) + graceSeconds < lastKnown(order);

function isCut(product, share) {
  return (
    Number.parseInt(createHash('sha256').update(`oversell:${product}`).digest('hex').slice(0, 8), 16) /
      2 ** 32 <
    share
  );
}

/** The plain fold of the tables: whole order or nothing, in the order of purchases, given back when cancelled or overdue. */
export function refusedOrders(orders, oversell = 0) {
  const stock = new Map();
  for (const order of orders) {
    for (const product of order.products) {
      stock.set(product, (stock.get(product) ?? 0) + (order.status === 'unavailable' ? 0 : 1));
    }
  }
  for (const [product, count] of stock)
    if (isCut(product, oversell)) stock.set(product, Math.floor(count / 2));

  const moments = [];
  for (const order of orders) {
    moments.push({ at: order.purchased, rank: 0, order });
    const due = order.purchased + slipSeconds;
    const cancels = order.status === 'canceled' && !(isOverdue(order) && due < lastKnown(order));
    if (cancels && !hasLeft(order)) moments.push({ at: lastKnown(order), rank: 1, order });
    else if (!cancels && isOverdue(order)) moments.push({ at: due, rank: 2, order });
  }
  moments.sort((a, b) => a.at - b.at || a.rank - b.rank || (a.order.id < b.order.id ? -1 : 1));

  const refused = new Set();
  for (const { order, rank } of moments) {
    const needed = new Map();
    for (const product of order.products) needed.set(product, (needed.get(product) ?? 0) + 1);
    if (rank === 0 && [...needed].some(([product, count]) => stock.get(product) < count))
      refused.add(order.id);
    if (refused.has(order.id)) continue;
    for (const [product, count] of needed)
      stock.set(product, stock.get(product) + (rank === 0 ? -count : count));
  }
  return refused;
}

/** Why the recorded status is out of reach; undefined when it is not. */
function whyNot(order, refused) {
  const isOpen = ['invoiced', 'processing', 'created', 'approved'].includes(order.status);
  if (order.products.length === 0) {
    return ['canceled', 'unavailable'].includes(order.status) ? undefined : 'no_lines';
  }
  if (refused.has(order.id)) {
    return ['canceled', 'unavailable'].includes(order.status) ? undefined : 'out_of_stock';
  }
  if (order.status === 'canceled') return hasLeft(order) ? 'cancelled_after_handover' : undefined;
  if (order.status === 'unavailable') return isOverdue(order) ? undefined : 'stock_was_there';
  if (isOverdue(order)) return order.approved === undefined ? 'never_approved' : 'payment_overdue';
  if (!isPaid(order)) return isOpen ? undefined : 'never_approved';
  const reached =
    order.delivered !== undefined ? 'delivered' : order.handedOver !== undefined ? 'shipped' : 'open';
  if (reached === (isOpen ? 'open' : order.status)) return undefined;
  if (order.status === 'delivered') return 'delivery_not_recorded';
  return order.status === 'shipped' && reached === 'open' ? 'handover_not_recorded' : 'status_behind_events';
}

/** Shape: `{orders, mismatches: {orderId: why}, refused: [orderId]}`. */
export function explain(folder, { orders: limit, oversell = 0 } = {}) {
  const orders = loadOrders(folder, limit);
  const refused = refusedOrders(orders, oversell);
  const mismatches = {};
  for (const order of orders) {
    const why = whyNot(order, refused);
    if (why !== undefined) mismatches[order.id] = why;
  }
  return { orders: orders.length, mismatches, refused: [...refused].sort() };
}

/** Sentences about where a replay's summary and the files disagree. */
export function disagreements({ mismatches }, summary) {
  const found = new Map(summary.mismatches.map(({ orderId, why }) => [orderId, why]));
  const missing = Object.entries(mismatches)
    .filter(([orderId]) => !found.has(orderId))
    .map(([orderId, why]) => `${orderId}: the files say ${why}, the replay says it matches`);
  const other = [...found]
    .filter(([orderId, why]) => mismatches[orderId] !== why)
    .map(
      ([orderId, why]) =>
        `${orderId}: the replay says ${why}, the files say ${mismatches[orderId] ?? 'it matches'}`,
    );
  return [...missing, ...other];
}

function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { orders: { type: 'string' }, oversell: { type: 'string' }, summary: { type: 'string' } },
  });
  if (positionals.length !== 1) throw new Error(`usage: ${usage}`);
  const limit = values.orders === undefined ? undefined : Number(values.orders);
  const explained = explain(positionals[0], { orders: limit, oversell: Number(values.oversell ?? 0) });
  if (values.summary === undefined) {
    process.stdout.write(`${JSON.stringify(explained, null, 2)}\n`);
    return;
  }
  const lines = disagreements(explained, JSON.parse(readFileSync(values.summary, 'utf8')));
  const count = Object.keys(explained.mismatches).length;
  process.stdout.write(
    `${[...lines, `${count} mismatches explained, ${lines.length} disagreements`].join('\n')}\n`,
  );
  process.exitCode = lines.length > 0 ? 1 : 0;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  }
}
