// Debian packages: installed where that is allowed (root), otherwise the exact line is shown.
import { join } from 'node:path';
import { withLock } from './lock.mjs';
import { capture, findCommand, runLogged } from './processes.mjs';
import { cacheFolder } from './project.mjs';
import { SetupError, say } from './say.mjs';

export function isRoot() {
  return process.getuid?.() === 0;
}

export function hasApt() {
  return findCommand('apt-get') !== undefined;
}

/** Those of the packages that are not installed. */
export function missingPackages(names) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholders are dpkg's
  const listed = capture('dpkg-query', ['-W', '-f', '${Package} ${Status}\n', ...names]);
  const installed = new Set(
    listed.stdout
      .split('\n')
      .filter((line) => line.endsWith(' installed'))
      .map((line) => line.split(' ')[0]),
  );
  return names.filter((name) => !installed.has(name));
}

export function aptLine(names) {
  return `sudo apt-get update && sudo apt-get install -y ${names.join(' ')}`;
}

/** Installs what is missing. `otherwise` is the line for a machine without apt. */
export async function ensureDebianPackages(names, why, { otherwise } = {}) {
  if (!hasApt()) {
    throw new SetupError(`${why} (${names.join(', ')} on Debian), and this machine has no apt-get`, {
      type: otherwise ?? `install the packages that give: ${names.join(' ')}`,
    });
  }
  const missing = missingPackages(names);
  if (missing.length === 0) return;
  if (!isRoot()) {
    throw new SetupError(`${why}: these Debian packages are missing: ${missing.join(', ')}`, {
      type: aptLine(missing),
    });
  }
  say(`installing the Debian packages ${missing.join(', ')} (${why})`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3'];
  // apt waits for dpkg's lock but not for the lock of its lists, so our own processes queue here.
  await withLock(join(cacheFolder(), 'apt.lock'), 'installing Debian packages', async () => {
    const steps = [
      ['update', []],
      ['install', ['-y', '--no-install-recommends', ...missing]],
    ];
    for (const [step, args] of steps) {
      const result = await runLogged('apt-get', [...options, step, ...args], { env, timeoutMs: 15 * 60_000 });
      if (!result.ok) {
        throw new SetupError(`apt-get ${step} failed`, { type: aptLine(missing), details: result.tail });
      }
    }
  });
}
