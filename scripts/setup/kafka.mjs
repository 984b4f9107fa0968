// A real Kafka broker's files: the jars, fetched once with Maven.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolderOnce } from '../support/files.mjs';
import { withLock } from '../support/lock.mjs';
import { cacheFolder } from '../support/project.mjs';
import { SetupError, say } from '../support/say.mjs';
import { ensureJava } from './java.mjs';
import { ensureMaven, runMaven } from './maven.mjs';

export const kafkaVersion = '4.3.1';
const wayOut = 'node scripts/setup.mjs kafka';
const pom = fileURLToPath(new URL('./kafka/pom.xml', import.meta.url));

/** What starts a broker: a java and the class path. */
export async function ensureKafka() {
  const folder = join(cacheFolder(), `kafka-${kafkaVersion}`);
  if (!existsSync(folder)) {
    await withLock(`${folder}.lock`, 'fetching Kafka', async () => {
      if (existsSync(folder)) return;
      await ensureMaven('Kafka');
      say(`fetching Kafka ${kafkaVersion} (54 MB, once)`);
      await makeFolderOnce(folder, async (temporary) => {
        const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
        const args = ['-f', pom, goal, `-DoutputDirectory=${join(temporary, 'lib')}`];
        await runMaven(args, `Kafka ${kafkaVersion}`, wayOut);
        if (!readdirSync(join(temporary, 'lib')).includes(`kafka_2.13-${kafkaVersion}.jar`)) {
          throw new SetupError('Maven ended well but brought no Kafka', { type: wayOut });
        }
      });
    });
  }
  return { java: await ensureJava(17, 'Kafka'), classPath: join(folder, 'lib', '*') };
}
