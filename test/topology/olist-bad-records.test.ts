/** Records that nobody can read do not stop a shop: they are parked with the reason, everything else goes on. */
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { partitionForKey } from '../../src/base/murmur2.ts';
import { type Headers, textHeader } from '../../src/base/record.ts';
import type { SchemaRegistry } from '../../src/base/registry-port.ts';
import { silentTelemetry } from '../../src/base/telemetry-port.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { type EmbeddedBroker, openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded-registry.ts';
import { loadSchemas } from '../../src/registry/schema-files.ts';
import { demoOrder, openingStock } from '../../topology/demo/order-generator.ts';
import { noFaults } from '../../topology/participants/faults.ts';
import { noDelays } from '../../topology/participants/plan.ts';
import { observe } from '../../topology/shop-observer.ts';
import { ensureTopics, ShopRuntime } from '../../topology/shop-runtime.ts';
import { timerProfiles } from '../../topology/timer-profiles.ts';
import { readTopics, type TopicRecord } from '../../topology/topic-reader.ts';
import { type TopicName, topicSpecs } from '../../topology/topics.ts';
import { eventually } from '../support/eventually.ts';

const partitions = { order: 2, sku: 2, trackingNumber: 2 };

describe('a shop that is sent records nobody can read', function () {
  this.timeout(60_000);
  let broker: EmbeddedBroker;
  let registry: SchemaRegistry;
  let shop: ShopRuntime;

  beforeEach(async () => {
    const clock = wallClock;
    broker = await openEmbeddedBroker({ backend: undefined, clock });
    const schemas = await loadSchemas('schemas');
    registry = await openEmbeddedRegistry({ schemas });
    await ensureTopics(broker, wallClock, topicSpecs(partitions, false));
    shop = await ShopRuntime.create({
      broker,
      registry,
      schemas,
      registerSchemas: true,
      settings: { applicationId: 'bad-records', commitIntervalMs: 10 },
      stateDir: mkdtempSync(join(tmpdir(), 'millrace-bad-')),
      profile: timerProfiles.demo,
      withWatermark: false,
      runShop: true,
      participants: { mode: 'shop', seed: 1, faults: noFaults, delays: noDelays },
      clock,
      telemetry: silentTelemetry,
    });
    await shop.start();
  });

  afterEach(async () => {
    await shop.stop();
    await broker.close();
    await registry.close();
  });

  async function send(topic: TopicName, key: string, value: Buffer | null): Promise<void> {
    const producer = await broker.openProducer({ clientId: 'test' });
    const bytes = Buffer.from(key);
    const partition = partitionForKey(bytes, 2);
    await producer.send([{ topic, partition, key: bytes, value, timestamp: wallClock.nowMs(), headers: [] }]);
    await producer.flush();
    await producer.close();
  }

  async function deadLetters(topic: TopicName): Promise<TopicRecord[]> {
    const records: TopicRecord[] = [];
    await readTopics({
      broker,
      topics: [`${topic}.dlq`],
      clientId: 'test',
      onRecord: (record) => records.push(record),
    });
    return records;
  }

  async function placeAndDeliver(): Promise<void> {
    const nowMs = wallClock.nowMs();
    for (const stock of openingStock(1, noFaults, nowMs)) {
      const value = shop.serdes['inventory.events'].serialize(stock, 'inventory.events');
      await send('inventory.events', stock.sku, value);
    }
    const { placed } = demoOrder(1, 2, noFaults, nowMs);
    await send(
      'purchase.events',
      placed.orderId,
      shop.serdes['purchase.events'].serialize(placed, 'purchase.events'),
    );
    await eventually(
      async () => {
        const { snapshots } = await observe(broker, shop.serdes);
        return ['DELIVERED', 'CLOSED'].includes(snapshots.get(placed.orderId)?.phase ?? '');
      },
      { timeoutMs: 40_000, what: 'the order that can be read is delivered' },
    );
  }

  const header = (headers: Headers) =>
    headers.map(({ key }) => `${key}=${textHeader(headers, key)}`).join(' ');

  it('parks what is not Avro and what names an unknown schema, with the reason, and delivers the next order', async () => {
    await send('purchase.events', 'a', Buffer.from('{"orderId":"a"}'));
    await send('purchase.events', 'b', Buffer.from([0, 0, 0x0f, 0xff, 0xff, 2, 4, 6]));
    await send('shipment.events', 'c', Buffer.from([0]));
    await placeAndDeliver();
    const parked = await deadLetters('purchase.events');
    const byKey = new Map(parked.map((record) => [record.key?.toString(), record]));
    assert.deepEqual([...byKey.keys()].sort(), ['a', 'b']);
    assert.match(header(byKey.get('a')?.headers ?? []), /RECORD_NOT_AVRO/);
    assert.equal(byKey.get('a')?.value?.toString(), '{"orderId":"a"}');
    assert.match(header(byKey.get('b')?.headers ?? []), /SCHEMA_UNKNOWN/);
    assert.match(header(byKey.get('b')?.headers ?? []), /purchase\.events/);
    // Shop and carrier are applications of their own: each parks what it cannot read.
    assert.equal((await deadLetters('shipment.events')).length, 2);
  });

  it('counts them where the operator looks', async () => {
    await send('payment.events', 'a', Buffer.from('no Avro'));
    await eventually(() => shop.main.status().deadLettered === 1, { what: 'it is counted' });
  });
});
