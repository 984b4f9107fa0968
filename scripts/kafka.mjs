// A real Kafka broker (or three) on this machine's loopback, without Docker.
//
//   node scripts/kafka.mjs start [--brokers 1|3] [--port 19092] [--data-dir DIR]
//   node scripts/kafka.mjs stop | status [--data-dir DIR]
//
// Tests import startKafka. Started again on the same folder it goes on with the data that is there.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { ensureKafka, kafkaVersion } from './setup/kafka.mjs';
import { withLock } from './support/lock.mjs';
import { askFrame, freePort, isPortFree, loopback } from './support/network.mjs';
import { capture, endProcess, isRunning } from './support/processes.mjs';
import { workFolder } from './support/project.mjs';
import { duration, runMain, SetupError, say } from './support/say.mjs';
import {
  choosePort,
  parseOptions,
  readState,
  spawnServer,
  waitUntilReady,
  writeState,
} from './support/servers.mjs';

const usage = 'node scripts/kafka.mjs start|stop|status [--brokers 1|3] [--port 19092] [--data-dir DIR]';
const defaultDataDir = join(workFolder, 'kafka');
const logging = fileURLToPath(new URL('./setup/kafka/log4j2.properties', import.meta.url));
/** Eight to fourteen seconds are usual on two cores; three brokers at once on a busy machine take a minute. */
const readyTimeoutMs = 180_000;

const stateFile = (dataDir) => join(dataDir, 'cluster.json');
const nodeFolder = (dataDir, node) =>
  join(dataDir, `${node.isController ? 'controller' : 'broker'}-${node.id}`);
const logFileOf = (dataDir, node) => join(nodeFolder(dataDir, node), 'broker.log');
/** Every process of the cluster; a controller of its own comes first, because the brokers register with it. */
const nodesOf = (state) => (state.controller ? [state.controller, ...state.brokers] : state.brokers);

/**
 * Starts the brokers and waits until every one of them knows of all.
 * `settings` are further lines for server.properties. `controllerApart`: the controller is a process of its own, which
 * lives on when brokers are killed, as in production; without it every broker is a controller too.
 */
export async function startKafka({
  brokers = 1,
  port,
  dataDir = defaultDataDir,
  heapMb = 512,
  settings = {},
  controllerApart = false,
} = {}) {
  if (!Number.isInteger(brokers) || brokers < 1 || brokers > 5) {
    throw new SetupError(`${brokers} brokers cannot be started`, { type: usage });
  }
  const kafka = await ensureKafka();
  const folder = resolve(dataDir);
  return await withLock(join(folder, 'start.lock'), 'starting Kafka', async () => {
    const earlier = readState(stateFile(folder));
    const running = earlier ? nodesOf(earlier).filter((node) => isRunning(node.identity)) : [];
    if (running.length > 0) {
      throw new SetupError(`Kafka is running already at ${bootstrapOf(earlier)} on the data in ${folder}`, {
        type: `node scripts/kafka.mjs stop --data-dir ${folder}`,
      });
    }
    if (earlier && earlier.brokers.length !== brokers) {
      throw new SetupError(
        `${folder} holds the data of ${earlier.brokers.length} broker(s), not of ${brokers}`,
        {
          type: `node scripts/kafka.mjs start --brokers ${earlier.brokers.length} --data-dir ${folder}`,
        },
      );
    }
    const state = await planCluster({ brokers, port, heapMb, settings, controllerApart, earlier });
    writeState(stateFile(folder), state);
    for (const node of nodesOf(state)) prepareNode(kafka, folder, state, node);
    for (const node of nodesOf(state)) launch(kafka, folder, state, node);
    const cluster = new KafkaCluster(kafka, folder, state);
    try {
      await cluster.waitUntilReady();
    } catch (error) {
      await cluster.stop({ kill: true });
      throw error;
    }
    return cluster;
  });
}

