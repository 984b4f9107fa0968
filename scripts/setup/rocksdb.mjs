// The native rocksdb addon. Its prebuilt binary loads on Node 20 and aborts inside require() on Node 22 and 24,
// so it is tried in a child process; where it does not load, it is compiled once and kept for every later clone.
// There is no way round it: a store that silently lived in memory would lose orders.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { copyFileWhole, makeFolderOnce } from '../support/files.mjs';
import { withLock } from '../support/lock.mjs';
import { ensureToolchain, gypEnvironment, loadsInChild, nodeGyp } from '../support/native.mjs';
import { runLogged } from '../support/processes.mjs';
import { cacheFolder, packageFolder, pinnedVersion, platformName } from '../support/project.mjs';
import { duration, SetupError, say } from '../support/say.mjs';

const wayOut = 'node scripts/setup.mjs rocksdb';
/** Measured: the whole compile on one core. */
const processorMinutes = 20;

const folder = packageFolder('rocksdb');
const release = join(folder, 'build', 'Release');

export async function ensureRocksdb() {
  if (loadsInChild(folder).ok) return;
  // N-API: one binary serves every Node version, so the Node version is not part of the key.
  const cache = join(cacheFolder(), `rocksdb-${pinnedVersion('rocksdb')}-${platformName()}`);
  await withLock(`${cache}.lock`, 'compiling rocksdb', async () => {
    if (takeFromCache(cache)) return;
    // What is in the cache does not load here (for example a home folder shared with a newer system).
    rmSync(cache, { recursive: true, force: true });
    const binary = await compile(`${cache}.work`);
    await makeFolderOnce(cache, (temporary) => cpSync(binary, join(temporary, 'leveldown.node')));
    rmSync(`${cache}.work`, { recursive: true, force: true });
    if (!takeFromCache(cache)) {
      throw new SetupError('rocksdb was compiled but does not load', {
        type: wayOut,
        details: loadsInChild(folder).output,
      });
    }
    say(`rocksdb is ready; the compiled file is kept in ${cache}`);
  });
}

function takeFromCache(cache) {
  if (!existsSync(cache)) return false;
  mkdirSync(release, { recursive: true });
  // The package's loader prefers build/Release over the prebuilt.
  for (const name of readdirSync(cache)) copyFileWhole(join(cache, name), join(release, name));
  if (worksInChild()) return true;
  rmSync(release, { recursive: true, force: true });
  return false;
}

/** Not only loads: opens a store, writes and reads. Done after a compile and a copy, not at every start. */
function worksInChild() {
  const script = `
    const { mkdtempSync, rmSync } = require('node:fs');
    const path = mkdtempSync(require('node:path').join(require('node:os').tmpdir(), 'millrace-rocksdb-'));
    const store = loaded(path);
    const fail = (error) => { console.error(error); process.exit(1); };
    store.open((error) => error ? fail(error) : store.put('key', 'value', (error) => error ? fail(error) :
      store.get('key', (error, value) => error || String(value) !== 'value' ? fail(error ?? 'wrong value') :
        store.close(() => rmSync(path, { recursive: true })))));`;
  return loadsInChild(folder, script).ok;
}

async function compile(work) {
  const jobs = availableParallelism();
  const minutes = Math.max(2, Math.ceil(processorMinutes / jobs));
  say(`the ready-made rocksdb does not load on Node ${process.versions.node}, so it is compiled now, once:`);
  say(
    `this takes about ${minutes} minutes on this machine's ${jobs} cores; later starts and clones reuse it`,
  );
  await ensureToolchain('rocksdb has to be compiled');
  const source = prepareSource(work);
  const logFile = join(work, 'compile.log');
  const env = gypEnvironment({
    JOBS: String(jobs),
    // GCC 13 and newer no longer bring <cstdint> in by way of other headers, which this RocksDB relies on.
    CXXFLAGS: `${process.env.CXXFLAGS ?? ''} -include cstdint`.trim(),
  });
  const gyp = (step, options) =>
    runLogged(process.execPath, [nodeGyp(), step], { cwd: source, env, logFile, ...options });

  const failed = (result) =>
    new SetupError(`rocksdb could not be compiled; the whole output is in ${logFile}`, {
      type: wayOut,
      details: result.tail,
    });
  const configured = await gyp('configure', { timeoutMs: 10 * 60_000 });
  if (!configured.ok) throw failed(configured);

  const total = countObjects(join(source, 'build'));
  let done = 0;
  let shown = 0;
  const built = await gyp('build', {
    timeoutMs: 120 * 60_000,
    onLine: (line) => {
      if (/^\s*(CXX|CC)\(target\)/.test(line)) done += 1;
      const tenth = Math.floor((done * 20) / Math.max(1, total));
      if (tenth <= shown) return;
      shown = tenth;
      say(`compiling rocksdb: ${tenth * 5} %, ${done} of about ${total} files`);
    },
    tickMs: 60_000,
    onTick: (ms) => say(`compiling rocksdb: ${done} of about ${total} files after ${duration(ms)}`),
  });
  if (!built.ok) throw failed(built);
  say(`rocksdb compiled in ${duration(configured.tookMs + built.tookMs)}`);
  return join(source, 'build', 'Release', 'leveldown.node');
}

/**
 * A copy outside node_modules: an `npm ci` in between would take the half-done work away. It stays after a
 * failure or a Ctrl-C, and make goes on where it was; another Node's headers start it afresh.
 */
function prepareSource(work) {
  const source = join(work, 'node_modules', 'rocksdb');
  const note = join(work, 'prepared-for');
  if (existsSync(note) && readFileSync(note, 'utf8') === process.version) return source;
  rmSync(work, { recursive: true, force: true });
  cpSync(folder, source, { recursive: true, filter: (path) => path !== join(folder, 'build') });
  // The one package whose headers the compile asks for by require().
  cpSync(packageFolder('napi-macros'), join(work, 'node_modules', 'napi-macros'), { recursive: true });
  writeFileSync(note, process.version);
  return source;
}

/** How many files there are to compile, from the makefiles that node-gyp wrote. */
function countObjects(build) {
  let count = 0;
  for (const entry of readdirSync(build, { recursive: true })) {
    if (!entry.endsWith('.target.mk')) continue;
    count += (readFileSync(join(build, entry), 'utf8').match(/\.o( \\)?$/gm) ?? []).length;
  }
  return count;
}
