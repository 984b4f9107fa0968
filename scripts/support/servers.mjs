// What the broker and the registry have in common: a process in the background that outlives the command that
// started it, noted in a state file so that a later command can find and end it.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { freePort, isPortFree, loopback } from './network.mjs';
import { isRunning, noteInLedger, processIdentity, waitFor } from './processes.mjs';
import { SetupError } from './say.mjs';

/** Starts a server in a session of its own, with its output in a file. Gives its identity (id and start time). */
export function spawnServer(command, args, { logFile, env, cwd }) {
  mkdirSync(dirname(logFile), { recursive: true });
  const log = openSync(logFile, 'a');
  const child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  // Whoever starts a server and then ends is not held up by it.
  child.unref();
  child.once('error', () => undefined); // seen below as "not running"
  const identity = child.pid === undefined ? undefined : processIdentity(child.pid);
  noteInLedger(identity);
  return identity;
}

/** Waits until the server answers; says why where it ended or stayed silent. */
export async function waitUntilReady({ what, identity, isReady, logFile, timeoutMs }) {
  let ended = false;
  const ready = await waitFor(
    async () => {
      ended = !isRunning(identity);
      return ended || (await isReady());
    },
    timeoutMs,
    100,
  );
  if (ready && !ended) return;
  const why = ended ? 'ended while it was starting' : `gave no answer in ${timeoutMs / 1000} s`;
  throw new SetupError(`${what} ${why}`, { type: `tail -n 50 ${logFile}`, details: lastLines(logFile, 20) });
}

export function lastLines(file, count) {
  if (!existsSync(file)) return '';
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n');
}

/** A port that was asked for must be free; otherwise the wish is used where it is, or any free one. */
export async function choosePort({ asked, wish, what, option = '--port' }) {
  if (asked !== undefined) {
    if (await isPortFree(asked)) return asked;
    throw new SetupError(`${loopback}:${asked} is in use, so ${what} cannot listen there`, {
      type: `${option} ${await freePort()}     (a free one, instead of ${option} ${asked})`,
    });
  }
  if (wish !== undefined && (await isPortFree(wish))) return wish;
  return await freePort();
}

export function readState(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

export function writeState(file, state) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** Reads `--name value` and `--name=value`; an option that is not known is an error, not a silent nothing. */
export function parseOptions(args, known, usage) {
  const options = {};
  const words = [];
  for (let i = 0; i < args.length; i += 1) {
    const arg = args[i];
    if (!arg.startsWith('--')) {
      words.push(arg);
      continue;
    }
    const [name, attached] = arg.slice(2).split(/=(.*)/s);
    const kind = known[name];
    if (kind === undefined) throw new SetupError(`the option --${name} is not known`, { type: usage });
    const value = attached ?? args[++i];
    if (value === undefined) throw new SetupError(`the option --${name} needs a value`, { type: usage });
    if (kind === 'number' && !/^\d+$/.test(value)) {
      throw new SetupError(`the option --${name} needs a whole number, not "${value}"`, { type: usage });
    }
    options[name] = kind === 'number' ? Number(value) : value;
  }
  return { words, options };
}
