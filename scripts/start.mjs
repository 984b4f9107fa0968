// npm start -- ARGS: makes everything ready that is missing, then runs the program with these arguments.
// Needs no Kafka client, no Java and no Docker unless the arguments ask for Kafka.
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureBuilt } from './setup/build.mjs';
import { ensureKafkaClient } from './setup/kafka-client.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { ensureRocksdb } from './setup/rocksdb.mjs';
import { projectRoot } from './support/project.mjs';
import { runMain } from './support/say.mjs';

/** These commands always talk to Kafka; the others do where --kafka names a broker. */
const kafkaCommands = new Set(['run', 'participants']);

export function needsKafka(args) {
  if (args.some((arg) => arg === '--kafka' || arg.startsWith('--kafka='))) return true;
  return kafkaCommands.has(args.find((arg) => !arg.startsWith('-')));
}

async function main() {
  const args = process.argv.slice(2);
  await ensurePackages();
  await ensureRocksdb();
  if (needsKafka(args)) await ensureKafkaClient();
  await ensureBuilt();
  do process.exitCode = await runProgram(args);
  while (process.exitCode === startAgain);
}

/** The program's own code for "ended in good order, start me again": its memory budget is used up. */
const startAgain = 5;

function runProgram(args) {
  // RocksDB and the Kafka client share libuv's threads; four, the default, make them wait for each other.
  const env = { UV_THREADPOOL_SIZE: '16', ...process.env };
  const child = spawn(process.execPath, [join(projectRoot, 'dist', 'topology', 'main.js'), ...args], {
    env,
    stdio: 'inherit',
  });
  const pass = (signal) => {
    // A terminal sends Ctrl-C to the whole group: the program has had it already, and twice means "at once".
    if (signal === 'SIGINT' && process.stdin.isTTY) return;
    child.kill(signal);
  };
  const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'];
  for (const signal of signals) process.on(signal, pass);
  return new Promise((settle, fail) => {
    child.once('error', fail);
    child.once('exit', (code, signal) => settle(code ?? 128 + (constants.signals[signal] ?? 0)));
  }).finally(() => {
    for (const signal of signals) process.off(signal, pass);
  });
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await runMain(main);
