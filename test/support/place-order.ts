/** Places one order, and the stock for it, in a shop on Kafka: what a web shop's own service would do. */
import { partitionForKey } from '../../src/base/murmur2.ts';
import { silentTelemetry } from '../../src/base/telemetry-port.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { openKafkaBroker } from '../../src/broker/kafka-broker.ts';
import { openHttpRegistry } from '../../src/registry/http-registry.ts';
import { loadSchemas } from '../../src/registry/schema-files.ts';
import { createAvroSerdes } from '../../src/serde/avro-serde.ts';
import { demoOrder } from '../../topology/demo/order-generator.ts';
import { noFaults } from '../../topology/participants/faults.ts';
import { openShopSerdes } from '../../topology/topics.ts';

export async function placeOrder(options: {
  readonly brokers: string;
  readonly registry: string;
  readonly orderId: string;
}): Promise<void> {
  const clock = wallClock;
  const { log } = silentTelemetry;
  const broker = await openKafkaBroker({ brokers: options.brokers, clientId: 'web-shop', clock, log });
  const registry = await openHttpRegistry({ url: options.registry, clock });
  const schemas = await loadSchemas('schemas');
  const serdes = await openShopSerdes(createAvroSerdes({ registry, schemas, autoRegister: true, clock }));
  const nowMs = clock.nowMs();
  const { orderId } = options;
  const { placed } = demoOrder(1, 1, noFaults, nowMs);
  const producer = await broker.openProducer({ clientId: 'web-shop' });
  try {
    const described = await broker.admin.describeTopics(['purchase.events', 'inventory.events']);
    const send = async (topic: 'purchase.events' | 'inventory.events', key: string, value: unknown) => {
      const partitions = described.find((found) => found?.name === topic)?.partitions ?? 1;
      const bytes = Buffer.from(key);
      await producer.send([
        {
          topic,
          partition: partitionForKey(bytes, partitions),
          key: bytes,
          value: serdes[topic].serialize(value as never, topic),
          timestamp: nowMs,
          headers: [],
        },
      ]);
    };
    for (const { sku, lineId } of placed.lines) {
      const eventId = `${orderId}/stock/${lineId}`;
      const received = {
        type: 'StockReceived',
        eventId,
        occurredAt: nowMs,
        sourceSeq: null,
        sku,
        locationId: null,
      };
      await send('inventory.events', sku, { ...received, quantity: 100 });
    }
    const payments = placed.payments.map((payment, at) => ({
      ...payment,
      paymentId: `${orderId}/${at}`,
      method: 'card',
    }));
    await send('purchase.events', orderId, { ...placed, orderId, eventId: `${orderId}/placed`, payments });
    await producer.flush();
  } finally {
    await producer.close();
    await broker.close();
    await registry.close();
  }
}
