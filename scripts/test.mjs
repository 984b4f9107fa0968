// npm test: makes everything ready, real Kafka included, and runs all tests against it.
// npm test -- PATTERN …: only the test files whose path contains a pattern, with only the real parts they need.
// Files named *.slow.int.test.ts are not part of it: faults.mjs takes them, through runTests.
//
// The last line is "N passed, N failed". Whatever happens (a failure, a hang, Ctrl-C), what was started is ended.
import { spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve, sep } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { runChecks } from './check.mjs';
import { startKafka } from './kafka.mjs';
import { startRegistry } from './registry.mjs';
import { ensureBuilt } from './setup/build.mjs';
import { ensureChromium } from './setup/chromium.mjs';
import { ensureKafka } from './setup/kafka.mjs';
import { ensureKafkaClient } from './setup/kafka-client.mjs';
import { oracleEnvironment } from './setup/oracle.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { ensureRegistry } from './setup/registry.mjs';
import { ensureRocksdb } from './setup/rocksdb.mjs';
import { ensureToolchain } from './support/native.mjs';
import { endLedger, isRunning, noteInLedger, processIdentity, signalGroup } from './support/processes.mjs';
import { projectRoot } from './support/project.mjs';
import { duration, SetupError, say } from './support/say.mjs';

const minute = 60_000;
/**
 * One Mocha per group, each with a deadline, so that a hang costs one group and not the run. A file belongs to
 * the first group that takes it; the last takes everything, so no test is ever left out.
 */
export const groups = [
  {
    name: 'unit and contract',
    deadlineMs: 18 * minute,
    takes: (path) => /^(architecture\/|unit\/|rules\/|contract\/|[^/]+$)/.test(path),
  },
  {
    name: 'faults',
    deadlineMs: 25 * minute,
    slowDeadlineMs: 150 * minute,
    takes: (path) => /^faults\//.test(path),
  },
  {
    name: 'topology',
    deadlineMs: 20 * minute,
    takes: (path) => /^(topology|simulation|oracle)\//.test(path),
  },
  { name: 'real parts', deadlineMs: 45 * minute, takes: () => true },
];

