// npm run check: what can be said about the sources in seconds. Every step is run, also after one has failed.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { ensureBuilt } from './setup/build.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { capture } from './support/processes.mjs';
import { projectRoot } from './support/project.mjs';
import { duration, runMain, say } from './support/say.mjs';

const bin = (...path) => join(projectRoot, 'node_modules', ...path);

function runNode(args) {
  const result = capture(process.execPath, args, {
    cwd: projectRoot,
    timeout: 5 * 60_000,
    maxBuffer: 64 << 20,
  });
  return result.ok ? undefined : result.output;
}

/** Dependencies whose version is a range: two clones of the same commit could run different code. */
export function inexactDependencies(manifest) {
  const found = [];
  for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides']) {
    for (const [name, version] of Object.entries(manifest[kind] ?? {})) {
      if (!/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/.test(version)) found.push(`${kind}: ${name} is "${version}"`);
    }
  }
  return found;
}

const steps = {
  'exact versions': () => {
    const manifest = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
    const found = inexactDependencies(manifest);
    return found.length === 0 ? undefined : `package.json must name exact versions\n${found.join('\n')}`;
  },
  'format and lint': () =>
    runNode([bin('@biomejs', 'biome', 'bin', 'biome'), 'check', '--error-on-warnings', '.']),
  // The same compile that the program and the tests use: a second one without output would only cost time.
  types: async () => {
    try {
      await ensureBuilt();
      return undefined;
    } catch (error) {
      return error.details ?? String(error);
    }
  },
  arrows: () => {
    const cruiser = bin('dependency-cruiser', 'bin', 'dependency-cruise.mjs');
    const folders = ['src', 'topology', 'test', 'bench', 'examples'].filter((name) =>
      existsSync(join(projectRoot, name)),
    );
    return runNode([cruiser, '--config', '.dependency-cruiser.cjs', ...folders]);
  },
  architecture: () => {
    const compiled = join('dist', 'test', 'architecture.test.js');
    if (!existsSync(join(projectRoot, compiled))) return 'test/architecture.test.ts is not compiled';
    return runNode([bin('mocha', 'bin', 'mocha.js'), '--reporter', 'dot', compiled]);
  },
};

/** Runs the steps and gives the names of those that failed. */
export async function runChecks({ without = [] } = {}) {
  const failed = [];
  for (const [name, step] of Object.entries(steps)) {
    if (without.includes(name)) continue;
    const began = performance.now();
    const trouble = await step();
    say(`check ${name}: ${trouble === undefined ? 'ok' : 'FAILED'} (${duration(performance.now() - began)})`);
    if (trouble === undefined) continue;
    process.stderr.write(`${trouble.trimEnd()}\n`);
    failed.push(name);
  }
  return failed;
}

async function main() {
  await ensurePackages();
  const failed = await runChecks();
  if (failed.length === 0) return;
  say(`failed: ${failed.join(', ')} (format is mended by: npx biome check --write .)`);
  process.exitCode = 1;
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await runMain(main);
