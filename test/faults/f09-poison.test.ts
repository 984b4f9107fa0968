/**
 * F9: records that can never be processed: bytes that are no Avro, cut off, of a schema that nobody knows, a
 * handler that throws, an output that no broker takes. Each is in the dead letters exactly once, as it came and with
 * where it came from, in the transaction that moves the offset past it; its neighbours flow, in order.
 * Method: a counting application on the embedded broker, whose commits fail and whose process is cut off while
 * poison goes through it; what a read-committed reader sees is judged.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp } from '../../src/app/streams-app.ts';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker, GroupMember, OutgoingRecord } from '../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import type { KeyValueStore, Processor, ProcessorContext, Record } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded-registry.ts';
import { createAvroSerdes } from '../../src/serde/avro-serde.ts';
import { type Serde, stringSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { changedBroker } from '../support/changed-broker.ts';
import { eventually } from '../support/eventually.ts';
import { type CommitFault, faultyBroker } from '../support/faulty-broker.ts';

interface Word {
  readonly type: 'Word';
  readonly text: string;
}

const schema = JSON.stringify({
  type: 'record',
  name: 'Word',
  namespace: 'shop',
  fields: [{ name: 'text', type: 'string' }],
});
const partitions = 2;
const keys = 6;

/** Counts per key before it fails, so that a half-done record would leave a trace in the count. */
class Count implements Processor<string, Word, string, string> {
  #context!: ProcessorContext<string, string>;
  #counts!: KeyValueStore<string, string>;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
    this.#counts = context.getStateStore('counts');
  }

  process(record: Record<string, Word>): void {
    const { text } = record.value;
    const count = Number(this.#counts.get(record.key) ?? 0) + 1;
    this.#counts.put(record.key, String(count));
    this.#context.forward({ ...record, value: `${count} ${text}` });
    if (text === 'throws') throw new Error('the handler does not like this');
    if (text === 'large') this.#context.forward({ ...record, value: 'x'.repeat(1_100_000) });
  }
}

interface Poison {
  readonly name: string;
  readonly code: string;
  readonly bytes: (good: (text: string) => Buffer) => Buffer;
}

const poisons: Poison[] = [
  { name: 'no Avro', code: 'RECORD_NOT_AVRO', bytes: () => Buffer.from('plain text') },
  { name: 'cut off', code: 'RECORD_UNREADABLE', bytes: (good) => good('a longer text').subarray(0, 9) },
  { name: 'unknown schema', code: 'SCHEMA_UNKNOWN', bytes: (good) => withId(good('x'), 4711) },
  { name: 'throws', code: 'PROCESSING_FAILED', bytes: (good) => good('throws') },
  { name: 'large', code: 'RECORD_TOO_LARGE', bytes: (good) => good('large') },
];

function withId(bytes: Buffer, id: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt32BE(id, 1);
  return copy;
}

/** Where a record lies. */
function place({ partition, offset }: { partition: number; offset: number }): string {
  return `${partition}@${offset}`;
}

