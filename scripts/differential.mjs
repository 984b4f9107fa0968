// npm run differential -- [--cases N] [--first S] [--kind KIND,…] [--save FOLDER]: random programs with random
// inputs on Kafka Streams and on this runtime; what comes out must be the same. The last line is
// "N passed, N failed"; a seed that fails is run again with --cases 1 --first SEED.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ensureBuilt } from './setup/build.mjs';
import { oracleEnvironment } from './setup/oracle.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { projectRoot } from './support/project.mjs';
import { runMain } from './support/say.mjs';

async function main() {
  await ensurePackages();
  const env = { ...process.env, ...(await oracleEnvironment()) };
  await ensureBuilt();
  const runner = join(projectRoot, 'dist/test/oracle/run-differential.js');
  const child = spawn(process.execPath, [runner, ...process.argv.slice(2)], { stdio: 'inherit', env });
  const [code] = await once(child, 'close');
  process.exitCode = code ?? 1;
}

await runMain(main);
