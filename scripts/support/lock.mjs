// One process at a time: two set-ups at once (two clones, two terminals) must not write the same files.
// The lock is a hard link to a file that names its owner: it appears in one step, complete. A lock whose owner
// has ended is taken over.
import { linkSync, mkdirSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { performance } from 'node:perf_hooks';
import { isRunning, processIdentity } from './processes.mjs';
import { SetupError, say } from './say.mjs';

let counter = 0;

/** Runs the work while holding the lock. `what` is what the waiting person is told. */
export async function withLock(path, what, work, { timeoutMs = 60 * 60_000 } = {}) {
  mkdirSync(dirname(path), { recursive: true });
  const mine = processIdentity(process.pid) ?? `${process.pid}:0`;
  const deadline = performance.now() + timeoutMs;
  let told = false;
  while (!tryTake(path, mine)) {
    const owner = ownerOf(path);
    if (owner === undefined) continue;
    if (!isRunning(owner)) {
      removeStale(path, owner);
      continue;
    }
    if (!told) say(`waiting: process ${owner.split(':')[0]} is busy with ${what}`);
    told = true;
    if (performance.now() > deadline) {
      throw new SetupError(`process ${owner.split(':')[0]} has been busy with ${what} for too long`, {
        type: `kill ${owner.split(':')[0]}`,
      });
    }
    await new Promise((resume) => setTimeout(resume, 100));
  }
  const release = () => {
    if (ownerOf(path) === mine) rmSync(path, { force: true });
  };
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

function tryTake(path, mine) {
  counter += 1;
  const note = `${path}.${process.pid}.${counter}`;
  writeFileSync(note, mine);
  try {
    linkSync(note, path);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(note, { force: true });
  }
}

function ownerOf(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/**
 * Removes a dead owner's lock. Two processes may have seen the same dead owner: the second must not remove the
 * lock that the first has taken since. So the look and the removal happen under a folder that only one can make.
 */
function removeStale(path, deadOwner) {
  const guard = `${path}.removal`;
  try {
    mkdirSync(guard);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    // Its maker needs microseconds; one that is old was left by a process that was killed just there.
    try {
      if (Date.now() - statSync(guard).mtimeMs > 10_000) rmdirSync(guard);
    } catch {
      // somebody else removed it
    }
    return;
  }
  try {
    if (ownerOf(path) === deadOwner) rmSync(path, { force: true });
  } finally {
    rmdirSync(guard);
  }
}
