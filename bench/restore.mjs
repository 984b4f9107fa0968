// How fast an empty store is filled from its changelog, beside how fast the same client reads the same topic.
//
//   npm run build && node scripts/kafka.mjs start --port 19092
//   KAFKA_BROKERS=127.0.0.1:19092 UV_THREADPOOL_SIZE=16 node bench/restore.mjs [--keys 1000000] [--value-bytes 100]
//
// Writes the changelog of a store, then by turns (--rounds 3) reads it raw, with one consumer and nothing else to do, and
// starts an application on an empty folder until all its tasks run. The restore's time is from the first
// `restore begins` of its log to the last `task runs`: joining the group is not in it, opening its clients is.
// A thousand keys are queried afterwards. Prints a JSON line a round and one with the medians.
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  assert,
  bytesSerde,
  openKafkaBroker,
  openRocksDbBackend,
  partitionForKey,
  StreamsApp,
  silentTelemetry,
  stringSerde,
  Topology,
  wallClock,
} from '#streams';

const { values } = parseArgs({
  options: {
    keys: { type: 'string', default: '1000000' },
    'value-bytes': { type: 'string', default: '100' },
    partitions: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
  },
});
const keys = Number(values.keys);
const partitions = Number(values.partitions);
const applicationId = `restore-${process.pid}`;
const input = `${applicationId}.in`;
const changelog = `${applicationId}-values-changelog`;
const places = Array.from({ length: partitions }, (_, partition) => ({ topic: changelog, partition }));

const keyOf = (number) => `key-${String(number).padStart(12, '0')}`;
function valueFor(number) {
  const value = Buffer.alloc(Number(values['value-bytes']), 0x61 + (number % 26));
  value.writeUInt32BE(number);
  return value;
}

async function fill(broker) {
  await broker.admin.createTopics([
    { name: input, partitions },
    { name: changelog, partitions, config: { 'cleanup.policy': 'compact' } },
  ]);
  const producer = await broker.openProducer({ clientId: 'fill' });
  const timestamp = wallClock.nowMs();
  for (let from = 0; from < keys; from += 10_000) {
    const records = [];
    for (let number = from; number < Math.min(keys, from + 10_000); number++) {
      const key = Buffer.from(keyOf(number));
      const partition = partitionForKey(key, partitions);
      records.push({ topic: changelog, partition, key, value: valueFor(number), timestamp, headers: [] });
    }
    await producer.send(records);
  }
  await producer.flush();
  await producer.close();
}

/** Records a second of a consumer that does nothing with them. */
async function readRaw(broker) {
  const ends = await broker.admin.endOffsets(places, 'read_uncommitted');
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'raw' });
  await consumer.assign(places.map((place) => ({ ...place, offset: 0 })));
  let read = 0;
  while (places.some((place, at) => consumer.position(place) < ends[at])) {
    for (const batch of await consumer.poll({ recordsMax: 10_000, waitMs: 100 })) read += batch.count;
  }
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(cpuBefore);
  await consumer.close();
  assert(read === keys, 'the raw reader did not get every record', { read });
  return { rate: read / seconds, cpuMicros: (user + system) / read };
}

/** Records a second of an application that starts on an empty folder. */
async function restore(broker) {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-restore-'));
  const folderOf = (taskId) => join(folder, taskId);
  const seen = {
    beganMs: undefined,
    endedMs: 0,
    tasks: 0,
    restored: 0,
    cpuBefore: undefined,
    cpu: undefined,
  };
  const info = (message, fields) => {
    if (message === 'restore begins') {
      seen.beganMs ??= performance.now();
      seen.cpuBefore ??= process.cpuUsage();
    }
    if (message !== 'task runs') return;
    seen.endedMs = performance.now();
    seen.cpu = process.cpuUsage(seen.cpuBefore);
    seen.tasks += 1;
    seen.restored += fields.restored;
  };
  const log = { ...silentTelemetry.log, info, child: () => log };
  const serdes = { keySerde: stringSerde, valueSerde: bytesSerde };
  const app = new StreamsApp({
    topology: new Topology()
      .addSource({ name: 'in', topics: [input], ...serdes })
      .addProcessor({ name: 'keep', supplier: () => ({ process() {} }), parents: ['in'] })
      .addStateStore({ name: 'values', kind: 'key-value', changelog: true, ...serdes }, ['keep']),
    settings: { applicationId },
    broker,
    openTaskBackend: (taskId) => openRocksDbBackend(folderOf(taskId)),
    destroyTaskBackend: async (taskId) => rmSync(folderOf(taskId), { recursive: true, force: true }),
    telemetry: { ...silentTelemetry, log },
  });
  await app.start();
  while (seen.tasks < partitions) {
    if (app.state === 'ERROR') throw await app.failure;
    await sleep(5);
  }
  for (let at = 0; at < 1_000; at++) {
    const number = Math.floor((at * keys) / 1_000);
    const value = await app.query('values', keyOf(number));
    assert(value?.equals(valueFor(number)) === true, 'a restored value is not the one that was written', {
      number,
    });
  }
  await app.stop();
  rmSync(folder, { recursive: true, force: true });
  // A few more from the second round on: the last run's input offsets are in the task's own changelog.
  assert(seen.restored >= keys, 'not every record was restored', { restored: seen.restored });
  const { user, system } = seen.cpu;
  return {
    rate: (seen.restored * 1000) / (seen.endedMs - seen.beganMs),
    cpuMicros: (user + system) / seen.restored,
  };
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
const rounded = (number) => Math.round(number * 100) / 100;

const broker = await openKafkaBroker({
  brokers: process.env.KAFKA_BROKERS ?? '127.0.0.1:9092',
  clientId: applicationId,
  clock: wallClock,
  log: silentTelemetry.log,
});
await fill(broker);
const ratios = [];
for (let round = 1; round <= Number(values.rounds); round++) {
  const raw = await readRaw(broker);
  const restored = await restore(broker);
  ratios.push(restored.rate / raw.rate);
  const line = {
    round,
    raw_rps: Math.round(raw.rate),
    restore_rps: Math.round(restored.rate),
    ratio: rounded(restored.rate / raw.rate),
    raw_cpu_us: rounded(raw.cpuMicros),
    restore_cpu_us: rounded(restored.cpuMicros),
    load: loadavg()[0],
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
await broker.close();
const summary = {
  keys,
  value_bytes: Number(values['value-bytes']),
  partitions,
  ratio: rounded(median(ratios)),
};
process.stdout.write(`${JSON.stringify(summary)}\n`);
process.exit();
