/**
 * The ledger in a simulated cluster: everything about a run (partitions, settings, load, faults) is drawn from
 * its seed. Run by the tests of this folder and, for many seeds, by `npm run simulate`.
 */
import { partitionForKey } from '../../src/base/murmur2.ts';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { jsonSerde } from '../../src/serde/serde.ts';
import {
  type ClusterView,
  type CommittedRecord,
  type SimulationInput,
  type SimulationReport,
  simulate,
} from '../../src/testing/index.ts';
import { type Committed, checkLedger, type Ledger, violationsText } from '../support/ledger-checkers.ts';
import {
  type AccountState,
  accountsStore,
  LedgerEntries,
  ledgerNames,
  ledgerTopology,
  type Move,
  movesTopic,
  type OutgoingEntry,
  type Total,
  totalsStore,
} from '../support/ledger-topology.ts';
import { drawSettings, drawStandbys, faultsOf, type WorkloadOptions } from './workload.ts';

const applicationId = 'ledger';
const names = ledgerNames('ledger');
const json = jsonSerde<unknown>();

export interface LedgerSimulationOptions extends WorkloadOptions {
  readonly entries?: number;
}

function decoded<V>(records: readonly CommittedRecord[]): Committed<V>[] {
  return records.map(({ topic, partition, offset, key, value }) => ({
    topic,
    partition,
    offset,
    key: key?.toString('utf8') ?? '',
    value: json.deserialize(value, topic) as V,
  }));
}

async function check(view: ClusterView): Promise<string[]> {
  const read = async <V>(topic: string): Promise<Committed<V>[]> => decoded<V>(await view.records(topic));
  const store = async <V>(name: string): Promise<Map<string, V>> =>
    new Map(
      (await view.entries(applicationId, name)).map(({ key, value }) => [
        key.toString('utf8'),
        json.deserialize(value, name) as V,
      ]),
    );
  const ledger: Ledger = {
    entries: await read(names.entries),
    balances: await read(names.balances),
    transfers: await read(names.transfers),
    reminders: await read(names.reminders),
  };
  const violations = checkLedger(ledger, {
    moves: await read<Move>(`${applicationId}-${movesTopic}`),
    state: {
      accounts: { store: await store<AccountState>(accountsStore) },
      totals: { store: await store<Total>(totalsStore) },
    },
  });
  return violations.length === 0 ? [] : [violationsText(violations)];
}

/** One seed: three or four instances, at least 2,000 entries, about a dozen faults. */
export function simulateLedger(
  seed: number,
  options: LedgerSimulationOptions = {},
): Promise<SimulationReport> {
  // Apart from the simulation's own numbers, so that a change here does not change what happens there.
  const random = seededRandom(seed ^ 0x5eed);
  const partitions = 2 + random.integer(3);
  const entries = new LedgerEntries(random, 20 + random.integer(60));
  const input = ({ key, value, timestamp }: OutgoingEntry, atMs: number, to?: number): SimulationInput => {
    const keyBytes = Buffer.from(key);
    return {
      atMs,
      topic: names.entries,
      partition: to ?? partitionForKey(keyBytes, partitions),
      key: keyBytes,
      value: json.serialize(value, names.entries),
      timestamp,
    };
  };
  const count = options.entries ?? 2_000;
  const overMs = 1_500 + random.integer(1_500);
  const inputs = entries
    .take(count)
    .map((entry, index) => input(entry, Math.floor((index * overMs) / count)));
  return simulate({
    seed,
    applications: [
      {
        applicationId,
        topology: () => ledgerTopology(names),
        instances: 3 + (random.next() < 0.2 ? 1 : 0),
        settings: { ...drawSettings(random, [20, 50, 100, 200]), ...drawStandbys(random) },
      },
    ],
    topics: Object.values(names).map((name) => ({ name, partitions })),
    inputs,
    closing: Array.from({ length: partitions }, (_, partition) =>
      input(entries.closing(partition), 0, partition),
    ),
    faults: faultsOf(options),
    check,
    keepLog: options.keepLog ?? false,
  });
}
