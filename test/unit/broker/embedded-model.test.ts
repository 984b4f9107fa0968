/**
 * Goal: the embedded broker does what a naive model of Kafka's log does, whatever the order of calls.
 * Method: random calls of several producers and readers, with crashes, evictions, maintenance and
 * time-outs in between, from a printed seed; after each step ends and contents are compared with the model.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Random } from '../../../src/base/clock-port.ts';
import { seededRandom } from '../../../src/base/seeded-random.ts';
import type { Consumer, GroupMember, Producer } from '../../../src/broker/broker-port.ts';
import { DiskBroker, keyed } from './embedded-support.ts';

const partitions = 3;
const timeoutMs = 1000;

type Outcome = 'open' | 'committed' | 'aborted' | 'plain' | 'marker';

interface Entry {
  readonly value: string;
  readonly transaction: number;
  outcome: Outcome;
}

/** Each partition is an array: the index is the offset. */
class Model {
  logs: Entry[][] = Array.from({ length: partitions }, () => []);
  /** What is certainly on the disk: ends that a crash cannot take back are those stored with the last write. */
  offset: number | undefined;

  append(partition: number, value: string, transaction: number): void {
    this.logs[partition]?.push({ value, transaction, outcome: transaction === 0 ? 'plain' : 'open' });
  }

  end(transaction: number, outcome: 'committed' | 'aborted'): void {
    for (const log of this.logs) {
      const own = log.filter((entry) => entry.transaction === transaction && entry.outcome === 'open');
      for (const entry of own) entry.outcome = outcome;
      if (own.length > 0) log.push({ value: '', transaction, outcome: 'marker' });
    }
  }

  stable(partition: number): number {
    const log = this.logs[partition] as Entry[];
    const first = log.findIndex((entry) => entry.outcome === 'open');
    return first < 0 ? log.length : first;
  }

  committed(partition: number): string[] {
    return (this.logs[partition] as Entry[])
      .map((entry, offset) => ({ entry, offset }))
      .filter(({ entry, offset }) => {
        return (
          (entry.outcome === 'committed' || entry.outcome === 'plain') && offset < this.stable(partition)
        );
      })
      .map(({ entry, offset }) => `k=${entry.value}@${offset}`);
  }
}

interface Writer {
  readonly id: string;
  producer: Producer;
  /** 0 = none is open. */
  transaction: number;
  offset: number | undefined;
}

