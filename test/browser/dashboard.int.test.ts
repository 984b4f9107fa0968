/** The dashboard in a real browser, on a server of ours with made-up data. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import { type Browser, chromium, type Page } from 'playwright-core';
import { type HttpServer, startHttpServer } from '../../src/app/http-server.ts';
import { silentTelemetry } from '../../src/base/telemetry-port.ts';
import { eventually } from '../support/eventually.ts';
import { FakeShop } from './fake-shop.ts';

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

function chromiumPath(): string {
  const path = process.env.MILLRACE_TEST_CHROMIUM;
  assert.ok(path, 'MILLRACE_TEST_CHROMIUM must name a Chromium (npm test sets it)');
  assert.ok(existsSync(path), `MILLRACE_TEST_CHROMIUM names ${path}, which is not there`);
  return path;
}

/** `dashboard/` beside package.json, from wherever the compiled test runs. */
function dashboardDir(): string {
  for (let at = new URL('.', import.meta.url); at.pathname !== '/'; at = new URL('..', at)) {
    const dir = new URL('dashboard/', at);
    if (existsSync(new URL('index.html', dir))) return fileURLToPath(dir);
  }
  throw new Error('no dashboard/ above the test');
}

describe('The dashboard', () => {
  let browser: Browser;
  let page: Page;
  let shop: FakeShop;
  let server: HttpServer;
  let problems: string[];

  const serve = (port: number) =>
    startHttpServer({
      port,
      dashboardDir: dashboardDir(),
      healthy: () => true,
      ready: () => true,
      routes: shop.routes,
      log: silentTelemetry.log,
      eventsEveryMs: 50,
    });

  const textOf = async (selector: string) => (await page.locator(selector).first().textContent()) ?? '';
  const until = (selector: string, expected: string | RegExp) =>
    eventually(
      async () => {
        const text = await textOf(selector);
        return typeof expected === 'string' ? text === expected : expected.test(text);
      },
      { what: `${selector} showing ${String(expected)}` },
    );

  async function open(width = 1280, path = '/'): Promise<void> {
    await page.setViewportSize({ width, height: 900 });
    await page.goto(`${server.url}${path}`);
    await until('#orders-total', '10,482');
  }

  const assertNoProblems = () => assert.equal(problems.join('\n'), '');

  before(async () => {
    browser = await chromium.launch({ executablePath: chromiumPath(), args: flags });
  });

  after(async () => {
    await browser?.close();
  });

  beforeEach(async () => {
    shop = new FakeShop();
    server = await serve(0);
    problems = [];
    page = await browser.newPage({ locale: 'en-US', timezoneId: 'UTC' });
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text());
    });
    page.on('pageerror', (error) => problems.push(String(error)));
    page.on('request', (request) => {
      if (!request.url().startsWith('http://127.0.0.1:')) problems.push(`asked for ${request.url()}`);
    });
  });

  afterEach(async () => {
    await page?.close();
    await server?.close();
  });

  it('shows state, key figures, every phase and the last orders, without an error or a foreign request', async () => {
    await open();
    assert.equal(await textOf('#state'), 'Running');
    assert.equal(await textOf('#broker'), 'embedded');
    assert.equal(await textOf('#uptime'), '6 min 12 s');
    assert.equal(await textOf('#as-of'), '9:06:12 AM');
    assert.equal(await textOf('#orders-open'), '1,022');
    assert.equal(await textOf('#events-rate'), '347');
    assert.deepEqual(await page.locator('.station .name').allInnerTexts(), [
      'RESERVING',
      'AUTHORIZING',
      'CONFIRMED',
      'FULFILLING',
      'SHIPPED',
      'DELIVERED',
    ]);
    assert.equal(await textOf('[data-phase=FULFILLING] .n'), '388');
    assert.equal(await textOf('[data-phase=REJECTED] .n'), '157');
    assert.equal(await page.locator('#recent tr').count(), 20);
    assert.equal(await textOf('#recent th'), 'a/b <i>&', 'an id is text, never markup');
    assert.match(await textOf('#recent tr:first-child [data-label=total]'), /R\$19\.90/);
    assertNoProblems();
  });

  it('follows what changes without being loaded again, and shows a phase it does not know', async () => {
    await open();
    shop.overview = {
      ...shop.overview,
      asOf: shop.overview.asOf + 61_000,
      state: 'REBALANCING',
      ready: false,
      orders: { total: 10_500, byPhase: { ...shop.overview.orders.byPhase, SHIPPED: 300, ARCHIVED: 7 } },
      rates: { ordersPerMinute: 2.5, eventsPerSecond: 0 },
    };
    await until('#orders-total', '10,500');
    assert.equal(await textOf('[data-phase=SHIPPED] .n'), '300');
    assert.equal(await textOf('[data-phase=ARCHIVED] .n'), '7');
    assert.equal(await textOf('#state'), 'Rebalancing');
    assert.equal(await page.locator('#state').getAttribute('data-tone'), 'warn');
    assert.equal(await textOf('#orders-rate'), '2.5');
    assert.equal(await textOf('#uptime'), '7 min 13 s');
    assertNoProblems();
  });

  it('opens an order by a click, draws it anew when it changes, and gives the focus back', async () => {
    await open();
    await page.locator('#recent tr').nth(3).click();
    await until('#order-title', 'order-010479');
    const sheet = await textOf('#order');
    for (const part of [
      'SLA_BREACHED',
      'b1a2-garden-hose',
      '2 ordered · 2 on the way',
      '1 ordered · 1 delivered',
      '+1 h 0 min',
      'R$101.40',
      'BR1029384756',
      'row 16',
    ]) {
      assert.ok(sheet.includes(part), `${part} in ${sheet}`);
    }
    assert.equal(await textOf('#order [aria-current=step]'), 'Shipped');
    shop.orders.set('order-010479', { ...shop.orders.get('order-010479'), phase: 'DELIVERED' });
    await until('#order [aria-current=step]', 'Delivered');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('#order').isVisible(), false);
    await eventually(() => new URL(page.url()).hash === '', { what: 'the address without the order' });
    // The link itself, by the keyboard this time: closing gives the focus back to it.
    await page.locator('#recent tr').nth(3).locator('a').focus();
    await page.keyboard.press('Enter');
    await eventually(() => page.locator('#order').isVisible(), { what: 'the order, opened again' });
    await page.keyboard.press('Escape');
    await eventually(
      async () => (await page.evaluate('document.activeElement.textContent')) === 'order-010479',
      { what: 'the focus back on the link' },
    );
    assertNoProblems();
  });

  it('finds an order by its id with the keyboard alone, and says so when there is none', async () => {
    await open();
    await page.keyboard.press('/');
    await page.keyboard.type('a/b <i>&');
    await page.keyboard.press('Enter');
    await until('#order-title', 'a/b <i>&');
    await until('#order .badges', /SHIPPED/);
    await page.keyboard.press('Escape');
    assertNoProblems();
    await page.locator('#search-id').fill('nobody');
    await page.keyboard.press('Enter');
    await until('#order .problem', /No order has this id/);
    // The browser itself notes the 404 on the console.
    assert.ok(
      problems.every((problem) => problem.includes('404')),
      problems.join('\n'),
    );
  });

  it('opens an order from its address', async () => {
    await open(1280, '/#/orders/order-010480');
    await until('#order-title', 'order-010480');
  });

  it('narrows the list to a phase and back', async () => {
    await open();
    await page.locator('[data-phase=REJECTED]').click();
    assert.equal(await page.locator('[data-phase=REJECTED]').getAttribute('aria-pressed'), 'true');
    const badges = await page.locator('#recent .phase').allInnerTexts();
    assert.ok(badges.length > 0 && badges.every((text) => text === 'REJECTED'), badges.join());
    await page.locator('#show-all').click();
    assert.equal(await page.locator('#recent tr').count(), 20);
  });

  it('holds the list still while the mouse is on it and catches up after', async () => {
    await open();
    await page.locator('#recent tr').nth(2).hover();
    const [first] = shop.overview.recent;
    shop.overview = {
      ...shop.overview,
      orders: { ...shop.overview.orders, total: 10_483 },
      recent: [{ ...first!, orderId: 'order-new' }, ...shop.overview.recent],
    };
    await until('#orders-total', '10,483');
    assert.equal(await textOf('#recent th'), 'a/b <i>&');
    assert.match(await textOf('#orders-hint'), /Held still/);
    await page.mouse.move(5, 5);
    await until('#recent th', 'order-new');
    assertNoProblems();
  });

  it('says when the instance is gone and goes on by itself when it is back', async () => {
    await open();
    await server.close();
    await until('#banner', /No connection to the instance\. What you see is as of 9:06:12 AM/);
    shop.overview = { ...shop.overview, orders: { ...shop.overview.orders, total: 10_999 } };
    server = await serve(server.port);
    await until('#orders-total', '10,999');
    await eventually(async () => !(await page.locator('#banner').isVisible()), { what: 'no banner' });
  });

  for (const width of [360, 768, 1280]) {
    it(`fits ${width} pixels without scrolling sideways, the open order too`, async () => {
      await open(width);
      const overflow = () =>
        page.evaluate('document.documentElement.scrollWidth - innerWidth') as Promise<number>;
      assert.ok((await overflow()) <= 0, `page is ${await overflow()} px too wide`);
      await page.goto(`${server.url}/#/orders/order-010480`);
      await until('#order .timeline', /OrderPlaced/);
      const sheetOverflow = await page.evaluate(
        '(() => { const body = document.querySelector(".sheet-body"); return body.scrollWidth - body.clientWidth; })()',
      );
      assert.equal(sheetOverflow, 0);
      assertNoProblems();
    });
  }

  it('reaches stations, orders and the sheet with the tab key and shows where the focus is', async () => {
    await open();
    const stops: string[] = [];
    for (let i = 0; i < 40; i += 1) {
      await page.keyboard.press('Tab');
      stops.push(
        (await page.evaluate(
          '(() => { const e = document.activeElement; return e.dataset.phase ?? e.getAttribute("href") ?? e.id; })()',
        )) as string,
      );
    }
    for (const stop of ['search-id', 'RESERVING', 'DELIVERED', '#/orders/order-010481']) {
      assert.ok(stops.includes(stop), `${stop} in ${stops.join(' ')}`);
    }
  });
});
