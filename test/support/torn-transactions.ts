/**
 * F2 on a running topology: one worker behind a proxy that repeats, loses and delays the requests which carry
 * its transactions, so many times per kind of request. Used by the fast test, the slow one and the proof that
 * they would notice.
 */
import { seededRandom } from '../../src/base/seeded-random.ts';
import {
  KafkaFaultProxy,
  type RequestFault,
  type TransactionalRequest,
  transactionalRequests,
} from './kafka-fault-proxy.ts';
import { LedgerRun } from './ledger-run.ts';

/** A commit's EndTxn and an abort's are the same request, and different faults. */
export type TornKind = TransactionalRequest | 'EndTxn of an abort';
export const tornKinds: readonly TornKind[] = [
  ...(Object.keys(transactionalRequests) as TransactionalRequest[]),
  'EndTxn of an abort',
];

export interface TornTally {
  injected: number;
  repeated: number;
  /** Held requests that reached the broker inside a later transaction. */
  released: number;
}

export class TornRun {
  readonly run: LedgerRun;
  readonly tally = new Map<TornKind, TornTally>(
    tornKinds.map((kind) => [kind, { injected: 0, repeated: 0, released: 0 }]),
  );
  readonly #proxy: KafkaFaultProxy;
  readonly #random;

  private constructor(run: LedgerRun, proxy: KafkaFaultProxy, seed: number) {
    this.run = run;
    this.#proxy = proxy;
    this.#random = seededRandom(seed);
  }

  /** Starts the worker under load. `guard` false switches off what makes the runtime safe from repeats. */
  static async open(options: { brokers: string; seed: number; guard: boolean }): Promise<TornRun> {
    const { brokers, seed, guard } = options;
    const proxy = new KafkaFaultProxy(brokers);
    const run = await LedgerRun.open({ brokers, seed, partitions: 2 });
    const torn = new TornRun(run, proxy, seed);
    try {
      run.add('w1', { plan: { brokers: await proxy.start(), guard } });
      run.load.start(300);
      await run.ready();
      return torn;
    } catch (error) {
      await torn.close();
      throw error;
    }
  }

  /** One fault of that kind, of an action drawn from the seed; `hold` when a tear is wanted. */
  async inject(kind: TornKind, action = this.#drawAction()): Promise<void> {
    const fault: RequestFault = {
      request: kind === 'EndTxn of an abort' ? 'EndTxn' : kind,
      action,
      // A late offset commit does harm after the next one, any other request once there are records.
      release: kind === 'TxnOffsetCommit' || this.#random.next() < 0.3 ? 'TxnOffsetCommit' : 'Produce',
    };
    if (kind === 'EndTxn of an abort') this.run.worker('w1').abortNext();
    const outcome = await this.#proxy.inject(fault);
    const tally = this.tally.get(kind) as TornTally;
    if (outcome.caught) tally.injected++;
    if (outcome.repeated) tally.repeated++;
    if (outcome.released && action === 'hold') tally.released++;
    this.run.note(`${action} ${kind}: ${JSON.stringify(outcome)}`);
  }

  async close(): Promise<void> {
    await this.run.close();
    await this.#proxy.close();
  }

  /** Half of them held: the other two are the easier ones. */
  #drawAction(): RequestFault['action'] {
    const dice = this.#random.next();
    return dice < 0.5 ? 'hold' : dice < 0.75 ? 'double' : 'cut';
  }
}
