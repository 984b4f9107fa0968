// npm run soak -- --minutes M --seed S [--brokers 1|3]: a ledger on real Kafka under a random mix of faults (F20).
//
// Prints the seed first, the fault log as it goes, and at the end the verdict of all checkers with what the
// instance that was never killed has grown by. Ctrl-C ends what was started.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensureBuilt } from './setup/build.mjs';
import { ensureKafka } from './setup/kafka.mjs';
import { ensureKafkaClient } from './setup/kafka-client.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { ensureRocksdb } from './setup/rocksdb.mjs';
import { projectRoot } from './support/project.mjs';
import { runMain, SetupError } from './support/say.mjs';
import { parseOptions } from './support/servers.mjs';

const usage = 'npm run soak -- --minutes M --seed S [--brokers 1|3]';

async function main() {
  const known = { minutes: 'number', seed: 'number', brokers: 'number' };
  const { options } = parseOptions(process.argv.slice(2), known, usage);
  const { minutes = 15, seed = Math.floor(Math.random() * 1_000_000), brokers = 1 } = options;
  if (minutes <= 0 || ![1, 3].includes(brokers)) throw new SetupError('that cannot be run', { type: usage });
  for (const ensure of [ensurePackages, ensureRocksdb, ensureKafkaClient, ensureKafka, ensureBuilt])
    await ensure();
  const program = join('dist', 'test', 'faults', 'soak.js');
  const child = spawn(process.execPath, [program, String(minutes), String(seed), String(brokers)], {
    cwd: projectRoot,
    env: { UV_THREADPOOL_SIZE: '16', ...process.env },
    stdio: 'inherit',
  });
  // The terminal's Ctrl-C reaches the child as well, which ends its own: we wait for it.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.exitCode = await new Promise((settle) => {
    child.once('error', () => settle(1));
    child.once('exit', (code) => settle(code ?? 1));
  });
}

await runMain(main);
