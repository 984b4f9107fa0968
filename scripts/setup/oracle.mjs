// Kafka Streams itself, which the results of this runtime are compared with, and Java's Avro: their jars, fetched once
// with Maven, and the small Java programs of test/oracle/java, compiled where they have changed.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolderOnce } from '../support/files.mjs';
import { withLock } from '../support/lock.mjs';
import { capture } from '../support/processes.mjs';
import { cacheFolder, projectRoot, workFolder } from '../support/project.mjs';
import { SetupError, say } from '../support/say.mjs';
import { ensureJavaCompiler } from './java.mjs';
import { kafkaVersion } from './kafka.mjs';
import { ensureMaven, runMaven } from './maven.mjs';

const wayOut = 'node scripts/setup.mjs oracle';
const use = 'the comparison with Kafka Streams';
const pom = fileURLToPath(new URL('./kafka-streams/pom.xml', import.meta.url));
const sourceFolder = join(projectRoot, 'test', 'oracle', 'java');

/** What starts the program: a java and the class path. */
export async function ensureOracle() {
  const jars = join(await ensureJars(), '*');
  const { java, javac } = await ensureJavaCompiler(17, use);
  const classes = await ensureCompiled(javac, jars);
  return { java, classPath: [classes, jars].join(delimiter) };
}

/** The variables by which test/oracle/kafka-streams.ts finds the program. */
export async function oracleEnvironment() {
  const { java, classPath } = await ensureOracle();
  return { MILLRACE_TEST_ORACLE_JAVA: java, MILLRACE_TEST_ORACLE_CLASSPATH: classPath };
}

async function ensureJars() {
  // Another list of jars is another folder, or an earlier version's would do for ever.
  const list = createHash('sha256').update(readFileSync(pom)).digest('hex').slice(0, 8);
  const folder = join(cacheFolder(), `kafka-streams-${kafkaVersion}-${list}`);
  if (existsSync(folder)) return folder;
  await withLock(`${folder}.lock`, 'fetching Kafka Streams', async () => {
    if (existsSync(folder)) return;
    await ensureMaven(use);
    say(`fetching Kafka Streams ${kafkaVersion} (93 MB, once)`);
    await makeFolderOnce(folder, async (temporary) => {
      const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
      const args = ['-f', pom, goal, `-DoutputDirectory=${temporary}`];
      await runMaven(args, `Kafka Streams ${kafkaVersion}`, wayOut);
      if (!readdirSync(temporary).includes(`kafka-streams-test-utils-${kafkaVersion}.jar`)) {
        throw new SetupError('Maven ended well but brought no Kafka Streams', { type: wayOut });
      }
    });
  });
  return folder;
}

async function ensureCompiled(javac, jars) {
  const sources = readdirSync(sourceFolder)
    .filter((name) => name.endsWith('.java'))
    .sort()
    .map((name) => join(sourceFolder, name));
  const hash = createHash('sha256').update(kafkaVersion).update(readFileSync(pom));
  for (const path of sources) hash.update(readFileSync(path));
  const folder = join(workFolder, 'oracle', hash.digest('hex').slice(0, 16));
  await makeFolderOnce(folder, (temporary) => {
    const args = ['--release', '17', '-Xlint:all', '-Werror', '-d', temporary, '-cp', jars, ...sources];
    const result = capture(javac, args, { timeout: 5 * 60_000 });
    if (result.ok) return;
    throw new SetupError('the Java programs of test/oracle do not compile', {
      type: wayOut,
      details: result.output,
    });
  });
  return folder;
}
