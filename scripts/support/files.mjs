// Putting files where they belong in one step, so that a killed set-up never leaves half of something behind.
import { createHash, randomBytes } from 'node:crypto';
import { cpSync, createReadStream, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** A folder name beside the target: renaming is one step only within one file system. */
export function temporaryBeside(target) {
  mkdirSync(dirname(target), { recursive: true });
  return join(dirname(target), `.${basename(target)}.${process.pid}.${randomBytes(4).toString('hex')}`);
}

/** Fills a folder under a temporary name, then renames it. Nothing happens where the target is there already. */
export async function makeFolderOnce(target, fill) {
  if (existsSync(target)) return;
  const temporary = temporaryBeside(target);
  mkdirSync(temporary);
  try {
    await fill(temporary);
    try {
      renameSync(temporary, target);
    } catch (error) {
      // Another process was quicker; what it put there is as good as ours.
      if (!existsSync(target)) throw error;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Copies one file so that a reader sees the old one or the new one, never a part. */
export function copyFileWhole(from, to) {
  const temporary = temporaryBeside(to);
  cpSync(from, temporary, { dereference: true });
  renameSync(temporary, to);
}

export async function sha256OfFile(path) {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}