async function planCluster({ brokers, port, heapMb, settings, controllerApart, earlier }) {
  const list = [];
  for (let i = 0; i < brokers; i += 1) {
    const before = earlier?.brokers[i];
    const asked = port === undefined ? undefined : port + i;
    list.push({
      id: i + 1,
      port: await choosePort({ asked, wish: before?.port, what: 'Kafka' }),
      controllerPort:
        before && (await isPortFree(before.controllerPort)) ? before.controllerPort : await freePort(),
    });
  }
  const controller = earlier?.controller ?? (controllerApart ? await planController(brokers) : undefined);
  return { clusterId: earlier?.clusterId ?? newClusterId(), heapMb, settings, controller, brokers: list };
}

async function planController(brokers) {
  return { id: brokers + 1, isController: true, controllerPort: await freePort() };
}

/** Kafka's form of an id: 16 bytes in URL-safe base 64. One that begins with a dash would read as an option. */
function newClusterId() {
  for (;;) {
    const id = randomBytes(16).toString('base64url');
    if (!id.startsWith('-')) return id;
  }
}

const bootstrapOf = (state) => state.brokers.map((broker) => `${loopback}:${broker.port}`).join(',');

/** What a node is, and where it listens: broker and controller in one, or one of the two. */
function rolesOf(state, node) {
  const client = `CLIENT://${loopback}:${node.port}`;
  const control = `CONTROLLER://${loopback}:${node.controllerPort}`;
  const voters = state.controller ? [state.controller] : state.brokers;
  const quorum = {
    'controller.quorum.voters': voters.map((v) => `${v.id}@${loopback}:${v.controllerPort}`).join(','),
  };
  if (node.isController) return { ...quorum, 'process.roles': 'controller', listeners: control };
  return {
    ...quorum,
    'process.roles': state.controller ? 'broker' : 'broker,controller',
    listeners: state.controller ? client : `${client},${control}`,
    'advertised.listeners': client,
    'inter.broker.listener.name': 'CLIENT',
  };
}

/** The settings of one broker, or of a controller of its own, which needs the defaults of topics; exported so that a test can hold them against what the design asks for. */
export function serverProperties(state, broker, dataFolder) {
  const copies = Math.min(3, state.brokers.length);
  const inSync = copies === 3 ? 2 : 1;
  return {
    ...rolesOf(state, broker),
    'node.id': broker.id,
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': dataFolder,
    'offsets.topic.replication.factor': copies,
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': inSync,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': inSync,
    'default.replication.factor': copies,
    'min.insync.replicas': inSync,
    // Fifty partitions each by default, which cost seconds at the first group and the first transaction.
    'offsets.topic.num.partitions': 8,
    'transaction.state.log.num.partitions': 8,
    // A topic with a misspelt name is an error, not a new topic.
    'auto.create.topics.enable': false,
    // Replayed events are years old: retention by time would delete them as they arrive.
    'log.retention.ms': -1,
    // Groups form at once, and a member that died is noticed within a test's patience.
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 1000,
    'group.consumer.min.session.timeout.ms': 1000,
    'group.consumer.session.timeout.ms': 6000,
    'group.consumer.min.heartbeat.interval.ms': 500,
    'group.consumer.heartbeat.interval.ms': 1000,
    // How often timed-out transactions are looked for, every ten seconds by default: who takes a dead member's tasks over
    // waits for its transaction to be ended.
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': 1000,
    // 128 MB by default, a quarter of this heap.
    'log.cleaner.dedupe.buffer.size': 16 * 1024 * 1024,
    ...state.settings,
  };
}

