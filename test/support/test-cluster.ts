/** A Kafka of one's own, for tests that kill brokers: the shared one must live. */
import { mkdtempSync, rmSync } from 'node:fs';
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

export async function stopCluster(cluster: KafkaCluster | undefined): Promise<void> {
  if (cluster === undefined) return;
  await cluster.stop({ kill: true });
  rmSync(cluster.dataDir, { recursive: true, force: true });
}
