// The Kafka client's native addon (librdkafka): kept from an earlier clone, or the ready-made one, or compiled.
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { aptLine, ensureDebianPackages, hasApt, isRoot, missingPackages } from '../support/debian.mjs';
import { copyFileWhole, makeFolderOnce } from '../support/files.mjs';
import { withLock } from '../support/lock.mjs';
import { ensureToolchain, gypEnvironment, loadsInChild, npmCli } from '../support/native.mjs';
import { runLogged } from '../support/processes.mjs';
import { cacheFolder, packageFolder, pinnedVersion, platformName, projectRoot } from '../support/project.mjs';
import { duration, SetupError, say } from '../support/say.mjs';

const name = '@confluentinc/kafka-javascript';
const wayOut = 'node scripts/setup.mjs kafka-client';
const folder = packageFolder(name);
const addon = 'confluent-kafka-javascript.node';
/** The libraries that a dynamically linked librdkafka needs to compile; Debian's names. */
const developmentPackages = [
  'libcurl4-openssl-dev',
  'libssl-dev',
  'libsasl2-dev',
  'libzstd-dev',
  'zlib1g-dev',
  'liblz4-dev',
];

export async function ensureKafkaClient() {
  // Not N-API: the addon fits one Node ABI only.
  const key = `kafka-client-${pinnedVersion(name)}-abi${process.versions.modules}-${platformName()}`;
  const cache = join(cacheFolder(), key);
  if (loads()) {
    if (!existsSync(cache))
      await withLock(`${cache}.lock`, 'keeping the Kafka client', () => putIntoCache(cache));
    return;
  }
  await withLock(`${cache}.lock`, 'preparing the Kafka client', async () => {
    if (loads() || takeFromCache(cache)) return;
    if ((await takePrebuilt()) && loads()) {
      await putIntoCache(cache);
      return;
    }
    await ensureDevelopmentPackages();
    // A kept addon may only have missed the libraries that have just come.
    if (takeFromCache(cache)) return;
    await compile(join(cacheFolder(), `${key}.log`));
    rmSync(cache, { recursive: true, force: true });
    await putIntoCache(cache);
  });
}

/** Has the set-up been done? For a check that must not begin a compile. */
export function loads() {
  return existsSync(join(folder, 'build', 'Release', addon)) && loadsInChild(folder).ok;
}

/** The addon and, where it was linked dynamically, the librdkafka that it looks for in ../deps. */
function parts(build) {
  const release = join(build, 'Release');
  const deps = join(build, 'deps');
  const files = [['Release', addon]];
  if (existsSync(deps)) {
    for (const file of readdirSync(deps)) {
      if (/^librdkafka(\+\+)?\.(so\.\d+|\d+\.dylib)$/.test(file)) files.push(['deps', file]);
    }
  }
  if (existsSync(release)) {
    // The ready-made package may bring its libraries beside the addon.
    for (const file of readdirSync(release)) {
      if (/\.(so(\.\d+)*|dylib|dll)$/.test(file) && statSync(join(release, file)).isFile())
        files.push(['Release', file]);
    }
  }
  return files;
}

async function putIntoCache(cache) {
  await makeFolderOnce(cache, (temporary) => {
    for (const [place, file] of parts(join(folder, 'build'))) {
      mkdirSync(join(temporary, place), { recursive: true });
      cpSync(join(folder, 'build', place, file), join(temporary, place, file), { dereference: true });
    }
  });
}

function takeFromCache(cache) {
  if (!existsSync(cache)) return false;
  for (const place of readdirSync(cache)) {
    mkdirSync(join(folder, 'build', place), { recursive: true });
    for (const file of readdirSync(join(cache, place))) {
      copyFileWhole(join(cache, place, file), join(folder, 'build', place, file));
    }
  }
  if (loads()) return true;
  rmSync(join(folder, 'build'), { recursive: true, force: true });
  return false;
}

/** The package's own download. Where the network swallows requests it would wait for ever, so it has a limit. */
async function takePrebuilt() {
  say('fetching the ready-made Kafka client');
  const tool = join(packageFolder('@mapbox/node-pre-gyp'), 'bin', 'node-pre-gyp');
  const result = await runLogged(process.execPath, [tool, 'install'], { cwd: folder, timeoutMs: 120_000 });
  if (!result.ok)
    say('the ready-made Kafka client cannot be had here, so it is compiled (1 to 6 minutes, once)');
  return result.ok;
}

async function ensureDevelopmentPackages() {
  const why = 'the Kafka client has to be compiled';
  await ensureToolchain(why);
  if (hasApt()) {
    if (!isRoot() && missingPackages(developmentPackages).length > 0) {
      throw new SetupError(`${why}, and its libraries are missing`, { type: aptLine(developmentPackages) });
    }
    await ensureDebianPackages(developmentPackages, why);
  }
  // Elsewhere the names differ; the compile is tried, and its message names what to install.
}

async function compile(logFile) {
  // A static librdkafka would download the sources of five libraries. Its makefiles race when run in parallel.
  const env = gypEnvironment({ CKJS_LINKING: 'dynamic', JOBS: '1' });
  rmSync(join(folder, 'build'), { recursive: true, force: true });
  const args = ['rebuild', name, '--foreground-scripts', '--ignore-scripts=false'];
  let compiled = 0;
  const result = await runLogged(process.execPath, [npmCli(), ...args], {
    cwd: projectRoot,
    env,
    logFile,
    timeoutMs: 40 * 60_000,
    onLine: (line) => {
      if (/^\s*(CXX|CC)\(target\)|^(gcc|g\+\+|cc|c\+\+) /.test(line)) compiled += 1;
    },
    tickMs: 30_000,
    onTick: (ms) => say(`compiling the Kafka client: ${compiled} files after ${duration(ms)}`),
  });
  if (result.ok && loads()) {
    say(`Kafka client compiled in ${duration(result.tookMs)}`);
    return;
  }
  const libraries = hasApt() ? '' : '; it needs the headers of curl, OpenSSL, SASL, zstd, zlib and lz4';
  throw new SetupError(
    `the Kafka client could not be compiled${libraries}; the whole output is in ${logFile}`,
    {
      type: wayOut,
      details: result.ok ? loadsInChild(folder).output : result.tail,
    },
  );
}
