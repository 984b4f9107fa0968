/**
 * F13: the files of a store are damaged: flipped bits, torn and missing files, a folder that belongs to another
 * task, a position ahead of the changelog. It is found and rebuilt, or it does not matter; it is never served.
 *
 * Method: the ledger on real RocksDB. Each trial copies the folders of an idle, running instance (what a crash
 * leaves), damages the copy at a place that a seed chooses, starts on it, and goes on. Store, changelog and fold must
 * then be equal. Damage that nobody has read yet must show as an error when it is read, never as a value.
 */
import assert from 'node:assert/strict';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import type { StreamsApp } from '../../src/app/streams-app.ts';
import type { Clock, Random } from '../../src/base/clock-port.ts';
import { StreamsError } from '../../src/base/errors.ts';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { openRocksDbBackend } from '../../src/store/rocksdb-backend.ts';
import { crashCopy } from '../support/crash-copy.ts';
import { LedgerBench, type OpenStore } from '../support/ledger-bench.ts';
import { LogRecorder } from '../support/log-recorder.ts';

const accounts = 300;

/** More of them to hunt: MILLRACE_FAULT_TRIALS. */
const trialsPerKind = Number(process.env.MILLRACE_FAULT_TRIALS ?? 1);
const firstSeed = Number(process.env.MILLRACE_FAULT_SEED ?? 1);

/** Its seconds are short: the changelog position is moved on with nearly every commit, and is in every log. */
const hastyClock: Clock = { ...wallClock, monotonicMs: () => wallClock.monotonicMs() * 50 };

/** What was done; undefined when the folder has no such file. */
type Damage = (folder: string, random: Random) => string | undefined;

function filesOf(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder)
    .filter((name) => pattern.test(name) && statSync(join(folder, name)).size > 0)
    .sort()
    .map((name) => join(folder, name));
}

function pick(files: readonly string[], random: Random): string | undefined {
  return files.length === 0 ? undefined : files[random.integer(files.length)];
}

function flip(pattern: RegExp, flips: number): Damage {
  return (folder, random) => {
    const file = pick(filesOf(folder, pattern), random);
    if (file === undefined) return undefined;
    const bytes = readFileSync(file);
    const places: number[] = [];
    for (let count = 0; count < flips; count++) {
      const at = random.integer(bytes.length);
      bytes[at] = (bytes[at] as number) ^ (1 << random.integer(8));
      places.push(at);
    }
    writeFileSync(file, bytes);
    return `${file} (${bytes.length} bytes): bits flipped at ${places.join(', ')}`;
  };
}

function zero(pattern: RegExp): Damage {
  return (folder, random) => {
    const file = pick(filesOf(folder, pattern), random);
    if (file === undefined) return undefined;
    const bytes = readFileSync(file);
    const at = random.integer(bytes.length);
    bytes.fill(0, at, at + 512);
    writeFileSync(file, bytes);
    return `${file}: 512 zeros at ${at} of ${bytes.length}`;
  };
}

function tear(pattern: RegExp): Damage {
  return (folder, random) => {
    const file = pick(filesOf(folder, pattern), random);
    if (file === undefined) return undefined;
    const bytes = random.integer(statSync(file).size);
    truncateSync(file, bytes);
    return `${file}: torn at ${bytes}`;
  };
}

function remove(pattern: RegExp): Damage {
  return (folder, random) => {
    const file = pick(filesOf(folder, pattern), random);
    if (file === undefined) return undefined;
    rmSync(file);
    return `${file}: removed`;
  };
}

/** `isLog`: the log is grown over several of its blocks first, so that something comes after the damage. */
interface DamageKind {
  readonly name: string;
  readonly isLog: boolean;
  readonly damage: Damage;
}

const kinds: DamageKind[] = [
  { name: 'a bit of a table is flipped', isLog: false, damage: flip(/\.sst$/, 1) },
  { name: 'bits of a table are flipped', isLog: false, damage: flip(/\.sst$/, 8) },
  { name: 'a table has a hole of zeros', isLog: false, damage: zero(/\.sst$/) },
  { name: 'a table is torn', isLog: false, damage: tear(/\.sst$/) },
  { name: 'a table is gone', isLog: false, damage: remove(/\.sst$/) },
  { name: 'a bit of the log is flipped', isLog: true, damage: flip(/\.log$/, 1) },
  { name: 'bits of the log are flipped', isLog: true, damage: flip(/\.log$/, 8) },
  { name: 'the log has a hole of zeros', isLog: true, damage: zero(/\.log$/) },
  { name: 'the log is torn', isLog: true, damage: tear(/\.log$/) },
  { name: 'the log is gone', isLog: true, damage: remove(/\.log$/) },
  { name: 'a bit of the manifest is flipped', isLog: false, damage: flip(/^MANIFEST/, 1) },
  { name: 'the manifest is torn', isLog: true, damage: tear(/^MANIFEST/) },
  { name: 'the manifest is gone', isLog: false, damage: remove(/^MANIFEST/) },
  { name: 'CURRENT is gone', isLog: false, damage: remove(/^CURRENT$/) },
  { name: 'CURRENT is garbage', isLog: false, damage: flip(/^CURRENT$/, 3) },
  { name: 'CURRENT is empty', isLog: false, damage: (folder) => empty(join(folder, 'CURRENT')) },
];

