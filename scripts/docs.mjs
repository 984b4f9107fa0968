// npm run docs: writes the API reference of both entry points, from their docstrings, to docs/api (which git
// ignores). Warnings are errors: a public function whose type nobody can import, or a link that leads nowhere.
// What TypeDoc is told is in docs/typedoc.json beside this file. Needs no network.
import { join, relative } from 'node:path';
import { ensurePackages } from './setup/packages.mjs';
import { capture } from './support/processes.mjs';
import { projectRoot } from './support/project.mjs';
import { runMain, SetupError, say } from './support/say.mjs';

/** `out`: another folder, for the test. */
async function main() {
  const [out = join(projectRoot, 'docs', 'api')] = process.argv.slice(2);
  await ensurePackages();
  const typedoc = join(projectRoot, 'node_modules', 'typedoc', 'bin', 'typedoc');
  const options = join(projectRoot, 'scripts', 'docs', 'typedoc.json');
  const result = capture(process.execPath, [typedoc, '--options', options, '--out', out], {
    cwd: projectRoot,
    timeout: 5 * 60_000,
    maxBuffer: 16 << 20,
  });
  if (!result.ok) throw new SetupError('the API reference has faults', { details: result.output });
  say(`the API reference is ${relative(process.cwd(), join(out, 'index.html'))}`);
}

await runMain(main);
