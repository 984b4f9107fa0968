// What compiling a native package needs: a toolchain, node-gyp (npm brings one) and this Node's own headers.
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ensureDebianPackages, hasApt, isRoot } from './debian.mjs';
import { capture, findCommand } from './processes.mjs';
import { SetupError } from './say.mjs';

/** Can a module be loaded? In a child process, because a misfit binary aborts the process that loads it. */
export function loadsInChild(moduleFolder, script = '') {
  const code = `const loaded = require(${JSON.stringify(moduleFolder)}); ${script}`;
  return capture(process.execPath, ['-e', code], { timeout: 60_000, env: withoutNodeOptions() });
}

// A debugger's or a loader's options in NODE_OPTIONS would slow the check down or break it.
function withoutNodeOptions() {
  const { NODE_OPTIONS: _dropped, ...env } = process.env;
  return env;
}

/** Installs or asks for compiler, make and Python. */
export async function ensureToolchain(why) {
  const missing = [];
  if (!findCommand('g++') && !findCommand('clang++')) missing.push('g++');
  if (!findCommand('make')) missing.push('make');
  if (!findCommand('python3')) missing.push('python3');
  if (missing.length === 0) return;
  if (process.platform === 'darwin') {
    throw new SetupError(`${why}, and a compiler is missing`, { type: 'xcode-select --install' });
  }
  if (hasApt() && isRoot()) {
    // g++ alone leaves out the C library's headers when recommended packages are left out
    await ensureDebianPackages([...new Set([...missing, 'libc6-dev'])], why);
    return;
  }
  throw new SetupError(`${why}, and these are missing: ${missing.join(', ')}`, {
    type: hasApt()
      ? `sudo apt-get update && sudo apt-get install -y ${missing.join(' ')}`
      : `install with your system's package manager: ${missing.join(' ')}`,
  });
}

/** The npm that belongs to this run, as a file to be run by this very Node. */
export function npmCli() {
  const candidates = [
    process.env.npm_execpath,
    join(dirname(process.execPath), '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    join(dirname(process.execPath), 'node_modules', 'npm', 'bin', 'npm-cli.js'),
    findCommand('npm') && realpathSync(findCommand('npm')),
  ];
  const found = candidates.find((path) => path?.endsWith('npm-cli.js') && existsSync(path));
  if (found) return found;
  throw new SetupError('npm was not found beside this Node', { type: 'npm start' });
}

export function nodeGyp() {
  const path = join(dirname(npmCli()), '..', 'node_modules', 'node-gyp', 'bin', 'node-gyp.js');
  if (existsSync(path)) return path;
  throw new SetupError('this npm brings no node-gyp, which compiles native packages', {
    type: 'npm install -g npm',
  });
}

/**
 * The environment for node-gyp. Where the headers of exactly this Node lie beside it (official archives, version
 * managers, Debian) they are used, so that nothing has to be downloaded; a user's own nodedir may belong to
 * another Node.
 */
export function gypEnvironment(extra = {}) {
  const env = { ...process.env, ...extra };
  delete env.MAKEFLAGS; // a surrounding make's flags would set the number of jobs
  const prefix = join(dirname(process.execPath), '..');
  const header = join(prefix, 'include', 'node', 'node_version.h');
  if (existsSync(header)) {
    const text = readFileSync(header, 'utf8');
    const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
    if (`v${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}` === process.version)
      env.npm_config_nodedir = prefix;
  }
  return env;
}
