// The common workload of ../shared/bench/peers on Millrace: three topics merged by order id, RocksDB state
// with a changelog, exactly once, one command out for each event in.
//
//   npm run build && UV_THREADPOOL_SIZE=16 ../shared/bench/peers/run.sh millrace node bench/peer-workload.mjs
//
// env: KAFKA_BROKERS  APP_ID  PREFIX  STATE_DIR  COMMIT_MS (100)
//      EXPECT  commands, then stop and print; 0 = until SIGTERM
//      LOG     error (default), warn, info, debug: to standard error
// Prints one JSON line, as its peers do. `rps` is its processing alone, from the first event to the last;
// `with_last_commit_and_stop_s` adds the last commit and a clean stop; `cpu_s` is the whole process.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import {
  createPinoLogger,
  jsonSerde,
  openKafkaBroker,
  openRocksDbBackend,
  StreamsApp,
  silentTelemetry,
  stringSerde,
  Topology,
  wallClock,
} from '#streams';

const { env } = process;
const brokers = env.KAFKA_BROKERS ?? '127.0.0.1:9092';
const prefix = env.PREFIX ?? 'peer.';
const applicationId = env.APP_ID ?? 'peer-millrace';
const stateDir = env.STATE_DIR ?? 'state';
const expect = Number(env.EXPECT ?? '100000');

const bits = { purchases: 1, inventory: 2, shipments: 4 };
const commands = { 1: 'RESERVE', 3: 'SHIP', 7: 'COMPLETE' };
const takes = ['cust', 'sku', 'qty', 'amt', 'wh', 'avail', 'carrier', 'track'];

let firstMs = 0;
let lastMs = 0;
let done = 0;
let reportEnough = () => {};
const enough = new Promise((resolve) => {
  reportEnough = resolve;
});

/** Folds an event into its order and says what to do next. Values are never changed in place. */
function newAdvance() {
  let store;
  let context;
  return {
    init(given) {
      context = given;
      store = given.getStateStore('orders');
    },
    process(record) {
      if (firstMs === 0) firstMs = performance.now();
      const event = record.value;
      const order = { ...(store.get(record.key) ?? { seen: 0, n: 0 }) };
      order.seen |= bits[event.t];
      order.n += 1;
      for (const field of takes) if (field in event) order[field] = event[field];
      order.ts = event.ts;
      store.put(record.key, order);
      context.forward({
        ...record,
        value: {
          id: event.id,
          cmd: commands[order.seen] ?? 'WAIT',
          n: order.n,
          sku: order.sku ?? '',
          qty: order.qty ?? 0,
          ts: event.ts,
        },
      });
      lastMs = performance.now();
      done += 1;
      if (done === expect) reportEnough();
    },
  };
}

const json = jsonSerde();
const serdes = { keySerde: stringSerde, valueSerde: json };
const topology = new Topology()
  .addSource({ name: 'events', topics: Object.keys(bits).map((name) => prefix + name), ...serdes })
  .addProcessor({ name: 'advance', supplier: newAdvance, parents: ['events'] })
  .addStateStore({ name: 'orders', kind: 'key-value', changelog: true, ...serdes }, ['advance'])
  .addSink({ name: 'commands', topic: `${prefix}commands`, parents: ['advance'], ...serdes });

async function main() {
  const telemetry = {
    ...silentTelemetry,
    log: createPinoLogger({ level: env.LOG ?? 'error', destination: 2 }),
  };
  const broker = await openKafkaBroker({
    brokers,
    clientId: applicationId,
    clock: wallClock,
    log: telemetry.log,
    // As its peers.
    properties: { 'compression.codec': 'none' },
  });
  const folderOf = (taskId) => join(stateDir, applicationId, taskId);
  const app = new StreamsApp({
    topology,
    settings: { applicationId, commitIntervalMs: Number(env.COMMIT_MS ?? '100') },
    broker,
    openTaskBackend: (taskId) => openRocksDbBackend(folderOf(taskId)),
    destroyTaskBackend: async (taskId) => rmSync(folderOf(taskId), { recursive: true, force: true }),
    telemetry,
  });
  await app.start();
  const ended = new Promise((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
  const failure = await Promise.race([enough, ended, app.failure.then((error) => error)]);
  if (failure instanceof Error) throw failure;
  await app.stop();
  const stoppedMs = performance.now();
  const { commits, aborts } = app.status();
  await broker.close();
  const { user, system } = process.cpuUsage();
  const seconds = (lastMs - firstMs) / 1000;
  const result = {
    peer: 'millrace',
    records: done,
    seconds: round(seconds, 2),
    rps: Math.round(done / seconds),
    with_last_commit_and_stop_s: round((stoppedMs - firstMs) / 1000, 2),
    cpu_s: round((user + system) / 1e6, 1),
    rss_mb: Math.floor(process.resourceUsage().maxRSS / 1024),
    commits,
    aborts,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

function round(value, digits) {
  return Number(value.toFixed(digits));
}

// The Kafka client and RocksDB share Node's thread pool, whose size cannot be changed from in here.
if (env.UV_THREADPOOL_SIZE === undefined)
  process.stderr.write('peer-workload: start it with UV_THREADPOOL_SIZE=16\n');
await main();
process.exit();
