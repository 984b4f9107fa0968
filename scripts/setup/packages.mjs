// npm packages: installed when package-lock.json says something else than node_modules holds.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { withLock } from '../support/lock.mjs';
import { npmCli } from '../support/native.mjs';
import { runLogged } from '../support/processes.mjs';
import { platformName, projectRoot, workFolder } from '../support/project.mjs';
import { duration, SetupError, say } from '../support/say.mjs';

const stamp = join(projectRoot, 'node_modules', '.millrace-installed');

/** What a finished installation is stamped with: the lock file and the machine (a folder may be copied). */
function expectedStamp() {
  const lock = readFileSync(join(projectRoot, 'package-lock.json'));
  return `${createHash('sha256').update(lock).digest('hex')} ${platformName()}\n`;
}

function isStamped() {
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === expectedStamp();
}

/** Compares npm's own note of what it installed, so that an `npm ci` typed by hand is not done again. */
export function installedAsLocked(lock, installed) {
  for (const [path, wanted] of Object.entries(lock.packages ?? {})) {
    if (path === '' || wanted.link) continue;
    const present = installed.packages?.[path];
    // Packages of another platform are optional and left out.
    if (present === undefined && wanted.optional) continue;
    if (present?.version !== wanted.version || present?.integrity !== wanted.integrity) return false;
  }
  return true;
}

function npmSaysInstalled() {
  try {
    const lock = JSON.parse(readFileSync(join(projectRoot, 'package-lock.json'), 'utf8'));
    const note = join(projectRoot, 'node_modules', '.package-lock.json');
    return installedAsLocked(lock, JSON.parse(readFileSync(note, 'utf8')));
  } catch {
    return false;
  }
}

export async function ensurePackages() {
  requireNode();
  // Where Millrace itself was installed as a package, npm has brought its dependencies with it.
  if (!existsSync(join(projectRoot, 'package-lock.json'))) return;
  if (isStamped()) return;
  await withLock(join(workFolder, 'packages.lock'), 'installing the packages', async () => {
    if (isStamped()) return;
    if (!npmSaysInstalled()) {
      say('installing the packages of package-lock.json (npm ci)');
      // Without install scripts: the two native packages are looked after by this folder's other files.
      // Development packages too: the compiler is one.
      const args = ['ci', '--ignore-scripts', '--include=dev', '--no-audit', '--no-fund'];
      const result = await runLogged(process.execPath, [npmCli(), ...args], {
        cwd: projectRoot,
        timeoutMs: 20 * 60_000,
        onTick: (ms) => say(`still installing the packages (${duration(ms)})`),
      });
      if (!result.ok) {
        throw new SetupError('npm could not install the packages', {
          type: `npm ${args.join(' ')}`,
          details: result.tail,
        });
      }
      say(`packages installed in ${duration(result.tookMs)}`);
    }
    writeFileSync(stamp, expectedStamp());
  });
}

/** An older Node fails in ways that do not name the cause, so the version comes first. */
export function requireNode(version = process.versions.node) {
  const [major, minor] = version.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new SetupError(`Node ${version} is too old: Millrace needs 20.19 or newer`, {
    type: 'nvm install 24',
  });
}