function empty(file: string): string {
  truncateSync(file, 0);
  return `${file} is empty`;
}

describe('F13: a store whose files are damaged', function () {
  this.timeout(120_000 + trialsPerKind * 60_000);
  let bench: LedgerBench;
  let root: string;
  let stateDir: string;
  let log = new LogRecorder();
  let generation = 0;
  let running: StreamsApp | undefined;
  let writeBufferBytes = 64 * 1024;
  const found = { rebuilt: 0, outlived: 0, shown: 0 };

  /** With small buffers there are tables, and with a small cache they are read. */
  const open: OpenStore = (taskId) =>
    openRocksDbBackend(join(stateDir, taskId), { writeBufferBytes, cacheBytes: 4 * 1024 });

  before(async () => {
    root = mkdtempSync(join(tmpdir(), 'millrace-f13-'));
    stateDir = join(root, '0');
    bench = await LedgerBench.open({ seed: 5, accounts, partitions: 1 });
    const app = await start();
    await work(20);
    await crash(app);
  });
  afterEach(() => running?.stop());
  after(async () => {
    await bench.close();
    rmSync(root, { recursive: true, force: true });
  });

  async function start(): Promise<StreamsApp> {
    log = new LogRecorder();
    running = await bench.start({
      open,
      destroy: (taskId) => rmSync(join(stateDir, taskId), { recursive: true, force: true }),
      telemetry: log.telemetry,
      settings: { cacheEntriesMax: 1 },
      clock: hastyClock,
    });
    return running;
  }

  async function settle(about = ''): Promise<void> {
    await bench.settle().catch((error: unknown) => {
      throw new Error(`${about}${String(error)}\n${log.text()}`);
    });
  }

  /** So many commits at least, each with many changes. */
  async function work(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      await bench.produce(200);
      await settle();
    }
  }

  /** What a crash would leave of the running instance, as the folders of the next one. */
  async function crash(app: StreamsApp): Promise<void> {
    await settle();
    const next = join(root, String(++generation));
    await crashCopy(stateDir, next);
    await app.stop();
    rmSync(stateDir, { recursive: true, force: true });
    stateDir = next;
  }

  /** What queries answer is the fold, or an error of the store. */
  async function readAll(app: StreamsApp, about: string): Promise<'values' | 'error'> {
    try {
      await bench.assertQueries(app, about);
      return 'values';
    } catch (error) {
      const isShown = error instanceof StreamsError && error.kind === 'corrupted';
      if (isShown) return 'error';
      throw error;
    }
  }

  function damageOne(damage: Damage, random: Random): string {
    const folders = readdirSync(stateDir);
    const first = random.integer(folders.length);
    for (let at = 0; at < folders.length; at++) {
      const done = damage(join(stateDir, folders[(first + at) % folders.length] as string), random);
      if (done !== undefined) return done;
    }
    throw new Error('no folder has such a file');
  }

  async function trial({ isLog, damage }: DamageKind, seed: number): Promise<void> {
    writeBufferBytes = isLog ? 1024 * 1024 : 64 * 1024;
    let app = await start();
    await work(isLog ? 6 : 1);
    await crash(app);
    const about = `seed ${seed}: ${damageOne(damage, seededRandom(seed))}\n`;
    app = await start();
    await bench.produce(40);
    await settle(about);
    const served = await readAll(app, about);
    if (served === 'error') {
      // Only the query has read that block yet: the instance finds it when it works on those keys.
      found.shown++;
      await bench.produce(3_000);
      await settle(about);
      assert.equal(await readAll(app, about), 'values', about);
    }
    if (log.rebuilds.length > 0) found.rebuilt++;
    else found.outlived++;
    await crash(app);
  }

  for (const [index, kind] of kinds.entries()) {
    it(`finds or outlives it: ${kind.name}`, async () => {
      for (let count = 0; count < trialsPerKind; count++)
        await trial(kind, firstSeed + 1_000 * count + index);
    });
  }

  it('was damaged in ways that matter, and is the fold of its input after all of it', async () => {
    const app = await start();
    await bench.finish();
    await bench.assertQueries(app);
    await app.stop();
    await bench.assertSound(open);
    const text = JSON.stringify(found);
    if (process.env.MILLRACE_FAULT_TRIALS !== undefined) process.stderr.write(`${text}\n`);
    assert.ok(found.rebuilt > 0 && found.outlived > 0, text);
  });
});
