/**
 * The ledger: a topology in which any lost, doubled, reordered or half-committed effect leaves a trace, and
 * the entries that feed it. Run by the fault tests on real Kafka and by the simulator.
 *
 *   entries (account ▸ {n, amount, to})
 *     └▶ post     store accounts {n, sum, check}   ▸ balances  (account ▸ {n, sum})
 *          │       timer every 10th entry           ▸ reminders (account ▸ {n})
 *          └▶ repartition by `to`
 *               └▶ receive  store totals {count, sum} ▸ transfers (to ▸ {from, n, count, sum})
 *
 * The processors are naive on purpose: they count what they are given and never look for repeats, so it is
 * the engine alone that keeps the figures right. What the figures must be says ledger-checkers.ts.
 * No broker here, and no clock: it runs wherever a Topology runs.
 */
import type { Random } from '../../src/base/clock-port.ts';
import type { KeyValueStore, Processor, ProcessorContext, Record, Timer } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { jsonSerde, stringSerde } from '../../src/serde/serde.ts';

/** One booking: `n` counts 1, 2, … per account. `to`: the account that gets the amount. */
export interface LedgerEntry {
  readonly n: number;
  readonly amount: number;
  readonly to: string;
}

/** What the store `accounts` holds. `check` depends on the order of the entries, `sum` does not. */
export interface AccountState {
  readonly n: number;
  readonly sum: number;
  readonly check: number;
}

export interface Balance {
  readonly n: number;
  readonly sum: number;
}

/** What goes through the repartition topic. */
export interface Move {
  readonly from: string;
  readonly n: number;
  readonly amount: number;
}

/** What the store `totals` holds. */
export interface Total {
  readonly count: number;
  readonly sum: number;
}

export interface Transfer extends Total {
  readonly from: string;
  readonly n: number;
}

export interface Reminder {
  readonly n: number;
}

/** The topics that have to exist, all with one partition count. */
export interface LedgerNames {
  readonly entries: string;
  readonly balances: string;
  readonly transfers: string;
  readonly reminders: string;
}

export function ledgerNames(prefix: string): LedgerNames {
  return {
    entries: `${prefix}-entries`,
    balances: `${prefix}-balances`,
    transfers: `${prefix}-transfers`,
    reminders: `${prefix}-reminders`,
  };
}

export const accountsStore = 'accounts';
export const totalsStore = 'totals';
/** The repartition topic's name, without the application id in front. */
export const movesTopic = 'moves-by-receiver';

/** Every so many entries of an account a reminder is scheduled. */
export const reminderEvery = 10;
/** Stream time from the entry to its reminder. */
export const reminderDelayMs = 500;
/** An entry under a key that begins so moves stream time and nothing else. */
const clockKeyPrefix = '~';

export const noAccount: AccountState = { n: 0, sum: 0, check: 0 };
export const noTotal: Total = { count: 0, sum: 0 };

/** The fold of one entry into its account; the processor and the checkers share it. */
export function post(before: AccountState, { n, amount }: LedgerEntry): AccountState {
  return {
    n: before.n + 1,
    sum: before.sum + amount,
    check: (before.check * 31 + n * 1_009 + amount) % 1_000_000_007,
  };
}

export function receive(before: Total, amount: number): Total {
  return { count: before.count + 1, sum: before.sum + amount };
}

/** True for what `closing` makes: no account's entry. */
export function isClockKey(key: string): boolean {
  return key.startsWith(clockKeyPrefix);
}

class Post implements Processor<string, LedgerEntry, string, unknown> {
  #context!: ProcessorContext<string, unknown>;
  #accounts!: KeyValueStore<string, AccountState>;

  init(context: ProcessorContext<string, unknown>): void {
    this.#context = context;
    this.#accounts = context.getStateStore(accountsStore);
  }

  process(record: Record<string, LedgerEntry>): void {
    const { key, value, timestamp } = record;
    if (isClockKey(key)) return;
    const account = post(this.#accounts.get(key) ?? noAccount, value);
    this.#accounts.put(key, account);
    const balance: Balance = { n: account.n, sum: account.sum };
    this.#context.forward({ ...record, value: balance }, 'balances');
    const move: Move = { from: key, n: value.n, amount: value.amount };
    this.#context.forward({ ...record, key: value.to, value: move }, 'moves-out');
    if (value.n % reminderEvery !== 0) return;
    const name = `reminder-${value.n}`;
    this.#context.timers.schedule({ key, name, dueMs: timestamp + reminderDelayMs, clock: 'stream' });
  }

  onTimer({ key, name, dueMs }: Timer<string>): void {
    const reminder: Reminder = { n: Number(name.slice('reminder-'.length)) };
    this.#context.forward({ key, value: reminder, timestamp: dueMs, headers: [] }, 'reminders');
  }
}

class Receive implements Processor<string, Move, string, Transfer> {
  #context!: ProcessorContext<string, Transfer>;
  #totals!: KeyValueStore<string, Total>;

