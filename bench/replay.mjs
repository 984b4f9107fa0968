// What a replay costs: events per second, and processor time per event, of the whole house in one process.
//
//   npm run build && node bench/replay.mjs [--olist DIR] [--orders N] [--shuffle SEED] [--kafka BROKERS --registry URL]
//
// Without --olist it replays generated orders. Prints one JSON object. An event is what the driver sends
// (purchases, payments, dispatches, scans, opening stock); each makes several records inside (commands,
// replies, snapshots, timeline), which `records` counts.
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import {
  createPinoLogger,
  loadSchemas,
  openEmbeddedBroker,
  openEmbeddedRegistry,
  openHttpRegistry,
  openKafkaBroker,
  openRocksDbBackend,
  silentTelemetry,
  wallClock,
} from '#streams';
import { writeOlistFolder } from '../dist/topology/olist/generator.js';
import { readOlistOrders } from '../dist/topology/olist/olist-orders.js';
import { runReplay } from '../dist/topology/olist/replay.js';

const { values } = parseArgs({
  options: {
    olist: { type: 'string' },
    orders: { type: 'string' },
    shuffle: { type: 'string' },
    kafka: { type: 'string' },
    registry: { type: 'string' },
  },
});
const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
const telemetry = { ...silentTelemetry, log: createPinoLogger({ level: 'error', destination: 2 }) };
const clock = wallClock;

async function openHouse() {
  const schemas = await loadSchemas('schemas');
  const { log } = telemetry;
  if (values.kafka === undefined) {
    const backend = await openRocksDbBackend(join(folder, 'broker'));
    const broker = await openEmbeddedBroker({ backend, clock, log });
    return { schemas, broker, registry: await openEmbeddedRegistry({ schemas }) };
  }
  const broker = await openKafkaBroker({
    brokers: values.kafka,
    clientId: 'bench',
    clock,
    log,
    groupProtocol: 'classic',
  });
  return { schemas, broker, registry: await openHttpRegistry({ url: values.registry, clock }) };
}

async function main() {
  const olist = values.olist ?? join(folder, 'olist');
  if (values.olist === undefined)
    await writeOlistFolder(olist, { orders: Number(values.orders ?? 5_000), seed: 1 });
  const orders = (await readOlistOrders(olist)).slice(
    0,
    values.orders === undefined ? undefined : Number(values.orders),
  );
  const { schemas, broker, registry } = await openHouse();
  let shop;
  // Of the shop's own application, as it was last seen at work.
  let status;
  let rssMax = 0;
  const watch = setInterval(() => {
    rssMax = Math.max(rssMax, process.memoryUsage.rss());
  }, 200);
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  const summary = await runReplay({
    orders,
    broker,
    registry,
    schemas,
    clock,
    telemetry,
    applicationId: 'bench',
    stateDir: folder,
    shuffleSeed: values.shuffle === undefined ? undefined : Number(values.shuffle),
    duplicate: 0,
    oversell: 0,
    reset: values.kafka !== undefined,
    signal: new AbortController().signal,
    onStarted: async (started) => {
      shop = started;
    },
    onProgress: () => {
      status = shop.main.status();
    },
  });
  const { user, system } = process.cpuUsage(cpuBefore);
  clearInterval(watch);
  const { recordsProcessed, commits } = status;
  await broker.close();
  await registry.close();
  const { events, seconds, accuracy, duplicateCommands } = summary;
  const result = {
    machine: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`,
    broker: summary.broker,
    order: values.shuffle === undefined ? 'event order' : `shuffled with ${values.shuffle}`,
    orders: summary.orders,
    events,
    records: recordsProcessed,
    commits,
    seconds,
    withSummarySeconds: Math.round((performance.now() - began) / 10) / 100,
    eventsPerSecond: Math.round(events / seconds),
    ordersPerSecond: Math.round(summary.orders / seconds),
    cpuMicrosPerEvent: Math.round((user + system) / events),
    rssMaxMb: Math.round(rssMax / 1e6),
    accuracy,
    duplicateCommands,
  };
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
}

try {
  await main();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit();
