// What a commit leaves behind: a linear fit of the process's memory over commits, back to back.
//
//   npm run build && node scripts/kafka.mjs start --port 19092
//   KAFKA_BROKERS=127.0.0.1:19092 node bench/memory.mjs [--commits 40000] [--from 20000] [--topics 3] [--partitions 4]
//
// The Kafka client does not free the list of offsets of sendOffsetsToTransaction, so every commit costs so many
// bytes for each input partition of the tasks in it. Two runs with different --topics tell this part from the rest:
// the difference of their slopes, divided by the difference of their offsets per commit.
// --backend memory leaves RocksDB out, whose write buffers fill for some ten thousand small commits.
// The records come from a process of their own, so that the client that writes them is not in the figures.
// Prints a JSON line every 1,000 commits and one with the fit: `rss` as the system counts it, `native` = rss
// without the JavaScript heap and its buffers.
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  bytesSerde,
  createPinoLogger,
  openKafkaBroker,
  openMemoryBackend,
  openRocksDbBackend,
  StreamsApp,
  silentTelemetry,
  stringSerde,
  Topology,
  wallClock,
} from '#streams';

const { values } = parseArgs({
  options: {
    commits: { type: 'string', default: '40000' },
    from: { type: 'string', default: '20000' },
    topics: { type: 'string', default: '3' },
    partitions: { type: 'string', default: '4' },
    prefix: { type: 'string', default: `memory-${process.pid}` },
    backend: { type: 'string', default: 'rocksdb' },
    feed: { type: 'boolean', default: false },
  },
});
const partitions = Number(values.partitions);
const topics = Array.from({ length: Number(values.topics) }, (_, at) => `${values.prefix}.in-${at}`);
const telemetry = { ...silentTelemetry, log: createPinoLogger({ level: 'error', destination: 2 }) };

function openBroker(clientId) {
  return openKafkaBroker({
    brokers: process.env.KAFKA_BROKERS ?? '127.0.0.1:9092',
    clientId,
    clock: wallClock,
    log: telemetry.log,
  });
}

/** The other process: a record to each partition of every topic, so that every offset is in every commit. */
async function feed() {
  const broker = await openBroker('memory-feeder');
  const producer = await broker.openProducer({ clientId: 'memory-feeder' });
  process.on('disconnect', () => process.exit());
  for (let number = 0; ; number++) {
    const records = topics.flatMap((topic) =>
      Array.from({ length: partitions }, (_, partition) => ({
        topic,
        partition,
        key: Buffer.from(`key-${partition}-${number % 50}`),
        value: Buffer.alloc(50, number),
        timestamp: Date.now(),
        headers: [],
      })),
    );
    await producer.send(records);
    await producer.flush();
    await sleep(2);
  }
}

/** Least squares; the change of y for one more x. */
function slope(points, y) {
  const meanX = points.reduce((sum, point) => sum + point.commits, 0) / points.length;
  const meanY = points.reduce((sum, point) => sum + point[y], 0) / points.length;
  let above = 0;
  let below = 0;
  for (const point of points) {
    above += (point.commits - meanX) * (point[y] - meanY);
    below += (point.commits - meanX) ** 2;
  }
  return above / below;
}

async function measure() {
  const broker = await openBroker(values.prefix);
  await broker.admin.createTopics(topics.map((name) => ({ name, partitions })));
  const folder = mkdtempSync(join(tmpdir(), 'millrace-memory-'));
  const serdes = { keySerde: stringSerde, valueSerde: bytesSerde };
  let store;
  const keep = () => ({
    init(context) {
      store = context.getStateStore('last');
    },
    process: (record) => store.put(record.key, record.value),
  });
  const topology = new Topology()
    .addSource({ name: 'in', topics, ...serdes })
    .addProcessor({ name: 'keep', supplier: keep, parents: ['in'] })
    .addStateStore({ name: 'last', kind: 'key-value', changelog: true, ...serdes }, ['keep']);
  const app = new StreamsApp({
    topology,
    settings: { applicationId: values.prefix, commitIntervalMs: 0 },
    broker,
    openTaskBackend: (taskId) =>
      values.backend === 'memory' ? openMemoryBackend() : openRocksDbBackend(join(folder, taskId)),
    destroyTaskBackend: async (taskId) => rmSync(join(folder, taskId), { recursive: true, force: true }),
    telemetry,
  });
  await app.start();
  const feeder = fork(fileURLToPath(import.meta.url), [
    ...process.argv.slice(2),
    '--feed',
    '--prefix',
    values.prefix,
  ]);
  const points = [];
  const began = performance.now();
  let saidAt = 0;
  for (let commits = 0; commits < Number(values.commits); ) {
    await sleep(200);
    if (app.state === 'ERROR') throw await app.failure;
    commits = app.status().commits;
    const { rss, heapTotal, external } = process.memoryUsage();
    points.push({ commits, rss, heapTotal, external, native: rss - heapTotal - external });
    if (commits >= saidAt) {
      const mb = (bytes) => Math.round(bytes / 1e5) / 10;
      const seconds = Math.round((performance.now() - began) / 1000);
      const line = {
        commits,
        seconds,
        rss_mb: mb(rss),
        heap_mb: mb(heapTotal),
        native_mb: mb(rss - heapTotal - external),
      };
      process.stdout.write(`${JSON.stringify(line)}\n`);
      saidAt += 1_000;
    }
  }
  const seconds = (performance.now() - began) / 1000;
  feeder.disconnect();
  await app.stop();
  await broker.close();
  rmSync(folder, { recursive: true, force: true });
  const fitted = points.filter(({ commits }) => commits >= Number(values.from));
  const offsets = topics.length * partitions;
  const bytesPerCommit = (y) => Math.round(slope(fitted, y));
  const result = {
    fit: `commits ${values.from} to ${values.commits}`,
    points: fitted.length,
    seconds: Math.round(seconds),
    aborts: app.status().aborts,
    offsets_per_commit: offsets,
    rss_bytes_per_commit: bytesPerCommit('rss'),
    native_bytes_per_commit: bytesPerCommit('native'),
    heap_bytes_per_commit: bytesPerCommit('heapTotal'),
    external_bytes_per_commit: bytesPerCommit('external'),
    native_bytes_per_commit_and_offset: Math.round(slope(fitted, 'native') / offsets),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

await (values.feed ? feed() : measure());
process.exit();