describe('F9: records that can never be processed', () => {
  let broker: Broker;
  let serde: Serde<Word>;
  let disk: MemoryDisk;
  const apps: StreamsApp[] = [];
  /** Poison by its place. */
  let sent: Map<string, { poison: Poison; value: Buffer }>;
  let goodOf: Map<string, number>;
  const ends = [0, 0];

  beforeEach(async () => {
    broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics(['words', 'counts'].map((name) => ({ name, partitions })));
    const schemas = {
      stores: [],
      records: new Map([['shop.Word', schema]]),
      level: 'FULL_TRANSITIVE',
      topics: [],
    } as const;
    const registry = await openEmbeddedRegistry({ schemas });
    const avro = createAvroSerdes({ registry, schemas, autoRegister: true, clock: wallClock });
    serde = await avro.forTopic<Word>('words', ['shop.Word']);
    disk = new MemoryDisk();
    sent = new Map();
    goodOf = new Map();
    ends.fill(0);
  });
  afterEach(async () => {
    for (const app of apps.splice(0)) await app.stop();
    await broker.close();
  });

  async function start(on: Broker): Promise<StreamsApp> {
    const app = new StreamsApp({
      topology: new Topology()
        .addSource({ name: 'in', topics: ['words'], keySerde: stringSerde, valueSerde: serde })
        .addStateStore({
          name: 'counts',
          kind: 'key-value',
          keySerde: stringSerde,
          valueSerde: stringSerde,
          changelog: true,
        })
        .addProcessor({ name: 'count', supplier: () => new Count(), parents: ['in'], stores: ['counts'] })
        .addSink({
          name: 'out',
          topic: 'counts',
          keySerde: stringSerde,
          valueSerde: stringSerde,
          parents: ['count'],
        }),
      settings: { applicationId: 'app', commitIntervalMs: 5, shutdownMsMax: 100 },
      broker: on,
      openTaskBackend: disk.open,
      destroyTaskBackend: async (taskId) => disk.remove(taskId),
      clock: wallClock,
    });
    apps.push(app);
    await app.start();
    return app;
  }

  /** Every `every`-th record is poison, each kind in turn. */
  async function produce(count: number, every: number): Promise<void> {
    const good = (text: string) => serde.serialize({ type: 'Word', text }, 'words') as Buffer;
    const records: OutgoingRecord[] = [];
    for (let n = 0; n < count; n++) {
      const key = n % keys;
      const partition = key % partitions;
      const poison = n % every === 0 ? poisons[(n / every) % poisons.length] : undefined;
      const value = poison === undefined ? good(`w${n}`) : poison.bytes(good);
      const offset = ends[partition] as number;
      ends[partition] = offset + 1;
      if (poison !== undefined) sent.set(place({ partition, offset }), { poison, value });
      else goodOf.set(`k${key}`, (goodOf.get(`k${key}`) ?? 0) + 1);
      const headers = [{ key: 'origin', value: Buffer.from(`n${n}`) }];
      records.push({
        topic: 'words',
        partition,
        key: Buffer.from(`k${key}`),
        value,
        timestamp: 1_000 + n,
        headers,
      });
    }
    const producer = await broker.openProducer({ clientId: 'writer' });
    await producer.send(records);
    await producer.flush();
    await producer.close();
  }

  async function settle(): Promise<void> {
    const inputs = ends.map((_, partition) => ({ topic: 'words', partition }));
    await eventually(
      async () => {
        const committed = await broker.admin.committedOffsets('app', inputs).catch(() => []);
        return inputs.every((_, index) => committed[index] === ends[index]);
      },
      { timeoutMs: 20_000, what: 'all records to be committed' },
    );
  }

  async function read(topic: string) {
    const inputs = ends.map((_, partition) => ({ topic, partition }));
    const tops = await broker.admin.endOffsets(inputs, 'read_uncommitted');
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    await consumer.assign(inputs.map((input) => ({ ...input, offset: 0 })));
    const records: { partition: number; key: string; value: Buffer | null; headers: Map<string, string> }[] =
      [];
    while (inputs.some((input, index) => consumer.position(input) < (tops[index] as number))) {
      for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 10 })) {
        for (let index = 0; index < batch.count; index++) {
          const headers = new Map(batch.headers(index).map(({ key, value }) => [key, value.toString()]));
          const key = String(batch.key(index));
          records.push({ partition: batch.partition, key, value: batch.value(index), headers });
        }
      }
    }
    await consumer.close();
    return records;
  }

  /** Each piece of poison once, as it came; each good record counted once, in order. */
  async function judge(): Promise<void> {
    const letters = await read('words.dlq');
    const found = new Map<string, number>();
    for (const { partition, value, headers } of letters) {
      const origin = {
        partition: Number(headers.get('__streams.errors.partition')),
        offset: Number(headers.get('__streams.errors.offset')),
      };
      const at = place(origin);
      found.set(at, (found.get(at) ?? 0) + 1);
      const { poison, value: bytes } = sent.get(at) ?? assert.fail(`a letter of ${at}, where no poison was`);
      assert.equal(headers.get('__streams.errors.topic'), 'words');
      assert.equal(headers.get('__streams.errors.exception'), poison.code, poison.name);
      assert.ok(headers.get('origin')?.startsWith('n'), 'the record’s own headers are kept');
      assert.equal(partition, origin.partition, 'the same partition');
      assert.deepEqual(value, bytes, 'the bytes as they came');
    }
    assert.deepEqual([...found.keys()].sort(), [...sent.keys()].sort(), 'every piece of poison is there');
    assert.ok(
      [...found.values()].every((count) => count === 1),
      `once: ${[...found].filter(([, count]) => count > 1).map(([at]) => at)}`,
    );
    const counts = new Map<string, number[]>();
    for (const { key, value } of await read('counts'))
      counts.set(key, [...(counts.get(key) ?? []), Number(String(value).split(' ')[0])]);
    for (const [key, count] of goodOf)
      assert.deepEqual(
        counts.get(key),
        Array.from({ length: count }, (_, index) => index + 1),
        key,
      );
  }

  it('are dead letters, once each, and their neighbours flow', async () => {
    const app = await start(broker);
    await produce(600, 7);
    await settle();
    await judge();
    assert.equal(app.status().deadLettered, sent.size);
    assert.ok(poisons.every(({ name }) => [...sent.values()].some(({ poison }) => poison.name === name)));
  });

  it('are dead letters when there is nothing else', async () => {
    await start(broker);
    await produce(100, 1);
    await settle();
    await judge();
  });

  const faults: CommitFault[] = ['abort before', 'answer lost', 'request lost', 'offsets refused'];
  for (const fault of faults) {
    it(`are not doubled by commits that fail (${fault})`, async () => {
      const random = seededRandom(9);
      let injected = 0;
      await start(
        faultyBroker(broker, () => {
          if (injected >= 8 || random.next() > 0.4) return 'none';
          injected++;
          return fault;
        }),
      );
      await eventually(
        async () => {
          await produce(60, 5);
          await settle();
          return injected >= 8;
        },
        { timeoutMs: 40_000, what: 'commits to fail' },
      );
      await judge();
    });
  }

  it('are not doubled by a process that dies between their letter and its commit', async () => {
    let dying = 0;
    for (let life = 0; life < 4; life++) {
      let begun = 0;
      let member: GroupMember | undefined;
      const mortal = changedBroker(broker, {
        joinGroup: async (options) => {
          member = await broker.joinGroup(options);
          return member;
        },
        openProducer: async (options) => {
          const producer = await broker.openProducer(options);
          return {
            init: () => producer.init(),
            begin: () => producer.begin(),
            send: (records) => producer.send(records),
            flush: () => producer.flush(),
            sendOffsets: (offsets, member) => producer.sendOffsets(offsets, member),
            commit: async () => {
              if (++begun < 3) return producer.commit();
              // Everything is on the broker, and nobody ends the transaction; or it is ended and nobody hears.
              await producer.flush();
              if (life % 2 === 1) await producer.commit();
              dying++;
              return new Promise(() => {});
            },
            abort: () => producer.abort(),
            mayHaveRetried: () => producer.mayHaveRetried(),
            close: async () => {},
          };
        },
      });
      const app = await start(mortal);
      const before = dying;
      await eventually(
        async () => {
          await produce(30, 3);
          return dying > before;
        },
        { timeoutMs: 30_000, what: 'it to die in a commit' },
      );
      disk.kill();
      await app.stop();
      // Its session would end by itself; this test is not about how long that takes.
      await member?.close();
    }
    await start(broker);
    await settle();
    await judge();
    assert.equal(dying, 4);
  });
});
