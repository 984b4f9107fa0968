/**
 * The checkers themselves: a ledger run by the test driver passes all of them, and every kind of damage is
 * found by the one that is there for it.
 */
import assert from 'node:assert/strict';
import { before, describe, it } from 'mocha';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { jsonSerde, stringSerde } from '../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../src/testing/topology-test-driver.ts';
import {
  type Committed,
  checkLedger,
  checkOffsets,
  checkState,
  foldLedger,
  type Ledger,
} from '../support/ledger-checkers.ts';
import { LedgerEntries, type LedgerEntry, ledgerNames, ledgerTopology } from '../support/ledger-topology.ts';

const names = ledgerNames('check');

async function cleanLedger(): Promise<Ledger> {
  const driver = new TopologyTestDriver(ledgerTopology(names), { applicationId: 'check' });
  await driver.open();
  const entries: Committed<LedgerEntry>[] = [];
  const source = new LedgerEntries(seededRandom(1), 5);
  const input = driver.createInputTopic(names.entries, stringSerde, jsonSerde<LedgerEntry>());
  for (const { key, value, timestamp } of [...source.take(300), source.closing(0)]) {
    entries.push({ topic: names.entries, partition: 0, offset: entries.length, key, value });
    await input.pipe(key, value, timestamp);
  }
  const read = <V>(topic: string): Committed<V>[] =>
    driver
      .createOutputTopic(topic, stringSerde, jsonSerde<V>())
      .readAll()
      .map(({ key, value }, offset) => ({
        topic,
        partition: 0,
        offset,
        key: key as string,
        value: value as V,
      }));
  const ledger: Ledger = {
    entries,
    balances: read(names.balances),
    transfers: read(names.transfers),
    reminders: read(names.reminders),
  };
  await driver.close();
  return ledger;
}

describe('the checkers of the ledger', () => {
  let ledger: Ledger;
  before(async () => {
    ledger = await cleanLedger();
  });

  const found = (damaged: Ledger) => [...new Set(checkLedger(damaged).map(({ checker }) => checker))];
  const without = <T>(list: readonly T[], at: number): T[] => list.toSpliced(at, 1);
  const twice = <T>(list: readonly T[], at: number): T[] => list.toSpliced(at, 0, list[at] as T);
  const swapped = <T extends { key: string }>(list: readonly T[]): T[] => {
    const first = list[0] as T;
    const other = list.findIndex(({ key }, index) => index > 0 && key === first.key);
    return list.with(0, list[other] as T).with(other, first);
  };

  it('pass a run without faults', () => {
    assert.equal(ledger.balances.length, 300);
    assert.equal(ledger.transfers.length, 300);
    assert.ok(ledger.reminders.length > 20);
    assert.deepEqual(checkLedger(ledger), []);
  });

  for (const output of ['balances', 'transfers', 'reminders'] as const) {
    it(`find what is lost, doubled or out of order among the ${output}`, () => {
      const list = ledger[output] as Committed<never>[];
      assert.ok(found({ ...ledger, [output]: without(list, 3) }).includes('no loss'));
      assert.ok(found({ ...ledger, [output]: without(list, list.length - 1) }).includes('no loss'));
      assert.ok(found({ ...ledger, [output]: twice(list, 3) }).includes('no double'));
      assert.ok(found({ ...ledger, [output]: swapped(list) }).length > 0);
    });
  }

  it('name the first violated record', () => {
    const [violation] = checkLedger({ ...ledger, balances: twice(ledger.balances, 7) });
    assert.match(violation?.where ?? '', /^check-balances-0@\d+ a\d /);
  });

  it('find an output that no entry has caused', () => {
    const stray = { ...(ledger.balances[0] as Ledger['balances'][number]), value: { n: 9_999, sum: 1 } };
    assert.ok(found({ ...ledger, balances: [...ledger.balances, stray] }).includes('no double'));
  });

  it('find a balance and a total that are not the fold of what came before', () => {
    const wrong = <R extends Committed<{ sum: number }>>(record: R): R => ({
      ...record,
      value: { ...record.value, sum: record.value.sum + 1 },
    });
    const [balance, transfer] = [ledger.balances[5], ledger.transfers[5]];
    assert.ok(balance && transfer);
    assert.ok(found({ ...ledger, balances: ledger.balances.with(5, wrong(balance)) }).includes('balances'));
    assert.ok(found({ ...ledger, transfers: ledger.transfers.with(5, wrong(transfer)) }).includes('totals'));
  });

  it('find a store or a changelog that is not the fold, and a key that is nobody’s', () => {
    const { accounts, totals } = foldLedger(ledger);
    const [key, account] = [...accounts][0] as [string, { n: number; sum: number; check: number }];
    const state = (store: typeof accounts, changelog = accounts) => ({
      accounts: { store, changelog },
      totals: { store: totals, changelog: totals },
    });
    assert.deepEqual(checkState(ledger, state(accounts)), []);
    const behind = new Map(accounts).set(key, { ...account, n: account.n - 1 });
    assert.equal(checkState(ledger, state(behind)).length, 1);
    assert.equal(checkState(ledger, state(accounts, behind)).length, 1);
    assert.equal(checkState(ledger, state(new Map(accounts).set('nobody', account))).length, 1);
    assert.equal(checkState(ledger, state(new Map())).length, accounts.size);
  });

  it('find a committed offset that is taken back', () => {
    const at = (offset: number) => ({ topic: 't', partition: 0, offset });
    assert.deepEqual(checkOffsets([at(1), at(1), at(5)]), []);
    assert.equal(checkOffsets([at(1), at(5), at(4)]).length, 1);
  });
});
