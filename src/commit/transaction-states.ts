/**
 * The transaction of the commit cycle as a table: what may follow what. commit-cycle.ts takes every step
 * through it; docs/spec/transaction-states.md explains it, and a test holds the two together.
 *
 *   NONE ─opening─▶ INITIALISING ─initialised─▶ IDLE ─begun─▶ OPEN ─committing─▶ COMMITTING ─committed─▶ COMMITTED
 *    ▲                   │                      │ ▲           │                    │    │                   │
 *    ├───openFailed──────┘                      │ └───────────┼────────────────────┼────┼──────settled──────┘
 *    ├───distrusted─────────────────────────────┘             ├──abortRequired─────┘    └─gaveUp─▶ UNKNOWN
 *    │                                                        ▼
 *    └───dropped, from anywhere                           ABORTING ─aborted─▶ ABORTED      (gaveUp ─▶ FENCED)
 *
 * Pure. At least once goes the same way, with a flush and a commit of offsets where a transaction would be.
 */
import { StreamsError } from '../base/errors.ts';

/**
 * - `NONE`: no producer;
 * - `INITIALISING`: it is being opened; its `init` ends what a predecessor of its id left open;
 * - `IDLE`: initialised, between two transactions;
 * - `OPEN`: records and offsets go in;
 * - `COMMITTING`: the commit is on its way: nothing but its answer says whether it was carried out;
 * - `COMMITTED`: it was; the stores do not have it yet;
 * - `ABORTING`: the abort is on its way; nothing of the transaction will be seen, whatever comes of it;
 * - `ABORTED`: it is ended;
 * - `UNKNOWN`: no answer to a commit, or one that says nothing about it;
 * - `FENCED`: the producer cannot go on: another took over, it is broken, or the broker was away for too long.
 */
export type TransactionState =
  | 'NONE'
  | 'INITIALISING'
  | 'IDLE'
  | 'OPEN'
  | 'COMMITTING'
  | 'COMMITTED'
  | 'ABORTING'
  | 'ABORTED'
  | 'UNKNOWN'
  | 'FENCED';

export type TransactionEvent =
  | 'opening'
  | 'initialised'
  | 'openFailed'
  | 'distrusted'
  | 'begun'
  | 'committing'
  | 'committed'
  | 'settled'
  | 'abortRequired'
  | 'aborted'
  | 'gaveUp'
  | 'dropped';

type Row = Readonly<Record<TransactionEvent, TransactionState | 'illegal'>>;

/** What may happen in no state at all, and what always may: a row says what it does differently. */
const nothing: Row = {
  opening: 'illegal',
  initialised: 'illegal',
  openFailed: 'illegal',
  distrusted: 'illegal',
  begun: 'illegal',
  committing: 'illegal',
  committed: 'illegal',
  settled: 'illegal',
  abortRequired: 'illegal',
  aborted: 'illegal',
  gaveUp: 'illegal',
  // The instance closes whatever it is doing; an open transaction is left to the successor's `init`.
  dropped: 'NONE',
};

/** Total: every state has a cell for every event, or this does not compile. */
export const transactionTable: Readonly<Record<TransactionState, Row>> = {
  NONE: { ...nothing, opening: 'INITIALISING' },
  INITIALISING: { ...nothing, initialised: 'IDLE', openFailed: 'NONE' },
  IDLE: { ...nothing, begun: 'OPEN', distrusted: 'NONE', gaveUp: 'FENCED' },
  OPEN: { ...nothing, committing: 'COMMITTING', abortRequired: 'ABORTING', gaveUp: 'FENCED' },
  // Not FENCED: a commit that was carried out and asked for again is refused to a fenced producer all the same.
  COMMITTING: { ...nothing, committed: 'COMMITTED', abortRequired: 'ABORTING', gaveUp: 'UNKNOWN' },
  // No `begun`: the next transaction begins when the stores have the one before.
  COMMITTED: { ...nothing, settled: 'IDLE' },
  ABORTING: { ...nothing, aborted: 'ABORTED', gaveUp: 'FENCED' },
  ABORTED: nothing,
  UNKNOWN: nothing,
  FENCED: nothing,
};

export class TransactionMachine {
  #state: TransactionState = 'NONE';

  get state(): TransactionState {
    return this.#state;
  }

  /** Errors: INVARIANT_BROKEN when the table has no such cell; the state stays. */
  apply(event: TransactionEvent): void {
    const next = transactionTable[this.#state][event];
    if (next === 'illegal') {
      throw new StreamsError('INVARIANT_BROKEN', `a transaction that is ${this.#state} cannot be ${event}`, {
        context: { state: this.#state, event },
      });
    }
    this.#state = next;
  }
}
