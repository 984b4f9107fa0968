// Compiles with tsc, and only where a source has changed since the last time.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { withLock } from '../support/lock.mjs';
import { runLogged } from '../support/processes.mjs';
import { projectRoot, workFolder } from '../support/project.mjs';
import { SetupError, say } from '../support/say.mjs';

const sourceFolders = ['src', 'topology', 'test', 'bench', 'examples'];
const settingFiles = ['tsconfig.json', 'package.json', 'package-lock.json'];
const dist = join(projectRoot, 'dist');
const stamp = join(dist, '.build-stamp');

/** Every source with size and time: one that was taken away counts as a change as well. */
function fingerprint() {
  const hash = createHash('sha256');
  for (const path of [...settingFiles, ...sourceFolders.flatMap(sourcesBelow)].sort()) {
    const { size, mtimeMs } = statSync(join(projectRoot, path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return `${hash.digest('hex')}\n`;
}

function sourcesBelow(folder) {
  const root = join(projectRoot, folder);
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true })
    .filter((path) => /\.(ts|mts|json)$/.test(path))
    .map((path) => join(folder, path));
}

/** Compiles where needed; gives back the milliseconds it took (0 where nothing had changed). */
export async function ensureBuilt() {
  // An installed package holds the compiled files and no sources.
  if (!existsSync(join(projectRoot, 'tsconfig.json'))) return 0;
  if (isCurrent(fingerprint())) return 0;
  return await withLock(join(workFolder, 'build.lock'), 'compiling', async () => {
    const wanted = fingerprint();
    if (isCurrent(wanted)) return 0;
    const began = performance.now();
    say('compiling');
    const compiler = join(projectRoot, 'node_modules', 'typescript', 'bin', 'tsc');
    const result = await runLogged(process.execPath, [compiler, '-p', 'tsconfig.json'], {
      cwd: projectRoot,
      logFile: join(workFolder, 'tsc.log'),
      timeoutMs: 10 * 60_000,
    });
    if (!result.ok) {
      throw new SetupError('the sources do not compile', {
        type: 'npm run build',
        details: readFileSync(join(workFolder, 'tsc.log'), 'utf8').split('\n').slice(0, 40).join('\n'),
      });
    }
    removeLeftovers();
    writeFileSync(stamp, wanted);
    return performance.now() - began;
  });
}

function isCurrent(wanted) {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
}

/** tsc never deletes: a test whose source is gone would be run for ever. */
function removeLeftovers() {
  for (const path of readdirSync(dist, { recursive: true })) {
    const base = /^(.*?)\.(?:js|js\.map|d\.ts)$/.exec(path)?.[1];
    if (base === undefined) continue;
    if (!existsSync(join(projectRoot, `${base}.ts`))) rmSync(join(dist, path));
  }
}
