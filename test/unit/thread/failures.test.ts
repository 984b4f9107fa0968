/**
 * Goal: an outage, a failing disk or a hanging commit costs time and nothing else; what no retry can cure
 * ends the instance; a stop ends in time. Method: a counting application on the embedded broker, with
 * brokers, disks and serdes that fail as told. Each output carries its key's count.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsApp, type StreamsSettings } from '../../../src/app/streams-app.ts';
import type { KeyValueBackend } from '../../../src/base/backend-port.ts';
import { StreamsError } from '../../../src/base/errors.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker, Producer } from '../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import type { KeyValueStore, Processor, ProcessorContext, Record } from '../../../src/graph/processor.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { longSerde, type Serde, stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';
import { changedBroker, withPolls } from '../../support/changed-broker.ts';
import { eventually } from '../../support/eventually.ts';

class Count implements Processor<string, string, string, number> {
  #context!: ProcessorContext<string, number>;
  #counts!: KeyValueStore<string, number>;

  init(context: ProcessorContext<string, number>): void {
    this.#context = context;
    this.#counts = context.getStateStore('counts');
  }

  process(record: Record<string, string>): void {
    const count = (this.#counts.get(record.key) ?? 0) + 1;
    this.#counts.put(record.key, count);
    this.#context.forward({ ...record, value: count });
  }
}

function topology(valueSerde: Serde<number> = longSerde): Topology {
  return new Topology()
    .addSource({ name: 'in', topics: ['words'], keySerde: stringSerde, valueSerde: stringSerde })
    .addStateStore({
      name: 'counts',
      kind: 'key-value',
      keySerde: stringSerde,
      valueSerde: longSerde,
      changelog: true,
    })
    .addProcessor({ name: 'count', supplier: () => new Count(), parents: ['in'], stores: ['counts'] })
    .addSink({ name: 'out', topic: 'totals', keySerde: stringSerde, valueSerde, parents: ['count'] });
}

const inputs = [{ topic: 'words', partition: 0 }];

async function openBroker(): Promise<Broker> {
  const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
  await broker.admin.createTopics([
    { name: 'words', partitions: 1 },
    { name: 'totals', partitions: 1 },
  ]);
  return broker;
}

async function produce(broker: Broker, count: number, keys = 5): Promise<void> {
  const producer = await broker.openProducer({ clientId: 'test' });
  await producer.send(
    Array.from({ length: count }, (_, n) => ({
      topic: 'words',
      partition: 0,
      key: Buffer.from(`k${n % keys}`),
      value: Buffer.from('x'),
      timestamp: 1_000 + n,
      headers: [],
    })),
  );
  await producer.flush();
  await producer.close();
}

/** Methods of `changes` go before the broker's own; the rest is passed on. */
function withProducer(broker: Broker, change: (producer: Producer) => Partial<Producer>): Broker {
  return changedBroker(broker, {
    openProducer: async (options) => {
      const producer = await broker.openProducer(options);
      return {
        init: () => producer.init(),
        begin: () => producer.begin(),
        send: (records) => producer.send(records),
        flush: () => producer.flush(),
        sendOffsets: (offsets, member) => producer.sendOffsets(offsets, member),
        commit: () => producer.commit(),
        abort: () => producer.abort(),
        mayHaveRetried: () => producer.mayHaveRetried(),
        close: () => producer.close(),
        ...change(producer),
      };
    },
  });
}

interface Parts {
  readonly topology?: Topology;
  readonly settings?: Partial<StreamsSettings>;
  readonly open?: (taskId: string) => Promise<KeyValueBackend>;
  readonly destroy?: (taskId: string) => void;
}

function application(broker: Broker, parts: Parts = {}): StreamsApp {
  return new StreamsApp({
    topology: parts.topology ?? topology(),
    settings: { applicationId: 'app', commitIntervalMs: 5, ...parts.settings },
    broker,
    openTaskBackend: parts.open ?? new MemoryDisk().open,
    destroyTaskBackend: async (taskId) => parts.destroy?.(taskId),
    clock: wallClock,
  });
}

async function expectCounts(broker: Broker, total: number, keys = 5): Promise<void> {
  await eventually(
    async () => {
      const [committed] = await broker.admin.committedOffsets('app', inputs).catch(() => []);
      return committed === total;
    },
    { timeoutMs: 10_000, what: 'all records to be committed' },
  );
  const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
  const totals = { topic: 'totals', partition: 0 };
  await consumer.assign([{ ...totals, offset: 0 }]);
  const [end] = await broker.admin.endOffsets([totals], 'read_committed');
  const counts = new Map<string, number[]>();
  while (consumer.position(totals) < (end as number)) {
    for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 10 })) {
      for (let index = 0; index < batch.count; index++) {
        const key = String(batch.key(index));
        const list = counts.get(key) ?? [];
        list.push(longSerde.deserialize(batch.value(index), '') as number);
        counts.set(key, list);
      }
    }
  }
  await consumer.close();
  assert.equal(counts.size, keys);
  for (const list of counts.values())
    assert.deepEqual(
      list,
      Array.from({ length: total / keys }, (_, index) => index + 1),
    );
}

