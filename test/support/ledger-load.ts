/** Entries of the ledger, written to the topic for as long as a test goes on with its faults. */
import { partitionForKey } from '../../src/base/murmur2.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker, OutgoingRecord, Producer } from '../../src/broker/broker-port.ts';
import { uniqueName } from './kafka.ts';
import type { LedgerEntries, OutgoingEntry } from './ledger-topology.ts';

const tickMs = 25;

export class LedgerLoad {
  readonly #producer: Producer;
  readonly #topic: string;
  readonly #partitions: number;
  readonly #entries: LedgerEntries;
  #running: Promise<void> | undefined;
  #stopped = false;
  #perSecond = 0;

  private constructor(producer: Producer, topic: string, partitions: number, entries: LedgerEntries) {
    this.#producer = producer;
    this.#topic = topic;
    this.#partitions = partitions;
    this.#entries = entries;
  }

  static async open(
    broker: Broker,
    topic: string,
    partitions: number,
    entries: LedgerEntries,
  ): Promise<LedgerLoad> {
    const producer = await broker.openProducer({ clientId: uniqueName('load') });
    return new LedgerLoad(producer, topic, partitions, entries);
  }

  get written(): number {
    return this.#entries.made;
  }

  start(entriesPerSecond: number): void {
    this.#stopped = false;
    this.#perSecond = entriesPerSecond;
    this.#running = this.#run(Math.max(1, Math.round((entriesPerSecond * tickMs) / 1000)));
    this.#running.catch(() => {});
  }

  /** Errors: what made the load fail; then a test has no input to judge by. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    this.#running = undefined;
  }

  /**
   * Stops with a backlog for the workers to be busy with, all of it acknowledged. Before a broker is killed: the
   * client may write a batch twice when the answer to it is lost, and then the input itself is doubled.
   */
  async pauseWithBacklog(count: number): Promise<void> {
    await this.stop();
    await this.write(count);
  }

  resume(): void {
    this.start(this.#perSecond);
  }

  /** Resolves when the brokers have them all. */
  async write(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 2_000)
      await this.#send(this.#entries.take(Math.min(left, 2_000)));
  }

  /** After the last entry: moves stream time on in every partition, so that every reminder is due. */
  async writeClosing(): Promise<void> {
    const records = partitionNumbers(this.#partitions).map((partition) =>
      this.#record(this.#entries.closing(partition), partition),
    );
    await this.#deliver(records);
  }

  async close(): Promise<void> {
    this.#stopped = true;
    await this.#running?.catch(() => {});
    await this.#producer.close();
  }

  async #run(perTick: number): Promise<void> {
    while (!this.#stopped) {
      await this.#send(this.#entries.take(perTick));
      await wallClock.sleep(tickMs);
    }
  }

  #send(entries: readonly OutgoingEntry[]): Promise<void> {
    return this.#deliver(
      entries.map((entry) => this.#record(entry, partitionForKey(Buffer.from(entry.key), this.#partitions))),
    );
  }

  async #deliver(records: readonly OutgoingRecord[]): Promise<void> {
    await this.#producer.send(records);
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#producer.flush();
      } catch (error) {
        // Brokers are away for longer than one flush waits; the client repeats by itself for minutes.
        if (attempt >= 10) throw error;
      }
    }
  }

  #record({ key, value, timestamp }: OutgoingEntry, partition: number): OutgoingRecord {
    const bytes = Buffer.from(JSON.stringify(value));
    return { topic: this.#topic, partition, key: Buffer.from(key), value: bytes, timestamp, headers: [] };
  }
}

function partitionNumbers(count: number): number[] {
  return Array.from({ length: count }, (_, partition) => partition);
}
