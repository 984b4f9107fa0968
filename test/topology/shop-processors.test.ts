/** The processors of the shop as wired: headers, durable timers, repeats, dead letters, the way of a whole order. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { stockStore } from '../../topology/inventory/stock-processor.ts';
import type { StockState } from '../../topology/inventory/stock-state.ts';
import { noFaults } from '../../topology/participants/faults.ts';
import { demoDelays, noDelays, type ParticipantOptions } from '../../topology/participants/plan.ts';
import type { PaymentAuthorized, PurchaseEvent, TrackingScanned } from '../../topology/schema-types.ts';
import { authorized, cancel, dispatched, orderId, placed, placedMs } from './support/order-events.ts';
import { headerOf, WiredShop, type WiredShopOptions } from './support/wired-shop.ts';

const busy: ParticipantOptions = {
  mode: 'shop',
  seed: 3,
  faults: { ...noFaults, duplicate: 0.5, reorder: 0.3 },
  delays: demoDelays,
};

describe('the processors of the shop', () => {
  let shop: WiredShop;
  afterEach(() => shop?.close());

  async function open(options: WiredShopOptions): Promise<void> {
    shop = await WiredShop.open(options);
    for (const sku of ['sku-l1', 'sku-l2']) await receive(sku, 9);
  }

  const receive = (sku: string, quantity: number) =>
    shop.send('inventory.events', sku, {
      type: 'StockReceived',
      eventId: `opening-${sku}`,
      occurredAt: placedMs,
      sourceSeq: null,
      sku,
      locationId: null,
      quantity,
    });
  const buy = (event: PurchaseEvent = placed()) => shop.send('purchase.events', orderId, event);

  it('bring a purchase to the customer, though participants say things twice and late', async () => {
    await open({ profile: 'demo', participants: busy });
    await buy();
    for (let second = 0; second < 40; second++) await shop.advance(1_000);
    const state = await shop.order(orderId);
    assert.ok(state);
    assert.ok(['DELIVERED', 'CLOSED'].includes(state.phase), state.phase);
    assert.equal(state.payments[0]?.capturedMinor, 4500);
    const snapshots = shop.read('orchestration.state').map(({ value }) => value);
    assert.equal(snapshots.at(-1)?.phase, state.phase);
    assert.deepEqual(
      snapshots.map(({ stateVersion }) => stateVersion),
      snapshots.map((_, index) => index + 1),
    );
    const mails = shop.read('notification.commands').map(({ value }) => value.templateCode);
    assert.equal(mails.filter((mail) => mail === 'delivered').length, 2);
    const commands = [
      ...shop.read('payment.commands'),
      ...shop.read('inventory.commands'),
      ...shop.read('shipment.commands'),
    ];
    const ids = commands.map((record) => headerOf(record, 'ce_id'));
    assert.equal(new Set(ids).size, ids.length, 'no command twice');
    const stock = await shop.stored<StockState>(stockStore, 'sku-l1');
    assert.deepEqual([stock?.onHand, stock?.reserved, stock?.allocated], [7, 0, 0]);
    for (let minute = 0; minute < 2; minute++) await shop.advance(60_000);
    assert.equal((await shop.order(orderId))?.phase, 'CLOSED');
  });

  it('say in headers who wrote what, why and how often', async () => {
    await open({ profile: 'webshop' });
    const event = placed();
    await buy(event);
    const [reserve] = shop.read('inventory.commands');
    assert.ok(reserve);
    assert.equal(reserve.key, 'sku-l1');
    assert.equal(reserve.timestamp, placedMs);
    const expected = {
      ce_id: `${reserve.value.commandId}-1`,
      ce_type: 'shop.inventory.ReserveStock',
      ce_source: '/millrace/order',
      ce_subject: orderId,
      ce_time: new Date(placedMs).toISOString(),
      causationId: event.eventId,
      tenantId: 't1',
      attempt: '1',
    };
    for (const [key, value] of Object.entries(expected)) assert.equal(headerOf(reserve, key), value, key);
    assert.match(headerOf(reserve, 'traceparent') ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    const [reply] = shop.read('inventory.replies');
    assert.ok(reply);
    assert.equal(headerOf(reply, 'traceparent'), headerOf(reserve, 'traceparent'));
    assert.equal(headerOf(reply, 'causationId'), headerOf(reserve, 'ce_id'));
    const [entry] = shop.read('orchestration.timeline');
    assert.deepEqual(
      [entry?.value.row, entry?.value.sourceTopic, entry?.value.sourcePartition],
      ['2', 'purchase.events', 0],
    );
  });

  it('ask a silent payment provider what became of it, by the wall clock and once', async () => {
    await open({ profile: 'webshop' });
    await buy();
    const queries = () => shop.read('payment.commands').filter(({ value }) => value.type === 'QueryPayment');
    await shop.advance(59_000);
    assert.equal(queries().length, 0);
    await shop.advance(1_000);
    assert.equal(queries().length, 1);
    await shop.advance(3_600_000);
    assert.equal(queries().length, 0);
    const [incident] = shop.read('orchestration.incidents');
    assert.equal(incident?.value.incidentType, 'participant_silent');
    assert.deepEqual((await shop.order(orderId))?.flags, ['INCIDENT']);
  });

  it('give everything back after a cancel', async () => {
    await open({ profile: 'demo', participants: { ...busy, delays: noDelays, mode: 'replay' } });
    await buy();
    await shop.send('payment.events', orderId, authorized() as PaymentAuthorized);
    await buy(cancel());
    assert.equal((await shop.order(orderId))?.phase, 'CANCELLED');
    const stock = await shop.stored<StockState>(stockStore, 'sku-l1');
    assert.deepEqual([stock?.onHand, stock?.reserved, stock?.allocated], [9, 0, 0]);
  });

  it('dead-letter a conflicting purchase with its reason', async () => {
    await open({ profile: 'webshop' });
    await buy();
    await buy(placed({ customerId: 'another' }));
    const [letter] = shop.read('purchase.events', 'purchase.events.dlq');
    assert.ok(letter);
    assert.equal(headerOf(letter, '__streams.errors.message'), 'conflicting_duplicate');
    assert.equal(letter.value.type, 'OrderPlaced');
  });

  it('send nothing when every record comes again', async () => {
    await open({ profile: 'webshop' });
    const purchase = placed();
    const money = authorized() as PaymentAuthorized;
    await buy(purchase);
    await shop.send('payment.events', orderId, money);
    const read = () => [...shop.read('payment.commands'), ...shop.read('inventory.commands')].length;
    assert.ok(read() > 0);
    await shop.send('payment.events', orderId, money);
    await buy(purchase);
    assert.equal(read(), 0);
    assert.equal((await shop.order(orderId))?.counts.duplicates, 2);
  });

  it('follow the watermark of a replay, and find the order of a scan that came before its dispatch', async () => {
    await open({ profile: 'olist-replay', withWatermark: true });
    const scan = (seller: string): TrackingScanned => ({
      type: 'TrackingScanned',
      eventId: `scan-${seller}`,
      occurredAt: placedMs + 9,
      sourceSeq: null,
      carrierCode: 'post',
      trackingNumber: `T-${seller}`,
      status: 'DELIVERED',
      location: null,
      scannedAt: placedMs + 9,
    });
    await shop.send('tracking.scans', 'T-s1', scan('s1'));
    await shop.send('shipment.events', orderId, dispatched('s1'));
    await shop.send('shipment.events', orderId, dispatched('s2'));
    await shop.send('payment.events', orderId, authorized() as PaymentAuthorized);
    await buy();
    await shop.send('tracking.scans', 'T-s2', scan('s2'));
    assert.equal((await shop.order(orderId))?.phase, 'CONFIRMED');
    await shop.watermark(placedMs + 3_600_000);
    assert.equal((await shop.order(orderId))?.phase, 'DELIVERED');
    await shop.watermark(placedMs + 40 * 24 * 3_600_000);
    assert.equal((await shop.order(orderId))?.phase, 'CLOSED');
  });
});
