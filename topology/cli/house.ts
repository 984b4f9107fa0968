/**
 * What a command stands on: a broker, a registry and the schemas, opened from its options and closed again.
 * Embedded: both in this process, on a data directory that one process at a time may have. Kafka: both by address.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Broker,
  type Clock,
  type EmbeddedBroker,
  loadSchemas,
  openEmbeddedBroker,
  openEmbeddedRegistry,
  openHttpRegistry,
  openKafkaBroker,
  openRocksDbBackend,
  type SchemaRegistry,
  type SchemaSet,
  StreamsError,
  type Telemetry,
  wallClock,
} from '#streams';
import { schemasFolder } from './paths.ts';

export interface House {
  readonly broker: Broker;
  readonly registry: SchemaRegistry;
  readonly schemas: SchemaSet;
  readonly clock: Clock;
  /** For people: `embedded`, `kafka 127.0.0.1:9092`. */
  readonly title: string;
  close(): Promise<void>;
}

/** Between two passes of retention and compaction. */
const maintainEveryMs = 30_000;

/**
 * Errors: STORE_LOCKED (another process has the directory), INPUT_INVALID (it cannot be written),
 * SCHEMA_INVALID, SCHEMA_INCOMPATIBLE.
 */
export async function openEmbeddedHouse(dataDir: string, telemetry: Telemetry): Promise<House> {
  const clock = wallClock;
  const schemas = await loadSchemas(schemasFolder);
  await makeFolder(dataDir);
  const backend = await openRocksDbBackend(join(dataDir, 'broker'));
  const broker = await openEmbeddedBroker({ backend, clock, log: telemetry.log });
  const registryBackend = await openRocksDbBackend(join(dataDir, 'registry'));
  const registry = await openEmbeddedRegistry({ schemas, backend: registryBackend });
  const stopMaintenance = maintain(broker, clock, telemetry);
  return {
    broker,
    registry,
    schemas,
    clock,
    title: 'embedded',
    close: async () => {
      await stopMaintenance();
      await broker.close();
      await registry.close();
    },
  };
}

async function makeFolder(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true });
  } catch (error) {
    throw new StreamsError('INPUT_INVALID', 'the data directory cannot be created', {
      context: { file: dataDir },
      cause: error,
    });
  }
}

function maintain(broker: EmbeddedBroker, clock: Clock, telemetry: Telemetry): () => Promise<void> {
  const stop = new AbortController();
  const loop = async () => {
    while (!stop.signal.aborted) {
      await clock.sleep(maintainEveryMs, stop.signal);
      if (stop.signal.aborted) return;
      await broker.maintain().catch((error: unknown) => {
        telemetry.log.warn('retention and compaction failed; they are tried again', {}, error);
      });
    }
  };
  const running = loop();
  return async () => {
    stop.abort();
    await running;
  };
}

/** Errors: BROKER_CLIENT_MISSING, BROKER_UNAVAILABLE, REGISTRY_UNAVAILABLE, each naming the address. */
export async function openKafkaHouse(options: {
  readonly brokers: string;
  readonly registryUrl: string;
  readonly clientId: string;
  readonly properties?: Readonly<Record<string, string>>;
  /** Of Kafka's group protocols; by default the newest that the broker offers. */
  readonly groupProtocol?: 'classic';
  readonly telemetry: Telemetry;
}): Promise<House> {
  const { brokers, registryUrl, clientId, properties, groupProtocol, telemetry } = options;
  const clock = wallClock;
  const schemas = await loadSchemas(schemasFolder);
  const broker = await openKafkaBroker({
    brokers,
    clientId,
    clock,
    log: telemetry.log,
    metrics: telemetry.metrics,
    ...(properties === undefined ? {} : { properties }),
    ...(groupProtocol === undefined ? {} : { groupProtocol }),
  });
  try {
    const registry = await openHttpRegistry({ url: registryUrl, clock, clientId });
    return {
      broker,
      registry,
      schemas,
      clock,
      title: `kafka ${brokers}`,
      close: async () => {
        await broker.close();
        await registry.close();
      },
    };
  } catch (error) {
    await broker.close();
    throw error;
  }
}
