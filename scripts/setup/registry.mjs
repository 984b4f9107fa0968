// A real schema registry's files: Apicurio Registry, which speaks the Confluent REST API. Pinned by checksum.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolderOnce, sha256OfFile } from '../support/files.mjs';
import { withLock } from '../support/lock.mjs';
import { capture } from '../support/processes.mjs';
import { cacheFolder } from '../support/project.mjs';
import { SetupError, say } from '../support/say.mjs';
import { ensureJava } from './java.mjs';
import { ensureMaven, runMaven } from './maven.mjs';

export const registryVersion = '3.3.3';
const archiveSha256 = '8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63';
const wayOut = 'node scripts/setup.mjs registry';

/** What starts a registry: a java and the folder of the application. */
export async function ensureRegistry() {
  const folder = join(cacheFolder(), `apicurio-registry-${registryVersion}`);
  if (!existsSync(folder)) {
    await withLock(`${folder}.lock`, 'fetching the schema registry', async () => {
      if (existsSync(folder)) return;
      await ensureMaven('the schema registry');
      say(`fetching the schema registry, Apicurio ${registryVersion} (160 MB, once)`);
      await makeFolderOnce(folder, fetchInto);
    });
  }
  return { java: await ensureJava(21, 'the schema registry'), folder };
}

async function fetchInto(folder) {
  const artifact = `io.apicurio:apicurio-registry-app:${registryVersion}:tar.gz:all`;
  const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';
  await runMaven(
    [goal, `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`],
    'the schema registry',
    wayOut,
  );
  const archive = readdirSync(folder).find((name) => name.endsWith('.tar.gz'));
  if (!archive) throw new SetupError('Maven ended well but brought no schema registry', { type: wayOut });
  const path = join(folder, archive);
  const sum = await sha256OfFile(path);
  if (sum !== archiveSha256) {
    throw new SetupError(
      `the schema registry's archive has the checksum ${sum}, expected is ${archiveSha256}`,
      {
        type: `rm -r ~/.m2/repository/io/apicurio && ${wayOut}`,
      },
    );
  }
  const unpacked = capture('tar', ['-xzf', path, '-C', folder], { timeout: 5 * 60_000 });
  if (!unpacked.ok || !existsSync(join(folder, 'quarkus-run.jar'))) {
    throw new SetupError('the schema registry could not be unpacked', {
      type: wayOut,
      details: unpacked.output,
    });
  }
  rmSync(path);
}