class Run {
  readonly #random: Random;
  readonly #model = new Model();
  readonly #writers: Writer[] = [];
  #at!: DiskBroker;
  #plain!: Producer;
  #member!: GroupMember;
  #reader!: Consumer;
  #read: string[][] = [];
  #counter = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  async start(): Promise<void> {
    const options = [{}, { chunkBytesMax: 100 }, { chunkBytesMax: 100, cacheBytesMax: 200 }];
    this.#at = await DiskBroker.open(options[this.#random.integer(options.length)]);
    await this.#at.topic('t', partitions);
    for (const id of ['a', 'b', 'c']) {
      const producer = await this.#at.producer(id, timeoutMs);
      this.#writers.push({ id, producer, transaction: 0, offset: undefined });
    }
    await this.#openRest();
  }

  async #openRest(): Promise<void> {
    const { broker } = this.#at;
    this.#plain = await broker.openProducer({ clientId: 'plain' });
    this.#member = await broker.joinGroup({ groupId: 'g', topic: 't', sessionTimeoutMs: 1e9 });
    this.#reader = await broker.openConsumer({ isolation: 'read_committed', clientId: 'reader' });
    await this.#reader.assign(
      Array.from({ length: partitions }, (_, partition) => ({ topic: 't', partition, offset: 0 })),
    );
    this.#read = Array.from({ length: partitions }, () => []);
  }

  async step(): Promise<void> {
    const writer = this.#writers[this.#random.integer(this.#writers.length)] as Writer;
    const roll = this.#random.integer(100);
    if (roll < 45) await this.#send(writer);
    else if (roll < 52) await this.#sendOffset(writer);
    else if (roll < 67) await this.#end(writer, 'committed');
    else if (roll < 75) await this.#end(writer, 'aborted');
    else if (roll < 85) await this.#sendPlain();
    else if (roll < 92) await this.#poll();
    else if (roll < 94) await this.#succeed(writer);
    else if (roll < 96) await this.#timeOut();
    else if (roll < 98) await this.#at.broker.maintain();
    else if (roll < 99) await this.#reopen();
    else await this.#crash();
    await this.check();
  }

  async check(): Promise<void> {
    for (let partition = 0; partition < partitions; partition++) {
      const end = this.#model.logs[partition]?.length;
      assert.deepEqual(await this.#at.ends('t', partition), {
        start: 0,
        stable: this.#model.stable(partition),
        end,
      });
    }
    if (this.#writers.some(({ offset }) => offset !== undefined)) return;
    const [offset] = await this.#at.broker.admin.committedOffsets('g', [{ topic: 't', partition: 0 }]);
    assert.equal(offset, this.#model.offset);
  }

  async finish(): Promise<void> {
    for (let partition = 0; partition < partitions; partition++) {
      assert.deepEqual(await this.#at.read('t', partition), this.#model.committed(partition));
    }
  }

  async #begin(writer: Writer): Promise<void> {
    if (writer.transaction !== 0) return;
    await writer.producer.begin();
    writer.transaction = ++this.#counter;
  }

  async #send(writer: Writer): Promise<void> {
    await this.#begin(writer);
    const records = Array.from({ length: 1 + this.#random.integer(4) }, () =>
      this.#random.integer(partitions),
    ).map((partition) =>
      keyed('t', 'k', `${this.#counter++}${'x'.repeat(this.#random.integer(30))}`, partition),
    );
    await writer.producer.send(records);
    for (const { partition, value } of records) this.#model.append(partition, `${value}`, writer.transaction);
  }

  async #sendOffset(writer: Writer): Promise<void> {
    if (this.#writers.some(({ offset }) => offset !== undefined)) return;
    await this.#begin(writer);
    writer.offset = this.#random.integer(1000);
    await writer.producer.sendOffsets([{ topic: 't', partition: 0, offset: writer.offset }], this.#member);
  }

  async #end(writer: Writer, outcome: 'committed' | 'aborted'): Promise<void> {
    if (writer.transaction === 0) return;
    await (outcome === 'committed' ? writer.producer.commit() : writer.producer.abort());
    this.#ended(writer, outcome);
  }

  #ended(writer: Writer, outcome: 'committed' | 'aborted'): void {
    this.#model.end(writer.transaction, outcome);
    if (outcome === 'committed' && writer.offset !== undefined) this.#model.offset = writer.offset;
    writer.transaction = 0;
    writer.offset = undefined;
  }

  async #sendPlain(): Promise<void> {
    const partition = this.#random.integer(partitions);
    const value = `plain${this.#counter++}`;
    await this.#plain.send([keyed('t', 'k', value, partition)]);
    this.#model.append(partition, value, 0);
    if (this.#random.integer(2) === 0) await this.#plain.flush();
  }

  /** A long-lived reader sees what a fresh one would, each record once. */
  async #poll(): Promise<void> {
    for (const batch of await this.#reader.poll({ recordsMax: 1 + this.#random.integer(20), waitMs: 0 })) {
      for (let i = 0; i < batch.count; i++) {
        this.#read[batch.partition]?.push(`${batch.key(i)}=${batch.value(i)}@${batch.offset(i)}`);
      }
    }
    for (let partition = 0; partition < partitions; partition++) {
      const seen = this.#read[partition] as string[];
      assert.deepEqual(seen, this.#model.committed(partition).slice(0, seen.length));
      const position = this.#reader.position({ topic: 't', partition });
      assert.ok(position <= this.#model.stable(partition));
    }
  }

  async #succeed(writer: Writer): Promise<void> {
    const older = writer.producer;
    writer.producer = await this.#at.producer(writer.id, timeoutMs);
    this.#ended(writer, 'aborted');
    await assert.rejects(older.begin(), { code: 'PRODUCER_FENCED' });
    await assert.rejects(older.flush(), { code: 'PRODUCER_FENCED' });
  }

  async #timeOut(): Promise<void> {
    const open = this.#writers.filter(({ transaction }) => transaction !== 0);
    this.#at.clock.advance(timeoutMs);
    for (const writer of open.sort((a, b) => a.transaction - b.transaction)) {
      await assert.rejects(writer.producer.commit(), { code: 'PRODUCER_FENCED' });
      this.#ended(writer, 'aborted');
      writer.producer = await this.#at.producer(writer.id, timeoutMs);
    }
  }

  async #reopen(): Promise<void> {
    await this.#at.broker.close();
    await this.#at.reopen();
    await this.#afterwards();
  }

  async #crash(): Promise<void> {
    await this.#at.crash(this.#random.integer(2) === 0 ? 'kill' : 'powerLoss');
    await this.#afterwards();
  }

  /** Open transactions are gone; records without one may be, if they were not flushed. */
  async #afterwards(): Promise<void> {
    for (const [partition, log] of this.#model.logs.entries()) {
      const { end } = await this.#at.ends('t', partition);
      const lost = log.splice(end);
      for (const entry of lost)
        assert.ok(entry.outcome !== 'committed', `a committed record is gone: ${entry.value}`);
      for (const entry of log) if (entry.outcome === 'open') entry.outcome = 'aborted';
      while (log.length < end) log.push({ value: '', transaction: 0, outcome: 'marker' });
      const kept = new Set(await this.#at.read('t', partition));
      for (const [offset, entry] of log.entries()) {
        if (entry.outcome === 'plain' && !kept.has(`k=${entry.value}@${offset}`)) entry.outcome = 'aborted';
      }
    }
    for (const writer of this.#writers) {
      writer.producer = await this.#at.producer(writer.id, timeoutMs);
      writer.transaction = 0;
      writer.offset = undefined;
    }
    await this.#openRest();
  }
}

describe('embedded broker: random calls', () => {
  for (let seed = 1; seed <= 30; seed++) {
    it(`agrees with a naive log at every step (seed ${seed})`, async () => {
      const run = new Run(seed);
      await run.start();
      for (let step = 0; step < 250; step++) await run.step();
      await run.finish();
    });
  }
});
