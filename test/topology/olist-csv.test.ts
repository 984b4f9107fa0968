/** The Olist tables as orders, and every way in which a folder can be wrong. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { before, describe, it } from 'mocha';
import { StreamsError } from '../../src/base/errors.ts';
import { parseMinorUnits, parseTime } from '../../topology/olist/csv-table.ts';
import { writeOlistFolder } from '../../topology/olist/generator.ts';
import { readOlistOrders } from '../../topology/olist/olist-orders.ts';

const time = '2017-11-24 18:05:00';
const tables: Readonly<Record<string, string>> = {
  orders: `order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_carrier_date,order_delivered_customer_date,order_estimated_delivery_date
b,c1,delivered,2017-11-25 10:00:00,2017-11-25 11:00:00,2017-11-26 11:00:00,2017-11-27 11:00:00,2017-12-10 00:00:00
a,c1,canceled,${time},,,,2017-12-10 00:00:00
`,
  order_items: `order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value
b,2,p2,s1,2017-12-01 00:00:00,10.5,0.99
b,1,p1,s1,2017-12-01 00:00:00,810.00,70
`,
  order_payments: `order_id,payment_sequential,payment_type,payment_installments,payment_value
b,1,boleto,1,891.49
`,
  customers: `customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state
c1,person,1310,"sao paulo, centro",SP
`,
  sellers: `seller_id,seller_zip_code_prefix,seller_city,seller_state
s1,13023,campinas,SP
`,
};

function folderWith(changes: Readonly<Record<string, string | undefined>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-csv-'));
  for (const [name, text] of Object.entries({ ...tables, ...changes })) {
    if (text !== undefined) writeFileSync(join(folder, `${name}.csv`), text);
  }
  return folder;
}

async function problemOf(folder: string): Promise<StreamsError> {
  const error = await readOlistOrders(folder).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof StreamsError, 'it is refused');
  return error;
}

function replaced(table: string, from: string, to: string): Record<string, string> {
  const text = tables[table] ?? '';
  assert.ok(text.includes(from), `the table ${table} has ${from}`);
  return { [table]: text.replace(from, to) };
}

describe('the Olist tables', () => {
  it('are read as orders by time of purchase, with lines and payments in their order', async () => {
    const [first, second] = await readOlistOrders(folderWith());
    assert.deepEqual([first?.orderId, second?.orderId], ['a', 'b']);
    assert.equal(first?.customerId, 'person');
    assert.equal(first?.approvedAt, undefined);
    assert.equal(first?.purchasedAt, Date.UTC(2017, 10, 24, 18, 5, 0));
    assert.deepEqual(
      second?.lines.map(({ itemId, priceMinor, freightMinor }) => [itemId, priceMinor, freightMinor]),
      [
        [1, 81_000, 7_000],
        [2, 1_050, 99],
      ],
    );
    assert.deepEqual(second?.payments, [{ sequential: 1, type: 'boleto', valueMinor: 89_149 }]);
  });

  it("are read zipped, with a byte order mark, and under Kaggle's names", async () => {
    const folder = folderWith({ orders: undefined, order_items: undefined });
    writeFileSync(join(folder, 'orders.csv.gz'), gzipSync(`\uFEFF${tables.orders}`));
    writeFileSync(join(folder, 'olist_order_items_dataset.csv'), tables.order_items ?? '');
    assert.equal((await readOlistOrders(folder)).length, 2);
  });

  for (const table of Object.keys(tables)) {
    it(`are refused without the table ${table}`, async () => {
      const error = await problemOf(folderWith({ [table]: undefined }));
      assert.equal(error.code, 'INPUT_MISSING');
      assert.match(error.message, new RegExp(`${table}\\.csv`));
    });
  }

  it('are refused when the folder is not there', async () => {
    const error = await problemOf(join(tmpdir(), 'millrace-no-such-folder'));
    assert.equal(error.code, 'INPUT_MISSING');
    assert.match(error.message, /no such folder/);
  });

  it('are refused without a column, which is named with the file and what is there', async () => {
    const error = await problemOf(folderWith(replaced('orders', 'order_approved_at', 'approved')));
    assert.equal(error.code, 'INPUT_INVALID');
    assert.match(error.message, /orders\.csv has no column order_approved_at/);
    assert.match(error.message, /its columns are order_id, customer_id/);
  });

  const cells: readonly (readonly [what: string, change: Record<string, string>, says: RegExp])[] = [
    [
      'a date that does not exist',
      replaced('orders', '2017-11-25 11:00:00', '2017-02-30 11:00:00'),
      /orders\.csv line 2, column order_approved_at: "2017-02-30 11:00:00" is not a time/,
    ],
    [
      'a text for a date',
      replaced('orders', time, 'yesterday'),
      /orders\.csv line 3, column order_purchase_timestamp: "yesterday" is not a time/,
    ],
    [
      'no date where one has to be',
      replaced('orders', time, ''),
      /line 3, column order_purchase_timestamp: is empty/,
    ],
    [
      'a text for a number',
      replaced('order_items', '810.00', '8l0.00'),
      /order_items\.csv line 3, column price: "8l0\.00" is not an amount/,
    ],
    [
      'an amount with fractions of a cent',
      replaced('order_payments', '891.49', '891.495'),
      /order_payments\.csv line 2, column payment_value: "891\.495"/,
    ],
    [
      'an item number that is none',
      replaced('order_items', 'b,2,p2', 'b,two,p2'),
      /order_items\.csv line 2, column order_item_id: "two" is not a whole number/,
    ],
    [
      'a status that Olist does not have',
      replaced('orders', 'canceled', 'lost'),
      /order_status: "lost" is not one of/,
    ],
    ['an order that is there twice', replaced('orders', '\na,c1', '\nb,c1'), /order_id: b is there twice/],
    [
      'a line of no order',
      replaced('order_items', 'b,1,p1', 'x,1,p1'),
      /order_id: x is not in the table orders/,
    ],
    ['a payment of no order', replaced('order_payments', 'b,1', 'x,1'), /x is not in the table orders/],
    [
      'an unknown seller',
      replaced('order_items', 'p1,s1', 'p1,s9'),
      /seller_id: s9 is not in the table sellers/,
    ],
    [
      'an unknown customer',
      replaced('orders', 'a,c1', 'a,c9'),
      /customer_id: c9 is not in the table customers/,
    ],
  ];
  for (const [what, change, says] of cells) {
    it(`are refused with ${what}, by file, line and column`, async () => {
      const error = await problemOf(folderWith(change));
      assert.equal(error.code, 'INPUT_INVALID');
      assert.match(error.message, says);
      assert.match(error.message, /nothing was sent/);
    });
  }

  it('are refused with all their problems at once, the first ten of them in words', async () => {
    const rows = Array.from({ length: 30 }, (_, at) => `b,${at + 3},p,s1,never,1,1`).join('\n');
    const error = await problemOf(folderWith({ order_items: `${tables.order_items}${rows}\n` }));
    assert.equal(error.message.match(/column shipping_limit_date:/g)?.length, 10);
    assert.match(error.message, /and 20 more/);
  });

  it('are refused when a file is no CSV, no gzip, or empty', async () => {
    const torn = folderWith(replaced('orders', 'b,c1,delivered', '"b,c1,delivered'));
    assert.equal((await problemOf(torn)).code, 'INPUT_INVALID');
    const cut = folderWith({ sellers: undefined });
    writeFileSync(join(cut, 'sellers.csv.gz'), gzipSync(tables.sellers ?? '').subarray(0, 20));
    assert.match((await problemOf(cut)).message, /sellers\.csv\.gz is not a complete gzip file/);
    assert.match((await problemOf(folderWith({ customers: '' }))).message, /customers\.csv is empty/);
  });
});

describe('values of the Olist tables', () => {
  it('are amounts in cents without rounding', () => {
    assert.deepEqual(
      ['13', '48.9', '12.99', '0.00', '-1.50', '', '1e3', '1.', '.5', '1,5'].map(parseMinorUnits),
      [1300, 4890, 1299, 0, -150, undefined, undefined, undefined, undefined, undefined],
    );
  });

  it('are times, leap days included', () => {
    assert.equal(parseTime('2016-02-29 00:00:00'), Date.UTC(2016, 1, 29));
    assert.equal(parseTime('2017-02-29 00:00:00'), undefined);
    assert.equal(parseTime('2017-13-01 00:00:00'), undefined);
    assert.equal(parseTime('2017-01-01 24:00:00'), undefined);
    assert.equal(parseTime('2017-01-01'), Date.UTC(2017, 0, 1));
  });
});

describe('the generator of Olist tables', () => {
  let folder = '';
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-generated-'));
    await writeOlistFolder(folder, { orders: 1_500, seed: 3 });
  });

  it('writes the same files for the same seed, and others for another', async () => {
    const again = mkdtempSync(join(tmpdir(), 'millrace-generated-'));
    await writeOlistFolder(again, { orders: 1_500, seed: 3 });
    const orders = readFileSync(join(folder, 'orders.csv.gz'));
    assert.ok(orders.equals(readFileSync(join(again, 'orders.csv.gz'))));
    await writeOlistFolder(again, { orders: 1_500, seed: 4 });
    assert.ok(!orders.equals(readFileSync(join(again, 'orders.csv.gz'))));
    rmSync(again, { recursive: true });
  });

  it('makes every trouble of the real orders at least once', async () => {
    const orders = await readOlistOrders(folder);
    assert.equal(orders.length, 1_500);
    const some = (what: string, has: (order: (typeof orders)[number]) => boolean) =>
      assert.ok(orders.some(has), what);
    some('handed over before approval', (o) => (o.handedOverAt ?? Infinity) < (o.approvedAt ?? 0));
    some('handed over before purchase', (o) => (o.handedOverAt ?? Infinity) < o.purchasedAt);
    some('delivered before handover', (o) => (o.deliveredAt ?? Infinity) < (o.handedOverAt ?? 0));
    some('delivered without approval', (o) => o.status === 'delivered' && o.approvedAt === undefined);
    some('cancelled after handover', (o) => o.status === 'canceled' && o.handedOverAt !== undefined);
    some('without lines', (o) => o.lines.length === 0);
    some('several sellers', (o) => new Set(o.lines.map(({ sellerId }) => sellerId)).size > 1);
    some('several payments', (o) => o.payments.length > 1);
    some('late', (o) => (o.deliveredAt ?? 0) > o.promisedAt);
    some('boleto', (o) => o.payments.some(({ type }) => type === 'boleto'));
    const goods = (o: (typeof orders)[number]) =>
      o.lines.reduce((sum, line) => sum + line.priceMinor + line.freightMinor, 0);
    const paid = (o: (typeof orders)[number]) => o.payments.reduce((sum, p) => sum + p.valueMinor, 0);
    some('sums that differ', (o) => o.lines.length > 0 && goods(o) !== paid(o));
    const onPeak = orders.filter(
      (o) => o.purchasedAt >= Date.UTC(2017, 10, 24) && o.purchasedAt < Date.UTC(2017, 10, 25),
    );
    assert.ok(onPeak.length >= 8, `${onPeak.length} orders on the day of the peak`);
  });
});
