// Starting other programs, and ending them by their id. An id alone is not enough to end a process that was
// noted in a file: ids are used again, so every noted process carries its start time too.
import { spawn, spawnSync } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';

/** The full path of a command, or undefined. */
export function findCommand(name, env = process.env) {
  for (const folder of (env.PATH ?? '').split(delimiter)) {
    if (folder === '') continue;
    const path = join(folder, name);
    if (isExecutable(path)) return path;
  }
  return undefined;
}

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs to the end without a terminal; never throws, also where the command is missing. */
export function capture(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', timeout: 60_000, ...options });
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ? `${result.error.message}\n` : ''}`;
  return {
    ok: result.status === 0,
    code: result.status,
    signal: result.signal,
    stdout: result.stdout ?? '',
    output,
  };
}

/**
 * Runs a long command with its output in a file, and reports the lines that matter while it goes on.
 * Resolves (never rejects) with how it ended and with the last lines of the output.
 */
export function runLogged(
  command,
  args,
  { cwd, env, logFile, timeoutMs, onLine, onTick, tickMs = 15_000 } = {},
) {
  return new Promise((settle) => {
    let log;
    if (logFile) {
      mkdirSync(dirname(logFile), { recursive: true });
      log = openSync(logFile, 'w');
    }
    const began = performance.now();
    const tail = [];
    let rest = '';
    let timedOut = false;
    // A group of its own, so that a deadline ends the compilers below make as well.
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const forget = endWithUs(child);
    const take = (chunk) => {
      if (log !== undefined) writeFileSync(log, chunk);
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        tail.push(line);
        if (tail.length > 25) tail.shift();
        onLine?.(line);
      }
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const ticker = onTick && setInterval(() => onTick(performance.now() - began), tickMs);
    const deadline =
      timeoutMs &&
      setTimeout(() => {
        timedOut = true;
        signalGroup(child.pid, 'SIGKILL');
      }, timeoutMs);
    const finish = (code, signal, error) => {
      clearInterval(ticker);
      clearTimeout(deadline);
      forget();
      if (rest) tail.push(rest);
      if (error) tail.push(error.message);
      if (log !== undefined) closeSync(log);
      settle({
        ok: code === 0,
        code,
        signal,
        timedOut,
        tail: tail.join('\n'),
        tookMs: performance.now() - began,
      });
    };
    child.once('error', (error) => finish(null, null, error));
    child.once('close', (code, signal) => finish(code, signal));
  });
}

/**
 * Ends a child group when this process ends or is told to. A group of its own does not hear the Ctrl-C of the
 * terminal, so without this a cancelled set-up would leave a compiler running.
 */
function endWithUs(child) {
  const end = () => signalGroup(child.pid, 'SIGKILL');
  process.once('exit', end);
  // exit handlers run only when a signal is handled; where nobody else handles it we end as it would have ended us
  const onSignal = (signal) => {
    end();
    if (process.listenerCount(signal) <= 1) process.exit(signal === 'SIGINT' ? 130 : 143);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return () => {
    process.off('exit', end);
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  };
}

/** Sends a signal to a process group that we made (spawn with detached: true). */
export function signalGroup(pid, signal) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // it is gone, which is what was wanted
  }
}

/**
 * What tells this process from a later one with the same id: its start time. Undefined when it is not running
 * (a zombie counts as not running: it has ended and waits only to be collected).
 */
export function processIdentity(pid) {
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The command's name is in brackets and may contain anything; fields are counted from behind it.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : `${pid}:${fields[19]}`;
    } catch {
      return undefined;
    }
  }
  const listed = capture('ps', ['-o', 'stat=,lstart=', '-p', String(pid)]);
  const text = listed.stdout.trim();
  return listed.ok && text !== '' && !text.startsWith('Z')
    ? `${pid}:${text.replace(/^\S+\s+/, '')}`
    : undefined;
}

export function isRunning(identity) {
  return identity !== undefined && processIdentity(Number.parseInt(identity, 10)) === identity;
}

/** Asks a noted process to end and waits; kills it where it does not end in time. */
export async function endProcess(identity, { graceMs = 30_000, kill = false } = {}) {
  if (!isRunning(identity)) return;
  const pid = Number.parseInt(identity, 10);
  const send = (signal) => {
    try {
      process.kill(pid, signal);
    } catch {
      // it ended between the look and the signal
    }
  };
  if (!kill) {
    send('SIGTERM');
    if (await waitFor(() => !isRunning(identity), graceMs)) return;
  }
  send('SIGKILL');
  // A stopped process (SIGSTOP) also dies of SIGKILL; only the kernel can hold it up now.
  await waitFor(() => !isRunning(identity), 10_000);
}

/** Looks at a condition again and again until it holds; false when the time is over. */
export async function waitFor(condition, timeoutMs, everyMs = 50) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (await condition()) return true;
    if (performance.now() >= deadline) return false;
    await new Promise((resume) => setTimeout(resume, everyMs));
  }
}

/**
 * The ledger: with MILLRACE_PID_LEDGER set, every server that a script starts is noted in that folder. A test run
 * that is killed, or a test that forgets its broker, cannot leave a server behind: the run ends what is noted.
 */
export function noteInLedger(identity, env = process.env) {
  const folder = env.MILLRACE_PID_LEDGER;
  if (!folder || identity === undefined) return;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, identity.split(':')[0]), identity);
}

function readNote(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // ended and removed by another look at the same ledger
  }
}

export async function endLedger(folder) {
  let names = [];
  try {
    names = readdirSync(folder);
  } catch {
    return 0;
  }
  let ended = 0;
  for (const name of names) {
    const identity = readNote(join(folder, name));
    if (isRunning(identity)) {
      await endProcess(identity, { kill: true });
      ended += 1;
    }
    rmSync(join(folder, name), { force: true });
  }
  return ended;
}