/** What a test file stands on, by its name: `.int.test.ts` means real parts. */
export function partsNeededBy(path) {
  const browser = /^browser\//.test(path);
  return { servers: /\.int\.test\.ts$/.test(path) || /^integration\//.test(path) || browser, browser };
}

/** The disk that fails is a library of C, laid under the program by the loader. */
export function needsCompiler(path) {
  return /^faults\/f12-/.test(path);
}

/** Kafka Streams itself, a program of Java, is asked what comes out. */
export function needsOracle(path) {
  return /^oracle\//.test(path);
}

/** What takes minutes and minutes, and is not part of `npm test`. */
export function isSlow(path) {
  return /\.slow\.int\.test\.ts$/.test(path);
}

class Interrupted extends Error {}

class TestRun {
  passed = 0;
  failures = [];
  #folder;
  #current;
  #interrupted = false;
  #withSlow;

  constructor({ withSlow }) {
    this.#withSlow = withSlow;
  }

  async run(patterns) {
    const onSignal = () => this.#interrupt();
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    process.on('SIGHUP', onSignal);
    try {
      await this.#everything(patterns);
    } catch (error) {
      if (this.#interrupted || error instanceof Interrupted) {
        this.#fail('interrupted');
      } else {
        process.stderr.write(`${error instanceof SetupError ? error.toText() : (error?.stack ?? error)}\n`);
        this.#fail(error.message);
      }
    } finally {
      await this.#clean();
    }
  }

  async #everything(patterns) {
    await endEarlierRuns();
    this.#folder = mkdtempSync(join(tmpdir(), folderPrefix));
    writeFileSync(join(this.#folder, 'owner'), processIdentity(process.pid) ?? '');
    const files = testFiles().filter(
      (path) =>
        (this.#withSlow || !isSlow(path)) &&
        (patterns.length === 0 || patterns.some((p) => `test/${path}`.includes(p))),
    );
    if (files.length === 0) throw new SetupError('no test file matches', { type: 'npm test' });
    const needed = files.map(partsNeededBy);
    const servers = patterns.length === 0 || needed.some((parts) => parts.servers);
    const browser = patterns.length === 0 || needed.some((parts) => parts.browser);

    const env = { UV_THREADPOOL_SIZE: '16', ...process.env };
    env.MILLRACE_PID_LEDGER = join(this.#folder, 'ledger');
    // What tests leave in the system's temporary folder goes away with ours.
    env.TMPDIR = join(this.#folder, 'tmp');
    mkdirSync(env.TMPDIR);
    // For the servers that this process starts.
    process.env.MILLRACE_PID_LEDGER = env.MILLRACE_PID_LEDGER;

    const compiler = files.some(needsCompiler);
    await this.#setUp({ servers, browser, compiler, oracle: files.some(needsOracle), env });
    if (patterns.length === 0) {
      // The architecture's own test is one of the first group.
      for (const name of await runChecks({ without: ['types', 'architecture'] }))
        this.#fail(`check: ${name}`);
    }
    this.#findOrders(env);
    if (servers) await this.#startServers(env);
    let rest = files;
    for (const group of groups) {
      const chosen = rest.filter(group.takes);
      rest = rest.filter((path) => !group.takes(path));
      if (chosen.length > 0) await this.#runGroup(group, chosen, env);
    }
    // An interrupted group has not failed a test, but the run has not passed either.
    this.#stopHere();
  }

  async #setUp({ servers, browser, compiler, oracle, env }) {
    const began = performance.now();
    const step = async (work) => {
      this.#stopHere();
      return await work();
    };
    await step(ensurePackages);
    await step(ensureRocksdb);
    if (compiler) await step(() => ensureToolchain('a disk that fails is played by a small C library'));
    if (servers) {
      await step(ensureKafkaClient);
      await step(ensureKafka);
      await step(ensureRegistry);
    }
    if (oracle) Object.assign(env, await step(oracleEnvironment));
    if (browser) env.MILLRACE_TEST_CHROMIUM = await step(ensureChromium);
    await step(ensureBuilt);
    say(`set-up took ${duration(performance.now() - began)}`);
  }

  /** The real orders lie beside the project where it was developed, and not in a stranger's clone. */
  #findOrders(env) {
    const shared = resolve(projectRoot, '..', 'shared');
    const orders = join(shared, 'data', 'olist');
    if (existsSync(orders)) {
      env.MILLRACE_TEST_OLIST = orders;
    } else if (process.env.CI_RUN === '1') {
      const reason = `${orders} is not there: CI must test with the real orders`;
      say(reason);
      this.#fail(reason);
    } else {
      say('the real orders (../shared/data/olist) are not here: the tests use generated ones only');
    }
  }

  async #startServers(env) {
    const began = performance.now();
    this.#stopHere();
    const kafka = await startKafka({ dataDir: join(this.#folder, 'kafka') });
    this.#stopHere();
    const registry = await startRegistry({ stateDir: join(this.#folder, 'registry') });
    env.MILLRACE_TEST_KAFKA = kafka.bootstrap;
    env.MILLRACE_TEST_REGISTRY = registry.url;
    say(
      `Kafka at ${kafka.bootstrap} and a registry at ${registry.url} in ${duration(performance.now() - began)}`,
    );
  }

  async #runGroup(group, files, env) {
    this.#stopHere();
    const began = performance.now();
    const results = join(this.#folder, `results-${group.name.replaceAll(' ', '-')}`);
    writeFileSync(results, '');
    const mocha = join(projectRoot, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const compiled = files.map((path) => join('dist', 'test', path.replace(/\.ts$/, '.js')));
    const reporter = join(projectRoot, 'scripts', 'mocha-reporter.mjs');
    const child = spawn(process.execPath, [mocha, '--reporter', reporter, ...compiled], {
      cwd: projectRoot,
      env: { ...env, MILLRACE_TEST_RESULTS: results },
      stdio: ['ignore', 'inherit', 'inherit'],
      // A group of its own: the deadline ends the processes that the tests started as well.
      detached: true,
    });
    this.#current = child;
    // Should this run be killed, the next one ends the tests too.
    noteInLedger(processIdentity(child.pid), env);
    let late = false;
    // Another limit for all groups: a short one to hunt a hang, a long one for a slow machine.
    const limitMs = process.env.MILLRACE_TEST_DEADLINE_S
      ? Number(process.env.MILLRACE_TEST_DEADLINE_S) * 1000
      : ((this.#withSlow ? group.slowDeadlineMs : undefined) ?? group.deadlineMs);
    const deadline = setTimeout(() => {
      late = true;
      signalGroup(child.pid, 'SIGKILL');
    }, limitMs);
    const code = await new Promise((settle) => {
      child.once('error', () => settle(-1));
      child.once('exit', (exitCode) => settle(exitCode ?? -1));
    });
    clearTimeout(deadline);
    this.#current = undefined;
    // What outlived its test has no business in the next group.
    signalGroup(child.pid, 'SIGKILL');
    this.#count(group, results, { late: late ? limitMs : undefined, code });
    say(`group "${group.name}": ${files.length} files in ${duration(performance.now() - began)}`);
  }

  #count(group, results, { late, code }) {
    const events = readFileSync(results, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    let failed = 0;
    for (const { event, title, file, reason } of events) {
      if (event === 'pass') this.passed += 1;
      if (event !== 'fail' && event !== 'skip') continue;
      failed += 1;
      this.#fail(
        `${file ? `${relative(join(projectRoot, 'dist'), file)}: ` : ''}${title}${event === 'skip' ? ' (skipped)' : ''}${reason ? `\n${reason.replace(/^/gm, '    ')}` : ''}`,
      );
    }
    const last = events.at(-1);
    if (late !== undefined) {
      const what =
        last?.event === 'begin'
          ? `; it was in: ${last.title}`
          : '; all its tests had ended, something kept it alive';
      this.#fail(`group "${group.name}" did not end in ${duration(late)}${what}`);
    } else if (code !== 0 && failed === 0 && !this.#interrupted) {
      this.#fail(`group "${group.name}" ended with code ${code} without naming a failed test`);
    }
  }

  #fail(text) {
    this.failures.push(text);
  }

  #stopHere() {
    if (this.#interrupted) throw new Interrupted('interrupted');
  }

  #interrupt() {
    if (!this.#interrupted) say('ending what was started');
    this.#interrupted = true;
    signalGroup(this.#current?.pid, 'SIGKILL');
    // A server that is just starting is not waited for.
    if (this.#folder !== undefined) void endLedger(join(this.#folder, 'ledger'));
  }

  async #clean() {
    if (this.#folder === undefined) return;
    const ended = await endLedger(join(this.#folder, 'ledger'));
    if (ended > 0) say(`${ended} server process(es) ended`);
    // What failed is understood from its logs, which the failure names.
    const isFailed = this.failures.length > 0 && !this.#interrupted;
    if (isFailed || process.env.MILLRACE_TEST_KEEP === '1') say(`logs and data are kept in ${this.#folder}`);
    else rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

const folderPrefix = 'millrace-test-';

/** A run that was killed could not end its servers: the next one does. */
async function endEarlierRuns() {
  for (const name of readdirSync(tmpdir())) {
    if (!name.startsWith(folderPrefix)) continue;
    const folder = join(tmpdir(), name);
    const owner = existsSync(join(folder, 'owner')) ? readFileSync(join(folder, 'owner'), 'utf8') : undefined;
    if (!owner || isRunning(owner)) continue;
    await endLedger(join(folder, 'ledger'));
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** All test files below test/, with slashes, in a fixed order. */
function testFiles() {
  return readdirSync(join(projectRoot, 'test'), { recursive: true })
    .map((path) => path.split(sep).join('/'))
    .filter((path) => path.endsWith('.test.ts'))
    .sort();
}

/** Runs the files whose path contains a pattern (all without one), says how it went and sets the exit code. */
export async function runTests(patterns, { withSlow = false } = {}) {
  const run = new TestRun({ withSlow });
  await run.run(patterns);
  for (const failure of run.failures) say(`FAILED ${failure}`);
  if (run.passed === 0 && run.failures.length === 0) say('no test was run, which counts as a failure');
  process.stdout.write(`${run.passed} passed, ${run.failures.length} failed\n`);
  process.exitCode = run.failures.length > 0 || run.passed === 0 ? 1 : 0;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await runTests(process.argv.slice(2));
}
