/** The broker contract on the embedded broker, in memory and on RocksDB. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'mocha';
import { ManualClock } from '../../src/base/manual-clock.ts';
import { type EmbeddedBroker, openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import { openRocksDbBackend } from '../../src/store/rocksdb-backend.ts';
import { type BrokerAdapter, brokerContract } from './broker-contract.ts';

const folder = mkdtempSync(join(tmpdir(), 'millrace-embedded-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let names = 0;

function adapter(name: string, open: (clock: ManualClock) => Promise<EmbeddedBroker>): BrokerAdapter {
  const clock = new ManualClock(1_700_000_000_000);
  let broker: EmbeddedBroker | undefined;
  return {
    name,
    open: async () => {
      broker = await open(clock);
      return broker;
    },
    uniqueName: (prefix) => `${prefix}-${names++}`,
    supports: {
      passTime: async (byMs) => clock.advance(byMs),
      maintain: () => (broker as EmbeddedBroker).maintain(),
      topicIds: true,
      fencesAfterTimeout: true,
      removesSilentMembers: true,
      instanceTakeOver: true,
      sessionTimeoutMs: 10_000,
      deadlineMs: 5000,
    },
  };
}

brokerContract(adapter('embedded, in memory', (clock) => openEmbeddedBroker({ backend: undefined, clock })));

brokerContract(
  adapter('embedded, on RocksDB', async (clock) =>
    openEmbeddedBroker({ backend: await openRocksDbBackend(join(folder, 'broker')), clock }),
  ),
);

brokerContract(
  adapter('embedded, on RocksDB, with almost nothing kept in memory', async (clock) =>
    openEmbeddedBroker({
      backend: await openRocksDbBackend(join(folder, 'uncached')),
      clock,
      cacheBytesMax: 1,
      chunkBytesMax: 256,
    }),
  ),
);
