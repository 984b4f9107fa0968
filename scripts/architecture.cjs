// The layout's rules as one table, read by .dependency-cruiser.cjs and by test/architecture.test.ts, so that the
// two cannot come to differ. CommonJS because dependency-cruiser's configuration is.

/**
 * A folder of src/ may import from the folders with a lower number, and from itself. Siblings of one tier never see
 * each other: that is what keeps the DSL apart from the tasks, and lets serde, broker and store be changed singly.
 */
const tiers = {
  base: 0,
  serde: 1,
  registry: 1,
  broker: 1,
  store: 1,
  observe: 1,
  graph: 2,
  failure: 2,
  dsl: 3,
  task: 3,
  assign: 3,
  restore: 4,
  commit: 4,
  thread: 5,
  query: 6,
  app: 7,
  // A second entry point: it wires whole runtimes together, so everything is below it.
  testing: 8,
};

/**
 * The one file (or folder, with a slash at the end) that may import a package. Everything else talks to our own port:
 * a package can be replaced, its traps are handled once, and the rest is tested without it.
 */
const gateways = {
  '@confluentinc/kafka-javascript': 'src/broker/kafka-client.ts',
  rocksdb: 'src/store/rocksdb-library.ts',
  'lru-cache': 'src/store/',
  avsc: 'src/serde/avro-library.ts',
  '@kafkajs/confluent-schema-registry': 'src/registry/http-registry.ts',
  'prom-client': 'src/observe/prometheus-metrics.ts',
  pino: 'src/observe/pino-logger.ts',
  fastify: 'src/app/http-server.ts',
  '@fastify/static': 'src/app/http-server.ts',
  commander: 'topology/cli/',
  'cli-progress': 'topology/cli/',
  'csv-parse': 'topology/olist/',
};

/** All that the topology sees of the runtime, as any customer would. */
const entryPoints = { '#streams': 'src/index.ts', '#streams/testing': 'src/testing/index.ts' };

/** The folders of src/ that a folder may import from. */
function foldersBelow(folder) {
  return Object.keys(tiers).filter((other) => other === folder || tiers[other] < tiers[folder]);
}

module.exports = { tiers, gateways, entryPoints, foldersBelow };
