// Does one part of the set-up, or all of it, without starting anything.
//
//   node scripts/setup.mjs [packages | rocksdb | kafka-client | kafka | registry | chromium | oracle | build | all] …
import { performance } from 'node:perf_hooks';
import { ensureBuilt } from './setup/build.mjs';
import { ensureChromium } from './setup/chromium.mjs';
import { ensureKafka } from './setup/kafka.mjs';
import { ensureKafkaClient } from './setup/kafka-client.mjs';
import { ensureOracle } from './setup/oracle.mjs';
import { ensurePackages } from './setup/packages.mjs';
import { ensureRegistry } from './setup/registry.mjs';
import { ensureRocksdb } from './setup/rocksdb.mjs';
import { duration, runMain, SetupError, say } from './support/say.mjs';

// In the order in which they need each other.
const parts = {
  packages: ensurePackages,
  rocksdb: ensureRocksdb,
  'kafka-client': ensureKafkaClient,
  kafka: ensureKafka,
  registry: ensureRegistry,
  chromium: ensureChromium,
  oracle: ensureOracle,
  build: ensureBuilt,
};

await runMain(async () => {
  const asked = process.argv.slice(2);
  const unknown = asked.find((name) => name !== 'all' && parts[name] === undefined);
  if (unknown) {
    throw new SetupError(`there is no part "${unknown}"`, {
      type: `node scripts/setup.mjs ${Object.keys(parts).join('|')}|all`,
    });
  }
  const names = asked.length === 0 || asked.includes('all') ? Object.keys(parts) : asked;
  // The native packages are looked for in node_modules.
  if (!names.includes('packages')) await ensurePackages();
  for (const name of names) {
    const began = performance.now();
    await parts[name]();
    say(`${name}: ready (${duration(performance.now() - began)})`);
  }
});
