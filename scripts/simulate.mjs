// npm run simulate -- --seeds N [--first S] [--workload ledger|shop|dsl] [--jobs J]: simulates whole clusters under
// faults, a process per core, and ends with a table of what struck where. Needs no Kafka, no Docker, no network.
// npm run simulate -- --seed S [--workload W]: one seed, with its log. The same seed gives the same log.
//
// The last line is "N passed, N failed"; a seed that fails is told with the line that replays it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { ensureBuilt } from './setup/build.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { projectRoot, workFolder } from './support/project.mjs';
import { duration, runMain, SetupError, say } from './support/say.mjs';

const workloads = ['ledger', 'shop', 'dsl'];
const progressEveryMs = 15_000;

function readOptions() {
  const number = (name, text, least) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new SetupError(`--${name} is "${text}"; it is a whole number from ${least} up`);
  };
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '200' },
      first: { type: 'string', default: '1' },
      seed: { type: 'string' },
      workload: { type: 'string', default: 'ledger' },
      jobs: { type: 'string', default: String(availableParallelism()) },
    },
  });
  if (!workloads.includes(values.workload))
    throw new SetupError(`--workload is "${values.workload}"; it is one of ${workloads.join(', ')}`);
  return {
    workload: values.workload,
    seed: values.seed === undefined ? undefined : number('seed', values.seed, 0),
    first: number('first', values.first, 0),
    seeds: number('seeds', values.seeds, 1),
    jobs: number('jobs', values.jobs, 1),
  };
}

/** Runs seeds first, first + step, … in a process of their own. Rejects when it dies. */
async function runSeeds(args, onLine) {
  const child = spawn(process.execPath, [join(projectRoot, 'dist/test/simulation/run-seeds.js'), ...args], {
    cwd: projectRoot,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  createInterface({ input: child.stdout }).on('line', (line) => onLine(JSON.parse(line)));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new SetupError(`a simulation ended with code ${code}; what it said is above`);
}

async function main() {
  const options = readOptions();
  await ensurePackages();
  await ensureBuilt();
  process.exitCode = await (options.seed === undefined ? runMany(options) : runOne(options));
}

async function runOne({ seed, workload }) {
  mkdirSync(workFolder, { recursive: true });
  const log = join(workFolder, `simulation-${workload}-${seed}.log`);
  let result;
  await runSeeds([String(seed), '1', '1', '--workload', workload, '--log', log], (line) => {
    result = line;
  });
  process.stdout.write(readFileSync(log, 'utf8'));
  for (const violation of result.violations) process.stdout.write(`VIOLATION ${violation}\n`);
  say(`seed ${seed}: digest ${result.digest}, ${result.faults.length} faults; the log is ${log}`);
  return result.violations.length === 0 ? 0 : 1;
}

async function runMany({ first, seeds, jobs, workload }) {
  const { coverageTable, countFault } = await import(
    new URL('../dist/src/testing/simulation/faults.js', import.meta.url).href
  );
  const coverage = new Map();
  const failed = [];
  let done = 0;
  let faults = 0;
  let inputs = 0;
  const families = new Map();
  let fewestFaults = Number.POSITIVE_INFINITY;
  const beganMs = performance.now();
  const take = (line) => {
    done++;
    faults += line.faults.length;
    inputs += line.inputs;
    if (line.family !== undefined) families.set(line.family, (families.get(line.family) ?? 0) + 1);
    fewestFaults = Math.min(fewestFaults, line.faults.length);
    for (const [kind, step, times] of line.coverage) countFault(coverage, kind, step, times);
    if (line.violations.length === 0) return;
    failed.push(line.seed);
    const again = `npm run simulate -- --seed ${line.seed} --workload ${workload}`;
    say(`seed ${line.seed} FAILED: ${line.violations[0]}\n  replay it with: ${again}`);
  };
  const progress = setInterval(() => {
    const perSecond = done / ((performance.now() - beganMs) / 1000);
    const left = duration(((seeds - done) / Math.max(perSecond, 0.01)) * 1000);
    say(
      `${done} of ${seeds} seeds, ${failed.length} failed, ${perSecond.toFixed(1)} a second, ${left} to go`,
    );
  }, progressEveryMs);
  try {
    const workers = Math.min(jobs, seeds);
    await Promise.all(
      Array.from({ length: workers }, (_, worker) => {
        const count = Math.ceil((seeds - worker) / workers);
        return runSeeds(
          [String(first + worker), String(count), String(workers), '--workload', workload],
          take,
        );
      }),
    );
  } finally {
    clearInterval(progress);
  }
  const took = duration(performance.now() - beganMs);
  say(
    `${done} seeds from ${first}, ${inputs} records from outside, ${faults} faults (at least ${fewestFaults} a seed), ${took}`,
  );
  if (families.size > 0)
    say(`programs: ${[...families].map(([name, times]) => `${name} ${times}`).join(', ')}`);
  process.stdout.write(`\n${coverageTable(coverage)}\n\n`);
  process.stdout.write(`${done - failed.length} passed, ${failed.length} failed\n`);
  return failed.length === 0 ? 0 : 1;
}

await runMain(main);
