/** A Kafka of one's own, for tests that kill brokers: the shared one must live. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { KafkaCluster, KafkaOptions } from '../../scripts/kafka.mjs';

/** Starts brokers on free ports and a new folder. Stop it with `stopCluster`. */
export async function startCluster(options: Omit<KafkaOptions, 'dataDir'> = {}): Promise<KafkaCluster> {
  // The scripts are not compiled: from the compiled test a relative import would lead into dist.
  const script = pathToFileURL(join(process.cwd(), 'scripts', 'kafka.mjs')).href;
  const { startKafka } = (await import(script)) as {
    startKafka(options: KafkaOptions): Promise<KafkaCluster>;
  };
  return startKafka({ heapMb: 320, ...options, dataDir: mkdtempSync(join(tmpdir(), 'millrace-kafka-')) });
}

/**
 * One broker with its controller apart, quick to notice that the broker is dead. What has no other replica is
 * without a leader from then on, until the broker is back: started again after that, it takes up no transaction
 * before it is elected. Started again earlier, or as its own controller, Kafka 4.3.0 and 4.3.1 may lose the end of
 * a transaction (KAFKA-20734, docs/spec/guarantees.md).
 */
export function startLoneBroker(): Promise<KafkaCluster> {
  return startCluster({
    controllerApart: true,
    settings: { 'broker.session.timeout.ms': 4_000, 'broker.heartbeat.interval.ms': 500 },
  });
}

/** Longer than `startLoneBroker`'s controller takes to notice, on a busy machine. */
export const noticedDeadMs = 7_000;

/** What brokers have said of transactions that they ended without a marker in every partition. */
export function skippedMarkers(cluster: KafkaCluster): string[] {
  const logs = readdirSync(cluster.dataDir).filter((name) => name.startsWith('broker-'));
  return logs.flatMap((name) =>
    readFileSync(join(cluster.dataDir, name, 'broker.log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('likely deleted already')),
  );
}

export async function stopCluster(cluster: KafkaCluster | undefined): Promise<void> {
  if (cluster === undefined) return;
  await cluster.stop({ kill: true });
  rmSync(cluster.dataDir, { recursive: true, force: true });
}