describe('an instance', () => {
  it('closes, reopens and replays a store that failed to write', async () => {
    const broker = await openBroker();
    let writes = 0;
    const disk = new MemoryDisk({
      beforeWrite: () => {
        writes++;
        if (writes === 2 || writes === 5) throw new Error('no space');
      },
    });
    let destroyed = 0;
    const app = application(broker, { open: disk.open, destroy: () => destroyed++ });
    await app.start();
    for (let turn = 1; turn <= 6; turn++) {
      await produce(broker, 50);
      await expectCounts(broker, 50 * turn);
    }
    assert.ok(writes > 5);
    assert.equal(destroyed, 0, 'a failed write proves no damage');
    await app.stop();
    await broker.close();
  });

  it('goes on when the store fails a read in the middle of a round', async () => {
    const broker = await openBroker();
    const disk = new MemoryDisk();
    let reads = 0;
    const open = async (taskId: string): Promise<KeyValueBackend> => {
      const backend = await disk.open(taskId);
      return {
        getMany: (keys) => {
          if (keys.some((key) => key[0] === 1) && ++reads === 1)
            return Promise.reject(new StreamsError('STORE_IO_FAILED', 'the disk is away (injected)'));
          return backend.getMany(keys);
        },
        range: (range) => backend.range(range),
        scan: (range, pageSize) => backend.scan(range, pageSize),
        write: (changes, options) => backend.write(changes, options),
        sizeBytes: () => backend.sizeBytes(),
        close: () => backend.close(),
      };
    };
    const app = application(broker, { open });
    await app.start();
    for (let turn = 1; turn <= 4; turn++) {
      await produce(broker, 50);
      await expectCounts(broker, 50 * turn);
    }
    assert.ok(reads > 1);
    await app.stop();
    await broker.close();
  });

  it('rebuilds a store whose folder is proven damaged, once', async () => {
    const broker = await openBroker();
    const disk = new MemoryDisk();
    let damaged = false;
    let destroyed = 0;
    const parts: Parts = {
      open: (taskId) =>
        damaged
          ? Promise.reject(new StreamsError('STORE_CORRUPTED', 'a checksum is wrong (injected)'))
          : disk.open(taskId),
      destroy: (taskId) => {
        destroyed++;
        damaged = false;
        disk.remove(taskId);
      },
    };
    const first = application(broker, parts);
    await first.start();
    await produce(broker, 100);
    await expectCounts(broker, 100);
    await first.stop();
    damaged = true;
    const second = application(broker, parts);
    await second.start();
    await produce(broker, 100);
    await expectCounts(broker, 200);
    assert.equal(destroyed, 1);
    await second.stop();
    await broker.close();
  });

  it('waits for a registry that is away while it writes', async () => {
    const broker = await openBroker();
    let refusals = 3;
    const fussy: Serde<number> = {
      ...longSerde,
      deserialize: (bytes, topic) => longSerde.deserialize(bytes, topic),
      serialize: (value, topic) => {
        if (value === 3 && refusals-- > 0)
          throw new StreamsError('REGISTRY_UNAVAILABLE', 'no answer (injected)');
        return longSerde.serialize(value, topic);
      },
    };
    const app = application(broker, { topology: topology(fussy) });
    await app.start();
    await produce(broker, 100);
    await expectCounts(broker, 100);
    assert.equal(app.status().deadLettered, 0);
    await app.stop();
    await broker.close();
  });

  it('keeps its tasks while the inputs cannot be read', async () => {
    const broker = await openBroker();
    let refusals = 0;
    let opened = 0;
    const disk = new MemoryDisk();
    const app = application(
      withPolls(broker, (consumer, how) => {
        if (refusals > 0 && refusals-- > 0)
          return Promise.reject(new StreamsError('BROKER_UNAVAILABLE', 'away (injected)'));
        return consumer.poll(how);
      }),
      {
        open: (taskId) => {
          opened++;
          return disk.open(taskId);
        },
      },
    );
    await app.start();
    await produce(broker, 50);
    await expectCounts(broker, 50);
    refusals = 3;
    await produce(broker, 50);
    await expectCounts(broker, 100);
    await eventually(() => refusals === 0, { what: 'the polls to fail' });
    assert.equal(opened, 1);
    await app.stop();
    await broker.close();
  });

  it('takes a bounded number of records while a commit hangs', async () => {
    const broker = await openBroker();
    let release: () => void = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let hangs = 0;
    const app = application(
      withProducer(broker, (producer) => ({
        commit: async () => {
          hangs++;
          await released;
          await producer.commit();
        },
      })),
      { settings: { commitRecordsMax: 1_000 } },
    );
    await app.start();
    await produce(broker, 30_000);
    await eventually(() => hangs === 1, { what: 'the commit to hang' });
    let before = -1;
    let stillLooks = 0;
    await eventually(
      () => {
        const now = app.status().recordsProcessed;
        stillLooks = now === before ? stillLooks + 1 : 0;
        before = now;
        // Several looks in a row, or a pause of the event loop would pass for the instance's.
        return now > 0 && stillLooks >= 15;
      },
      { what: 'the instance to pause' },
    );
    assert.ok(before < 10_000, `${before} records wait for the next commit`);
    release();
    await expectCounts(broker, 30_000);
    await app.stop();
    await broker.close();
  });

  it('stops in time although its commit never ends', async () => {
    const broker = await openBroker();
    let hangs = 0;
    const app = application(
      withProducer(broker, () => ({
        commit: () => {
          hangs++;
          return new Promise(() => {});
        },
      })),
      { settings: { shutdownMsMax: 200 } },
    );
    await app.start();
    await produce(broker, 10);
    await eventually(() => hangs === 1, { what: 'the commit to hang' });
    // Nothing ends that commit: without the bound on a shutdown this would hang until the test's own deadline.
    await app.stop();
    await broker.close();
  });

  it('ends, and does not try for ever, when the broker takes no such record', async () => {
    const broker = await openBroker();
    const app = application(
      withProducer(broker, () => ({
        send: () =>
          Promise.reject(new StreamsError('RECORD_TOO_LARGE', 'too large for this topic (injected)')),
      })),
    );
    await app.start();
    await produce(broker, 10);
    const failure = await app.failure;
    assert.equal(failure?.code, 'RECORD_TOO_LARGE');
    await app.stop();
    await broker.close();
  });
});
