// npm run vectors -- FILE…: replays files of recorded Kafka Streams results (cases with inputs and the records that
// came out) on this runtime. Tells every difference; the last line is "N passed, N failed". Needs no Kafka.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ensureBuilt } from './setup/build.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { projectRoot } from './support/project.mjs';
import { runMain, SetupError } from './support/say.mjs';

async function main() {
  const files = process.argv.slice(2);
  if (files.length === 0) throw new SetupError('name the files: npm run vectors -- FILE…');
  await ensurePackages();
  await ensureBuilt();
  const runner = join(projectRoot, 'dist/test/vectors/run-vectors.js');
  const child = spawn(process.execPath, [runner, ...files], { stdio: 'inherit' });
  const [code] = await once(child, 'close');
  process.exitCode = code ?? 1;
}

await runMain(main);
