// Maven, the ordinary client of the repository where Kafka and the schema registry are published.
import { aptLine, ensureDebianPackages, hasApt, isRoot } from '../support/debian.mjs';
import { findCommand, runLogged } from '../support/processes.mjs';
import { duration, SetupError, say } from '../support/say.mjs';
import { ensureJava } from './java.mjs';

export async function ensureMaven(use) {
  await ensureJava(17, use);
  if (findCommand('mvn')) return;
  if (hasApt() && isRoot()) {
    await ensureDebianPackages(['maven'], `${use} is fetched with Maven`);
    return;
  }
  throw new SetupError(`${use} is fetched with Maven, which is missing`, {
    type: hasApt() ? aptLine(['maven']) : 'brew install maven',
  });
}

/** Runs Maven without questions; a checksum that does not fit is an error. */
export async function runMaven(args, what, wayOut) {
  const result = await runLogged('mvn', ['-B', '-q', '--strict-checksums', ...args], {
    timeoutMs: 20 * 60_000,
    tickMs: 20_000,
    onTick: (ms) => say(`still fetching ${what} (${duration(ms)})`),
  });
  if (!result.ok)
    throw new SetupError(`Maven could not fetch ${what}`, { type: wayOut, details: result.tail });
  say(`${what} fetched in ${duration(result.tookMs)}`);
}
