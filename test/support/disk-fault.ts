/**
 * Steers disk-fault.c: a process started with `env` gets errors from its disk below one folder, from the moment
 * when `set` is called until it is cleared. Needs a C compiler and Linux, as the set-up of the project does (it
 * compiles RocksDB's binding).
 */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const faults = [
  'none',
  'no space',
  'write error',
  'sync error',
  'read-only',
  'slow',
  'torn write',
  'read error',
] as const;
export type DiskFaultKind = (typeof faults)[number];

const source = resolve('test/support/disk-fault.c');
let library: string | undefined;

function compiled(): string {
  if (library !== undefined) return library;
  library = join(mkdtempSync(join(tmpdir(), 'millrace-shim-')), 'disk-fault.so');
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source, '-ldl']);
  return library;
}

export class DiskFault {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #control: number;

  /** Faults hit what lies below `folder`. */
  constructor(folder: string) {
    this.folder = folder;
    const file = join(mkdtempSync(join(tmpdir(), 'millrace-fault-')), 'control');
    this.#control = openSync(file, 'w+');
    writeSync(this.#control, Buffer.alloc(12), 0, 12, 0);
    this.env = { LD_PRELOAD: compiled(), MILLRACE_FAULT_CONTROL: file, MILLRACE_FAULT_FOLDER: folder };
  }

  set(kind: DiskFaultKind, delayMs = 0): void {
    const words = Buffer.alloc(8);
    words.writeInt32LE(delayMs, 4);
    words.writeInt32LE(faults.indexOf(kind), 0);
    writeSync(this.#control, words, 0, 8, 0);
  }

  clear(): void {
    this.set('none');
  }

  /** Calls that a fault has hit so far. */
  get hits(): number {
    const word = Buffer.alloc(4);
    readSync(this.#control, word, 0, 4, 8);
    return word.readInt32LE(0);
  }

  close(): void {
    closeSync(this.#control);
  }
}
