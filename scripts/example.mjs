// npm run example NN: runs the example whose file begins with NN. Without a number it lists them. They need no
// Kafka and end by themselves.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt } from './setup/build.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { projectRoot } from './support/project.mjs';
import { runMain, SetupError } from './support/say.mjs';

/** Their names, in the order of their numbers. */
const examples = readdirSync(join(projectRoot, 'examples'))
  .filter((file) => /^\d\d-.*\.ts$/.test(file))
  .map((file) => file.replace(/\.ts$/, ''))
  .sort();

async function main() {
  const [number] = process.argv.slice(2);
  const name = number === undefined ? undefined : examples.find((each) => each.startsWith(number));
  if (name === undefined)
    throw new SetupError(`name one of the examples by its number: ${examples.join(', ')}`, {
      type: 'npm run example 01',
    });
  await ensurePackages();
  await ensureBuilt();
  const child = spawn(process.execPath, [join(projectRoot, 'dist', 'examples', `${name}.js`)], {
    stdio: 'inherit',
  });
  const [code] = await once(child, 'close');
  process.exitCode = code ?? 1;
}

await runMain(main);
