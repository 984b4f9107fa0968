/**
 * The gateway to @confluentinc/kafka-javascript: the only file that loads it, and only when asked to.
 *
 * Called by kafka-broker.ts. It is loaded late because the package is a native addon: who runs on the
 * embedded broker needs neither its binary nor its 10 MB. Uses the callback API (`RdKafka`), not the promise
 * layer, which fixes time-outs at 5 s and makes a promise per message.
 */
import { createRequire } from 'node:module';
import { StreamsError } from '../base/errors.ts';
import type {
  KafkaLibrary,
  NativeAdmin,
  NativeConsumer,
  NativeProducer,
  RebalanceListener,
} from './kafka-client-types.ts';

interface KafkaPackage {
  readonly features: readonly string[];
  readonly KafkaConsumer: new (settings: Record<string, unknown>) => NativeConsumer;
  readonly Producer: new (settings: Record<string, unknown>) => NativeProducer;
  readonly AdminClient: { createFrom(client: NativeProducer): NativeAdmin };
  readonly OffsetSpec: {
    new (timestampMs: number): unknown;
    readonly EARLIEST: unknown;
    readonly LATEST: unknown;
  };
}

/** Errors: BROKER_CLIENT_MISSING when the package or its binary is not there or cannot be loaded. */
export function loadKafkaLibrary(): KafkaLibrary {
  const kafka = loadPackage();
  return {
    features: kafka.features,
    earliest: kafka.OffsetSpec.EARLIEST,
    latest: kafka.OffsetSpec.LATEST,
    atTime: (timestampMs) => new kafka.OffsetSpec(timestampMs),
    newConsumer: (settings, onWake, onRebalance?: RebalanceListener) =>
      new kafka.KafkaConsumer({
        ...settings,
        queue_non_empty_cb: onWake,
        ...(onRebalance === undefined ? {} : { rebalance_cb: onRebalance, offset_commit_cb: true }),
      }),
    newProducer: (settings, reportDelivery) =>
      new kafka.Producer({ ...settings, ...(reportDelivery ? { dr_cb: true } : {}) }),
    adminFrom: (producer) => kafka.AdminClient.createFrom(producer),
  };
}

function loadPackage(): KafkaPackage {
  try {
    return createRequire(import.meta.url)('@confluentinc/kafka-javascript') as KafkaPackage;
  } catch (error) {
    throw new StreamsError('BROKER_CLIENT_MISSING', 'the Kafka client cannot be loaded', {
      hint: 'run: node scripts/setup/kafka-client.mjs',
      cause: error,
    });
  }
}
