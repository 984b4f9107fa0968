// A real schema registry with the Confluent REST API on this machine's loopback, without Docker (Apicurio).
//
//   node scripts/registry.mjs start [--port 18081] [--data-dir DIR]
//   node scripts/registry.mjs stop | status [--data-dir DIR]
//
// Tests import startRegistry. With a data folder of its own it keeps its schemas and ids through a restart;
// otherwise it lives in memory. Its global compatibility level is BACKWARD, as Confluent's is (Apicurio's is NONE).
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { ensureRegistry, registryVersion } from './setup/registry.mjs';
import { withLock } from './support/lock.mjs';
import { freePort, isPortFree, loopback } from './support/network.mjs';
import { endProcess, isRunning } from './support/processes.mjs';
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

const usage = 'node scripts/registry.mjs start|stop|status [--port 18081] [--data-dir DIR]';
const defaultStateDir = join(workFolder, 'registry');
/** 11 to 30 s are usual on two cores. */
const readyTimeoutMs = 180_000;

const stateFile = (folder) => join(folder, 'registry.json');
const logFileOf = (folder) => join(folder, 'registry.log');
const urlOf = (state) => `http://${loopback}:${state.port}/apis/ccompat/v7`;

/**
 * Starts the registry and waits until it answers. `dataDir` makes it durable; `stateDir` is where its log and
 * the note of its process go (the data folder by default).
 */
export async function startRegistry({
  port,
  dataDir,
  stateDir,
  compatibility = 'BACKWARD',
  heapMb = 320,
} = {}) {
  const program = await ensureRegistry();
  const folder = resolve(stateDir ?? dataDir ?? defaultStateDir);
  return await withLock(join(folder, 'start.lock'), 'starting the registry', async () => {
    const earlier = readState(stateFile(folder));
    if (isRunning(earlier?.identity)) {
      throw new SetupError(`a registry is running already at ${urlOf(earlier)}`, {
        type: `node scripts/registry.mjs stop --data-dir ${folder}`,
      });
    }
    const state = {
      port: await choosePort({ asked: port, wish: earlier?.port, what: 'the registry' }),
      managementPort: await freePort(),
      dataDir: dataDir === undefined ? undefined : resolve(dataDir),
      compatibility,
      heapMb,
    };
    const registry = new RegistryServer(program, folder, state);
    try {
      await registry.restart();
    } catch (error) {
      await registry.stop({ kill: true });
      throw error;
    }
    return registry;
  });
}

class RegistryServer {
  #program;
  #folder;
  #state;

  constructor(program, folder, state) {
    this.#program = program;
    this.#folder = folder;
    this.#state = state;
  }

  get url() {
    return urlOf(this.#state);
  }

  get port() {
    return this.#state.port;
  }

  get pid() {
    return isRunning(this.#state.identity) ? Number.parseInt(this.#state.identity, 10) : undefined;
  }

  /** Starts it again on its port, ending it first where it runs. Without a data folder its schemas are gone. */
  async restart() {
    await endProcess(this.#state.identity);
    const state = this.#state;
    // The first compiler tier and the serial collector: the quickest start and the smallest footprint.
    const memory = [`-Xmx${state.heapMb}m`, '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
    state.identity = spawnServer(this.#program.java, [...memory, '-jar', 'quarkus-run.jar'], {
      cwd: this.#program.folder,
      env: serverEnvironment(state),
      logFile: logFileOf(this.#folder),
    });
    writeState(stateFile(this.#folder), state);
    await waitUntilReady({
      what: 'the registry',
      identity: state.identity,
      isReady: () => answers(urlOf(state)),
      logFile: logFileOf(this.#folder),
      timeoutMs: readyTimeoutMs,
    });
  }

  /** Ends it without a good-bye, as a crash would. */
  async kill() {
    await endProcess(this.#state.identity, { kill: true });
  }

  async stop({ kill = false } = {}) {
    await endProcess(this.#state.identity, { kill });
  }
}

function serverEnvironment(state) {
  const env = {
    ...process.env,
    QUARKUS_HTTP_HOST: loopback,
    QUARKUS_HTTP_PORT: String(state.port),
    QUARKUS_MANAGEMENT_HOST: loopback,
    QUARKUS_MANAGEMENT_PORT: String(state.managementPort),
    QUARKUS_HTTP_ACCESS_LOG_ENABLED: 'false',
    QUARKUS_OTEL_SDK_DISABLED: 'true',
    APICURIO_RULES_GLOBAL_COMPATIBILITY: state.compatibility,
  };
  if (state.dataDir !== undefined) {
    mkdirSync(state.dataDir, { recursive: true });
    env.APICURIO_DATASOURCE_URL = `jdbc:h2:file:${join(state.dataDir, 'registry')}`;
  }
  return env;
}

async function answers(url) {
  try {
    const response = await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(5_000) });
    return response.ok && Array.isArray(await response.json());
  } catch {
    return false;
  }
}

async function main() {
  const { words, options } = parseOptions(
    process.argv.slice(2),
    { port: 'number', 'data-dir': 'text' },
    usage,
  );
  const dataDir = options['data-dir'] === undefined ? undefined : resolve(options['data-dir']);
  const folder = dataDir ?? defaultStateDir;
  const state = readState(stateFile(folder));
  const running = isRunning(state?.identity);
  switch (words[0]) {
    case 'start':
      return await startCommand(options.port, dataDir, running ? state : undefined);
    case 'stop':
      if (running) await endProcess(state.identity);
      return say(running ? 'the registry has stopped' : 'the registry is not running');
    case 'status':
      if (running && (await answers(urlOf(state)))) {
        process.stdout.write(`${urlOf(state)} PID ${Number.parseInt(state.identity, 10)}\n`);
        return;
      }
      say(running ? 'the registry does not answer' : 'the registry is not running');
      process.exitCode = 1;
      return;
    default:
      throw new SetupError('say what to do', { type: usage });
  }
}

async function startCommand(port, dataDir, running) {
  if (running) {
    say('the registry is running already');
    process.stdout.write(`${urlOf(running)}\n`);
    return;
  }
  const began = performance.now();
  // A port in use is refused only where it was asked for by name.
  const usual = (await isPortFree(18_081)) ? 18_081 : undefined;
  const registry = await startRegistry({ port: port ?? usual, dataDir });
  const stop = dataDir ? ` --data-dir ${dataDir}` : '';
  const kept = dataDir ? `kept in ${dataDir}` : 'in memory';
  say(
    `Apicurio ${registryVersion} is up after ${duration(performance.now() - began)}, PID ${registry.pid}, ${kept}`,
  );
  say(`to end it: node scripts/registry.mjs stop${stop}`);
  process.stdout.write(`${registry.url}\n`);
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await runMain(main);
