/**
 * The real Kafka that integration tests run on: where it is, and names that no other run uses. Tests that
 * need it fail with the reason when it is not named; none is skipped.
 */
import { randomBytes } from 'node:crypto';
import { silentTelemetry } from '../../src/base/telemetry-port.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { type KafkaBrokerOptions, openKafkaBroker } from '../../src/broker/kafka-broker.ts';

const variable = 'MILLRACE_TEST_KAFKA';
const run = randomBytes(3).toString('hex');
let names = 0;

/** Shape: `host:port`. Throws when it is not set. */
export function testKafka(): string {
  const brokers = process.env[variable];
  if (brokers !== undefined && brokers !== '') return brokers;
  throw new Error(
    `${variable} is not set: these tests need a real Kafka; run: node scripts/kafka.mjs start, ` +
      `and set ${variable}=127.0.0.1:19092`,
  );
}

/** A name for a topic, group, transactional id or client that nobody used before. */
export function uniqueName(prefix: string): string {
  names += 1;
  return `t-${prefix}-${run}-${process.pid}-${names}`;
}

/** Opens the test Kafka on the real clock, silently. */
export function openTestKafka(options: Partial<KafkaBrokerOptions> = {}): Promise<Broker> {
  return openKafkaBroker({
    clientId: uniqueName('client'),
    clock: wallClock,
    log: silentTelemetry.log,
    ...options,
    brokers: options.brokers ?? testKafka(),
  });
}