function prepareNode(kafka, folder, state, broker) {
  const place = nodeFolder(folder, broker);
  const data = join(place, 'data');
  mkdirSync(place, { recursive: true });
  const properties = join(place, 'server.properties');
  const lines = Object.entries(serverProperties(state, broker, data)).map(
    ([key, value]) => `${key}=${value}`,
  );
  writeFileSync(properties, `${lines.join('\n')}\n`);
  if (existsSync(join(data, 'meta.properties'))) return;
  const args = [
    ...shortLivedJava(kafka),
    'kafka.tools.StorageTool',
    'format',
    '-t',
    state.clusterId,
    '-c',
    properties,
  ];
  const formatted = capture(kafka.java, args, { timeout: 120_000 });
  if (!formatted.ok) {
    throw new SetupError(`Kafka could not prepare its data folder ${data}`, {
      type: `rm -r ${place}`,
      details: formatted.output,
    });
  }
}

/** For a command of a second or two the first compiler tier is the quickest. */
function shortLivedJava(kafka) {
  return [
    '-XX:TieredStopAtLevel=1',
    '-XX:+UseSerialGC',
    `-Dlog4j2.configurationFile=${logging}`,
    '-cp',
    kafka.classPath,
  ];
}

function launch(kafka, folder, state, broker) {
  const place = nodeFolder(folder, broker);
  const memory = [`-Xms${state.heapMb / 2}m`, `-Xmx${state.heapMb}m`, '-XX:+UseSerialGC'];
  const args = [...memory, `-Dlog4j2.configurationFile=${logging}`, '-cp', kafka.classPath, 'kafka.Kafka'];
  broker.identity = spawnServer(kafka.java, [...args, join(place, 'server.properties')], {
    logFile: logFileOf(folder, broker),
    env: process.env,
    cwd: place,
  });
  writeState(stateFile(folder), state);
}

/** What startKafka gives back. Brokers are numbered from 0, in the order of the bootstrap list. */
class KafkaCluster {
  #kafka;
  #folder;
  #state;

  constructor(kafka, folder, state) {
    this.#kafka = kafka;
    this.#folder = folder;
    this.#state = state;
  }

  get bootstrap() {
    return bootstrapOf(this.#state);
  }

  get ports() {
    return this.#state.brokers.map((broker) => broker.port);
  }

  get pids() {
    return this.#state.brokers.map((broker) =>
      isRunning(broker.identity) ? Number.parseInt(broker.identity, 10) : undefined,
    );
  }

  get dataDir() {
    return this.#folder;
  }