  init(context: ProcessorContext<string, Transfer>): void {
    this.#context = context;
    this.#totals = context.getStateStore(totalsStore);
  }

  process(record: Record<string, Move>): void {
    const { from, n, amount } = record.value;
    const total = receive(this.#totals.get(record.key) ?? noTotal, amount);
    this.#totals.put(record.key, total);
    this.#context.forward({ ...record, value: { from, n, ...total } });
  }
}

/** Sub-topology 0 posts, sub-topology 1 receives; each has as many tasks as `entries` has partitions. */
export function ledgerTopology(names: LedgerNames): Topology {
  const keySerde = stringSerde;
  const sink = { keySerde, valueSerde: jsonSerde<unknown>() };
  return new Topology()
    .addSource({ name: 'entries', topics: [names.entries], keySerde, valueSerde: jsonSerde<LedgerEntry>() })
    .addStateStore({
      name: accountsStore,
      kind: 'key-value',
      keySerde,
      valueSerde: jsonSerde<unknown>(),
      changelog: true,
    })
    .addProcessor({
      name: 'post',
      supplier: () => new Post(),
      parents: ['entries'],
      stores: [accountsStore],
    })
    .addSink({ name: 'balances', topic: names.balances, ...sink, parents: ['post'] })
    .addSink({ name: 'reminders', topic: names.reminders, ...sink, parents: ['post'] })
    .addRepartition({ name: movesTopic, partitions: undefined })
    .addSink({ name: 'moves-out', topic: movesTopic, internal: true, ...sink, parents: ['post'] })
    .addSource({
      name: 'moves-in',
      topics: [movesTopic],
      internal: true,
      keySerde,
      valueSerde: jsonSerde<Move>(),
    })
    .addStateStore({
      name: totalsStore,
      kind: 'key-value',
      keySerde,
      valueSerde: jsonSerde<unknown>(),
      changelog: true,
    })
    .addProcessor({
      name: 'receive',
      supplier: () => new Receive(),
      parents: ['moves-in'],
      stores: [totalsStore],
    })
    .addSink({ name: 'transfers', topic: names.transfers, ...sink, parents: ['receive'] });
}

/** An entry on its way to the topic. Units: `timestamp` in milliseconds since the epoch. */
export interface OutgoingEntry {
  readonly key: string;
  readonly value: LedgerEntry;
  readonly timestamp: number;
}

/** Long past, so that no clock calls it the future; 10 ms of stream time per entry. */
const firstTimestampMs = 1_500_000_000_000;
const stepMs = 10;

/** Makes entries for ever, the same ones for the same random numbers. */
export class LedgerEntries {
  readonly #random: Random;
  readonly #accounts: number;
  readonly #receivers: number;
  readonly #lastOf = new Map<string, number>();
  #made = 0;

  /** `receivers`: how many keys the second sub-topology counts; fewer means more contention on one key. */
  constructor(random: Random, accounts: number, receivers: number = Math.max(1, Math.ceil(accounts / 4))) {
    this.#random = random;
    this.#accounts = accounts;
    this.#receivers = receivers;
  }

  get made(): number {
    return this.#made;
  }

  next(): OutgoingEntry {
    const key = `a${this.#random.integer(this.#accounts)}`;
    const n = (this.#lastOf.get(key) ?? 0) + 1;
    this.#lastOf.set(key, n);
    const value = {
      n,
      amount: 1 + this.#random.integer(999),
      to: `r${this.#random.integer(this.#receivers)}`,
    };
    return { key, value, timestamp: firstTimestampMs + stepMs * this.#made++ };
  }

  take(count: number): OutgoingEntry[] {
    return Array.from({ length: count }, () => this.next());
  }

  /** To be written to *every* partition after the last entry: moves stream time past the last reminder. */
  closing(partition: number): OutgoingEntry {
    return {
      key: `${clockKeyPrefix}${partition}`,
      value: { n: 0, amount: 0, to: '' },
      timestamp: firstTimestampMs + stepMs * this.#made + reminderDelayMs,
    };
  }
}
