/**
 * What a run of the ledger (ledger-topology.ts) must have left behind, judged from outside: committed records,
 * dumped stores and replayed changelogs against a plain fold of the committed input. No engine code here.
 * Used by the fault tests on real Kafka and by the simulator, after everything has come to rest.
 *
 * Every checker returns its violations, per key the first violated record; an empty list is a pass. None of
 * them throws: a broken run should say all that is wrong with it.
 */
import {
  type AccountState,
  type Balance,
  isClockKey,
  type LedgerEntry,
  type Move,
  noAccount,
  noTotal,
  post,
  type Reminder,
  receive,
  reminderEvery,
  type Total,
  type Transfer,
} from './ledger-topology.ts';

/** A record as a read-committed reader sees it, decoded. Order in a list: per partition by offset. */
export interface Committed<V> {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly value: V;
}

export interface Violation {
  readonly checker: string;
  /** The first violated record, or the key where no record is there to be named. */
  readonly where: string;
  readonly what: string;
}

/** A store or a changelog: key to value, deleted keys left out. */
export type Dump<V> = ReadonlyMap<string, V>;

/** All topics of one ledger, from their first offset to their end. */
export interface Ledger {
  readonly entries: readonly Committed<LedgerEntry>[];
  readonly balances: readonly Committed<Balance>[];
  readonly transfers: readonly Committed<Transfer>[];
  readonly reminders: readonly Committed<Reminder>[];
}

/** The state as it is in the owners' stores and as the changelogs say. Without one of them it is not compared. */
export interface LedgerState {
  readonly accounts: { readonly store?: Dump<AccountState>; readonly changelog?: Dump<AccountState> };
  readonly totals: { readonly store?: Dump<Total>; readonly changelog?: Dump<Total> };
}

/** One look at a committed offset (or a position); in the order of the looks. */
export interface OffsetSample {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number | undefined;
}

function placeOf({ topic, partition, offset, key, value }: Committed<unknown>): string {
  return `${topic}-${partition}@${offset} ${key} ${JSON.stringify(value)}`;
}

/** Collects what a checker finds: only the first violation of a key is told. */
class Findings {
  readonly list: Violation[] = [];
  readonly #checker: string;
  readonly #told = new Set<string>();

  constructor(checker: string) {
    this.#checker = checker;
  }