  /** Every running broker answers and sees all the running ones. */
  async waitUntilReady() {
    const running = this.#state.brokers.filter((broker) => isRunning(broker.identity));
    const expected = running.length || this.#state.brokers.length;
    for (const broker of this.#state.brokers) {
      if (running.length > 0 && !running.includes(broker)) continue;
      await waitUntilReady({
        what: `Kafka broker ${broker.id}`,
        identity: broker.identity,
        isReady: async () => (await liveBrokers(broker.port)) >= expected,
        logFile: logFileOf(this.#folder, broker),
        timeoutMs: readyTimeoutMs,
      });
    }
  }

  /** Ends a broker without a good-bye, as a crash would. */
  async kill(index) {
    await endProcess(this.#broker(index).identity, { kill: true });
  }

  /** Stops a broker from doing anything while its connections stay open; resume() lets it go on. */
  pause(index) {
    process.kill(Number.parseInt(this.#broker(index).identity, 10), 'SIGSTOP');
  }

  resume(index) {
    process.kill(Number.parseInt(this.#broker(index).identity, 10), 'SIGCONT');
  }

  /** Starts a broker again on its data and port, ending it first where it runs. */
  async restart(index) {
    const broker = this.#broker(index);
    await endProcess(broker.identity);
    launch(this.#kafka, this.#folder, this.#state, broker);
    await this.waitUntilReady();
  }

  /** Ends all brokers; with kill they get no time to close their files, for data that nobody will read again. */
  async stop({ kill = false } = {}) {
    // Brokers first: one that stops in order says good-bye to the controller.
    await Promise.all(this.#state.brokers.map((broker) => endProcess(broker.identity, { kill })));
    if (this.#state.controller) await endProcess(this.#state.controller.identity, { kill });
  }

  #broker(index) {
    const broker = this.#state.brokers[index];
    if (!broker)
      throw new Error(`there is no broker ${index}: this cluster has ${this.#state.brokers.length}`);
    return broker;
  }
}

/** One request of Kafka's protocol: api key, version, correlation id, no client id, then the body. */
function frame(apiKey, version, body) {
  const head = Buffer.alloc(14);
  head.writeInt32BE(10 + body.length, 0);
  head.writeInt16BE(apiKey, 4);
  head.writeInt16BE(version, 6);
  head.writeInt32BE(1, 8);
  head.writeInt16BE(-1, 12);
  return Buffer.concat([head, body]);
}

/** How many brokers this one knows to be alive; 0 where it gives no answer. */
async function liveBrokers(port) {
  // An open port is not enough: it opens before the broker takes requests.
  const versions = await askFrame(port, frame(18, 0, Buffer.alloc(0)));
  if (versions === undefined || versions.readInt16BE(4) !== 0) return 0;
  // Metadata, version 1, for no topic at all: the list of brokers comes first in the answer.
  const metadata = await askFrame(port, frame(3, 1, Buffer.alloc(4)));
  return metadata === undefined || metadata.length < 8 ? 0 : metadata.readInt32BE(4);
}

async function main() {
  const known = { brokers: 'number', port: 'number', 'data-dir': 'text' };
  const { words, options } = parseOptions(process.argv.slice(2), known, usage);
  const dataDir = resolve(options['data-dir'] ?? defaultDataDir);
  switch (words[0]) {
    case 'start':
      return await startCommand(options, dataDir);
    case 'stop':
      return await stopCommand(dataDir);
    case 'status':
      return await statusCommand(dataDir);
    default:
      throw new SetupError('say what to do', { type: usage });
  }
}

async function startCommand(options, dataDir) {
  const began = performance.now();
  const earlier = readState(stateFile(dataDir));
  if (earlier?.brokers.every((broker) => isRunning(broker.identity))) {
    say('Kafka is running already');
    process.stdout.write(`${bootstrapOf(earlier)}\n`);
    return;
  }
  // A port in use is refused only where it was asked for by name.
  const usual = earlier === undefined && (await isPortFree(19_092)) ? 19_092 : undefined;
  const brokers = options.brokers ?? earlier?.brokers.length ?? 1;
  const cluster = await startKafka({ brokers, port: options.port ?? usual, dataDir });
  const stop = options['data-dir'] ? ` --data-dir ${dataDir}` : '';
  say(
    `Kafka ${kafkaVersion} is up after ${duration(performance.now() - began)}, PID ${cluster.pids.join(', ')}`,
  );
  say(`its data and logs are in ${dataDir}; to end it: node scripts/kafka.mjs stop${stop}`);
  process.stdout.write(`${cluster.bootstrap}\n`);
}

async function stopCommand(dataDir) {
  const state = readState(stateFile(dataDir));
  const running = state ? nodesOf(state).filter((node) => isRunning(node.identity)) : [];
  await Promise.all(running.map((node) => endProcess(node.identity)));
  say(running.length === 0 ? 'Kafka is not running' : 'Kafka has stopped; its data stays');
}

async function statusCommand(dataDir) {
  const state = readState(stateFile(dataDir));
  const lines = [];
  for (const broker of state?.brokers ?? []) {
    if (!isRunning(broker.identity)) continue;
    const alive = await liveBrokers(broker.port);
    const answer = alive > 0 ? `answers, sees ${alive} broker(s)` : 'does not answer';
    lines.push(`${loopback}:${broker.port} PID ${Number.parseInt(broker.identity, 10)} ${answer}`);
  }
  if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
  if (
    lines.length === 0 ||
    lines.length < state.brokers.length ||
    lines.some((line) => line.endsWith('not answer'))
  ) {
    say(lines.length === 0 ? 'Kafka is not running' : 'not every broker is well');
    process.exitCode = 1;
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await runMain(main);
