// Where things are: the project's folder, the folder that outlives a clone, and the name of this machine's kind.
// Plain Node without packages, like everything in scripts/: it runs before anything is installed.
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const projectRoot = resolve(fileURLToPath(new URL('../..', import.meta.url)));

/** What this checkout keeps while it works (locks, default data folders); ignored by git. */
export const workFolder = join(projectRoot, '.millrace');

/** What is expensive to make and the same for every clone: compiled addons, Kafka's jars, the registry. */
export function cacheFolder(env = process.env) {
  const base = env.XDG_CACHE_HOME?.startsWith('/') ? env.XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(base, 'millrace');
}

/** glibc or musl on Linux (a compiled addon fits only one of them), an empty text elsewhere. */
export function libcName() {
  if (process.platform !== 'linux') return '';
  // Without this Node looks up every network interface for the report, which can take seconds.
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl';
}

/** For example linux-x64-glibc: the part of a cache key that a compiled file depends on. */
export function platformName() {
  return [process.platform, process.arch, libcName()].filter(Boolean).join('-');
}

export function packageFolder(name) {
  return join(projectRoot, 'node_modules', ...name.split('/'));
}

/** The version that package-lock.json pins. */
export function pinnedVersion(name) {
  const lock = JSON.parse(readFileSync(join(projectRoot, 'package-lock.json'), 'utf8'));
  return lock.packages[`node_modules/${name}`].version;
}