  add(key: string, where: string, what: string): void {
    if (this.#told.has(key)) return;
    this.#told.add(key);
    this.list.push({ checker: this.#checker, where, what });
  }
}

function byKey<R extends { readonly key: string }>(records: readonly R[]): Map<string, R[]> {
  const groups = new Map<string, R[]>();
  for (const record of records) {
    const group = groups.get(record.key);
    if (group === undefined) groups.set(record.key, [record]);
    else group.push(record);
  }
  return groups;
}

function bookings(ledger: Ledger): readonly Committed<LedgerEntry>[] {
  return ledger.entries.filter(({ key }) => !isClockKey(key));
}

function idOf(key: string, n: number): string {
  return `${key}#${n}`;
}

/** Each thing of the outputs that one entry must have caused, under the entry's id. */
function effects(ledger: Ledger): {
  readonly name: string;
  readonly isDue: (entry: LedgerEntry) => boolean;
  readonly records: readonly { readonly id: string; readonly record: Committed<unknown> }[];
}[] {
  const keyed = (records: readonly Committed<{ readonly n: number }>[]) =>
    records.map((record) => ({ id: idOf(record.key, record.value.n), record }));
  const transfers = ledger.transfers.map((record) => ({
    id: idOf(record.value.from, record.value.n),
    record,
  }));
  return [
    { name: 'balance', isDue: () => true, records: keyed(ledger.balances) },
    { name: 'transfer', isDue: () => true, records: transfers },
    { name: 'reminder', isDue: ({ n }) => n % reminderEvery === 0, records: keyed(ledger.reminders) },
  ];
}

/** The input itself: n = 1..m per account, in order. When this fails, the driver is wrong and not the engine. */
export function checkInput(ledger: Ledger): Violation[] {
  const findings = new Findings('input');
  const lastOf = new Map<string, number>();
  for (const entry of bookings(ledger)) {
    const expected = (lastOf.get(entry.key) ?? 0) + 1;
    if (entry.value.n !== expected) findings.add(entry.key, placeOf(entry), `entry ${expected} was expected`);
    lastOf.set(entry.key, entry.value.n);
  }
  return findings.list;
}

/** I1: every entry has its balance and its transfer, every tenth its reminder. */
export function checkNoLoss(ledger: Ledger): Violation[] {
  const findings = new Findings('no loss');
  for (const { name, isDue, records } of effects(ledger)) {
    const seen = new Set(records.map(({ id }) => id));
    for (const entry of bookings(ledger)) {
      if (isDue(entry.value) && !seen.has(idOf(entry.key, entry.value.n)))
        findings.add(`${name} ${entry.key}`, placeOf(entry), `this entry has no ${name}`);
    }
  }
  return findings.list;
}

/** I2: no effect twice, and none without its entry. */
export function checkNoDouble(ledger: Ledger): Violation[] {
  const findings = new Findings('no double');
  const entries = new Map(bookings(ledger).map(({ key, value }) => [idOf(key, value.n), value]));
  for (const { name, isDue, records } of effects(ledger)) {
    const seen = new Map<string, Committed<unknown>>();
    for (const { id, record } of records) {
      const first = seen.get(id);
      if (first !== undefined)
        findings.add(
          `${name} ${record.key}`,
          placeOf(record),
          `second ${name}; the first is ${placeOf(first)}`,
        );
      else seen.set(id, record);
      const entry = entries.get(id);
      if (entry === undefined || !isDue(entry))
        findings.add(`${name} ${record.key}`, placeOf(record), `a ${name} that no entry has caused`);
    }
  }
  return findings.list;
}

/** I4: what one account causes comes in the order of its entries, per output key. */
export function checkOrder(ledger: Ledger): Violation[] {
  const findings = new Findings('order');
  const check = (
    name: string,
    records: readonly Committed<{ readonly n: number }>[],
    source: (record: Committed<{ readonly n: number }>) => string,
  ) => {
    const last = new Map<string, Committed<{ readonly n: number }>>();
    for (const record of records) {
      const key = `${name} ${source(record)}`;
      const before = last.get(key);
      if (before !== undefined && record.value.n < before.value.n)
        findings.add(key, placeOf(record), `it comes after ${placeOf(before)}`);
      last.set(key, record);
    }
  };
  check('balance', ledger.balances, ({ key }) => key);
  check('reminder', ledger.reminders, ({ key }) => key);
  check('transfer', ledger.transfers, (record) => `${(record.value as Transfer).from} ${record.key}`);
  return findings.list;
}

/** I3: the i-th balance of an account is the fold of its first i entries. */
export function checkBalances(ledger: Ledger): Violation[] {
  const findings = new Findings('balances');
  const entries = byKey(bookings(ledger));
  for (const [key, balances] of byKey(ledger.balances)) {
    let account = noAccount;
    for (const [index, balance] of balances.entries()) {
      const entry = entries.get(key)?.[index];
      if (entry === undefined) {
        findings.add(key, placeOf(balance), `there are only ${index} entries`);
        break;
      }
      account = post(account, entry.value);
      const { n, sum } = balance.value;
      if (n !== account.n || sum !== account.sum)
        findings.add(key, placeOf(balance), `n ${account.n}, sum ${account.sum} were expected`);
    }
  }
  return findings.list;
}

/**
 * I3: the i-th transfer to a receiver counts i, and adds the amount of the entry that it names. Receivers
 * may meet the accounts' entries in any order, so the fold follows the order of the transfers themselves.
 */
export function checkTotals(ledger: Ledger): Violation[] {
  const findings = new Findings('totals');
  const entries = new Map(bookings(ledger).map((entry) => [idOf(entry.key, entry.value.n), entry.value]));
  for (const [key, transfers] of byKey(ledger.transfers)) {
    let total = noTotal;
    for (const transfer of transfers) {
      const { from, n, count, sum } = transfer.value;
      const entry = entries.get(idOf(from, n));
      if (entry === undefined || entry.to !== key) {
        findings.add(key, placeOf(transfer), 'no entry transfers this');
        break;
      }
      total = receive(total, entry.amount);
      if (count !== total.count || sum !== total.sum)
        findings.add(key, placeOf(transfer), `count ${total.count}, sum ${total.sum} were expected`);
    }
  }
  return findings.list;
}

/** Every tenth entry is reminded of, once. Order: only after the closing entries have been processed. */
export function checkReminders(ledger: Ledger): Violation[] {
  const findings = new Findings('reminders');
  const reminders = byKey(ledger.reminders);
  const accounts = byKey(bookings(ledger));
  for (const [key, entries] of accounts) {
    const expected = entries.filter(({ value }) => value.n % reminderEvery === 0);
    const found = reminders.get(key) ?? [];
    for (const [index, entry] of expected.entries()) {
      const reminder = found[index];
      if (reminder === undefined) findings.add(key, placeOf(entry), 'this entry was never reminded of');
      else if (reminder.value.n !== entry.value.n)
        findings.add(key, placeOf(reminder), `the reminder of entry ${entry.value.n} was expected`);
    }
    const extra = found[expected.length];
    if (extra !== undefined) findings.add(key, placeOf(extra), 'one reminder too many');
  }
  return findings.list;
}

/** The moves between the sub-topologies, if the repartition topic is still there: each once, none stray. */
export function checkMoves(ledger: Ledger, moves: readonly Committed<Move>[]): Violation[] {
  const findings = new Findings('moves');
  const entries = new Map(bookings(ledger).map((entry) => [idOf(entry.key, entry.value.n), entry]));
  const seen = new Set<string>();
  for (const move of moves) {
    const { from, n, amount } = move.value;
    const id = idOf(from, n);
    const entry = entries.get(id)?.value;
    if (entry === undefined || entry.to !== move.key || entry.amount !== amount)
      findings.add(from, placeOf(move), 'no entry moves this');
    else if (seen.has(id)) findings.add(from, placeOf(move), 'moved twice');
    seen.add(id);
  }
  for (const [id, entry] of entries)
    if (!seen.has(id)) findings.add(entry.key, placeOf(entry), 'this entry was never moved');
  return findings.list;
}

/** What the stores must hold: the fold of the whole input. */
export function foldLedger(ledger: Pick<Ledger, 'entries'>): {
  readonly accounts: Map<string, AccountState>;
  readonly totals: Map<string, Total>;
} {
  const accounts = new Map<string, AccountState>();
  const totals = new Map<string, Total>();
  for (const { key, value } of ledger.entries) {
    if (isClockKey(key)) continue;
    accounts.set(key, post(accounts.get(key) ?? noAccount, value));
    totals.set(value.to, receive(totals.get(value.to) ?? noTotal, value.amount));
  }
  return { accounts, totals };
}

/** I3: store == changelog == fold, key by key. */
export function checkState(ledger: Ledger, state: LedgerState): Violation[] {
  const findings = new Findings('state');
  const fold = foldLedger(ledger);
  const compare = (name: string, expected: Dump<unknown>, found: Dump<unknown> | undefined) => {
    if (found === undefined) return;
    for (const [key, value] of expected) {
      const got = found.get(key);
      if (!isSame(got, value))
        findings.add(
          `${name} ${key}`,
          `${name} ${key}`,
          `${JSON.stringify(got)} instead of ${JSON.stringify(value)}`,
        );
    }
    for (const [key, value] of found) {
      if (!expected.has(key))
        findings.add(`${name} ${key}`, `${name} ${key}`, `${JSON.stringify(value)} of no entry`);
    }
  };
  for (const name of ['accounts', 'totals'] as const) {
    compare(`store ${name}`, fold[name], state[name].store);
    compare(`changelog ${name}`, fold[name], state[name].changelog);
  }
  return findings.list;
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** I7: what was committed is never taken back. */
export function checkOffsets(samples: readonly OffsetSample[]): Violation[] {
  const findings = new Findings('offsets');
  const highest = new Map<string, number>();
  for (const { topic, partition, offset } of samples) {
    const input = `${topic}-${partition}`;
    const before = highest.get(input);
    if (before !== undefined && (offset === undefined || offset < before))
      findings.add(input, input, `committed offset ${offset} after ${before}`);
    if (offset !== undefined) highest.set(input, Math.max(before ?? 0, offset));
  }
  return findings.list;
}

/** All checkers of the topics, and those of state and offsets where these are given. */
export function checkLedger(
  ledger: Ledger,
  more: {
    readonly state?: LedgerState;
    readonly offsets?: readonly OffsetSample[];
    readonly moves?: readonly Committed<Move>[];
  } = {},
): Violation[] {
  return [
    checkInput(ledger),
    checkNoLoss(ledger),
    checkNoDouble(ledger),
    checkOrder(ledger),
    checkBalances(ledger),
    checkTotals(ledger),
    checkReminders(ledger),
    more.moves === undefined ? [] : checkMoves(ledger, more.moves),
    more.state === undefined ? [] : checkState(ledger, more.state),
    more.offsets === undefined ? [] : checkOffsets(more.offsets),
  ].flat();
}

/** For a test's message: the first few violations, and how many there are. */
export function violationsText(violations: readonly Violation[], countMax = 8): string {
  if (violations.length === 0) return 'no violations';
  const lines = violations
    .slice(0, countMax)
    .map(({ checker, where, what }) => `${checker}: ${where}: ${what}`);
  return [`${violations.length} violations:`, ...lines].join('\n  ');
}
