/**
 * F10: the schema registry is gone, slow or answers nonsense, at the start and in the middle. What is cached goes
 * on; a record that needs a schema which is not makes its task wait, and only that; nothing is skipped and nothing
 * is a dead letter. Method: an Avro application on the embedded broker, and an HTTP registry that fails as told.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { StreamsApp } from '../../src/app/streams-app.ts';
import { parseRecordSchema } from '../../src/base/avro-schema.ts';
import type { StreamsError } from '../../src/base/errors.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import type { Processor, ProcessorContext, Record } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { openHttpRegistry } from '../../src/registry/http-registry.ts';
import { compileCodec } from '../../src/serde/avro-library.ts';
import { createAvroSerdes } from '../../src/serde/avro-serde.ts';
import { type Serde, stringSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { eventually } from '../support/eventually.ts';
import { type RegistryMode, RegistryServer } from '../support/registry-server.ts';

interface Word {
  readonly type: 'Word';
  readonly text: string;
}

const recordName = 'shop.Word';
const subject = `words-${recordName}`;
const schemaWith = (...more: string[]): string =>
  JSON.stringify({
    type: 'record',
    name: 'Word',
    namespace: 'shop',
    fields: [
      { name: 'text', type: 'string' },
      ...more.map((name) => ({ name, type: ['null', 'string'], default: null })),
    ],
  });

class Pass implements Processor<string, Word, string, string> {
  #context!: ProcessorContext<string, string>;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
  }

  process(record: Record<string, Word>): void {
    this.#context.forward({ ...record, value: record.value.text });
  }
}

describe('F10: a schema registry that fails', () => {
  let server: RegistryServer;
  let url: string;
  let broker: Broker;
  let app: StreamsApp | undefined;

  beforeEach(async () => {
    server = new RegistryServer();
    server.add(subject, schemaWith());
    url = await server.start();
    broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([
      { name: 'words', partitions: 2 },
      { name: 'texts', partitions: 2 },
    ]);
  });
  afterEach(async () => {
    await app?.stop();
    app = undefined;
    await broker.close();
    await server.close();
  });

  async function openSerde(timeoutMs: number): Promise<Serde<Word>> {
    const registry = await openHttpRegistry({
      url,
      clock: wallClock,
      timeoutMs,
      retries: 1,
      retryPauseMs: 5,
    });
    const schemas = {
      records: new Map([[recordName, schemaWith()]]),
      level: 'FULL_TRANSITIVE',
      topics: [],
    } as const;
    const serdes = createAvroSerdes({ registry, schemas, autoRegister: false, clock: wallClock });
    return serdes.forTopic<Word>('words', [recordName]);
  }

  async function start(timeoutMs = 300): Promise<StreamsApp> {
    const valueSerde = await openSerde(timeoutMs);
    app = new StreamsApp({
      topology: new Topology()
        .addSource({ name: 'in', topics: ['words'], keySerde: stringSerde, valueSerde })
        .addProcessor({ name: 'pass', supplier: () => new Pass(), parents: ['in'] })
        .addSink({
          name: 'out',
          topic: 'texts',
          keySerde: stringSerde,
          valueSerde: stringSerde,
          parents: ['pass'],
          partitioner: (_topic, key) => Number(key),
        }),
      settings: { applicationId: 'app', commitIntervalMs: 5 },
      broker,
      openTaskBackend: new MemoryDisk().open,
      destroyTaskBackend: async () => {},
      clock: wallClock,
    });
    await app.start();
    return app;
  }

  /** Words of one partition, written with the schema of an id. */
  async function produce(
    partition: number,
    schemaId: number,
    schema: string,
    texts: string[],
  ): Promise<void> {
    const codec = compileCodec(parseRecordSchema(schema));
    const producer = await broker.openProducer({ clientId: 'writer' });
    await producer.send(
      texts.map((text) => {
        const bytes = Buffer.alloc(256);
        const end = codec.encode({ type: 'Word', text, more: null, extra: null }, bytes, 5);
        bytes.writeUInt8(0, 0);
        bytes.writeUInt32BE(schemaId, 1);
        return {
          topic: 'words',
          partition,
          key: Buffer.from(String(partition)),
          value: Buffer.from(bytes.subarray(0, end)),
          timestamp: 1_000,
          headers: [],
        };
      }),
    );
    await producer.flush();
    await producer.close();
  }

  async function texts(partition: number): Promise<string[]> {
    const input = { topic: 'texts', partition };
    const [end = 0] = await broker.admin.endOffsets([input], 'read_committed');
    const consumer = await broker.openConsumer({ isolation: 'read_committed', clientId: 'judge' });
    await consumer.assign([{ ...input, offset: 0 }]);
    const found: string[] = [];
    while (consumer.position(input) < end) {
      for (const batch of await consumer.poll({ recordsMax: 1_000, waitMs: 10 }))
        for (let index = 0; index < batch.count; index++) found.push(String(batch.value(index)));
    }
    await consumer.close();
    return found;
  }

  async function expectTexts(partition: number, expected: string[]): Promise<void> {
    await eventually(async () => (await texts(partition)).length >= expected.length, {
      timeoutMs: 15_000,
      what: `${expected.length} texts in partition ${partition}, there are ${(await texts(partition)).length}`,
    });
    assert.deepEqual(await texts(partition), expected);
  }

  const modes: RegistryMode[] = ['refused', 'silent', 'error', 'page', 'not found page', 'without schema'];
  for (const mode of modes) {
    it(`goes on with what is cached, and waits for what is not (${mode})`, async () => {
      const running = await start();
      await produce(0, 1, schemaWith(), ['a']);
      await expectTexts(0, ['a']);
      server.mode = mode;
      const newId = server.add(subject, schemaWith('more'));
      await produce(1, 1, schemaWith(), ['x']);
      await produce(1, newId, schemaWith('more'), ['y']);
      await produce(1, 1, schemaWith(), ['z']);
      await eventually(() => server.hits >= 4, { timeoutMs: 20_000, what: 'the registry to be asked' });
      await produce(0, 1, schemaWith(), ['b', 'c']);
      await expectTexts(0, ['a', 'b', 'c']);
      assert.equal((await texts(1)).includes('z'), false, 'nothing is skipped');
      assert.notEqual(running.state, 'ERROR');
      server.mode = 'up';
      await expectTexts(1, ['x', 'y', 'z']);
      assert.equal(running.status().deadLettered, 0);
    });
  }

  it('does not hold up other tasks while one request hangs', async () => {
    await start(60_000);
    server.mode = 'silent';
    const newId = server.add(subject, schemaWith('more'));
    await produce(1, newId, schemaWith('more'), ['y']);
    await eventually(() => server.held === 1, { what: 'the request to hang' });
    await produce(0, 1, schemaWith(), ['a', 'b']);
    await expectTexts(0, ['a', 'b']);
    assert.equal(server.held, 1, 'it hangs still');
  });

  it('lets other tasks read on though the waiting one has more than fits in memory', async () => {
    await start();
    server.mode = 'error';
    const newId = server.add(subject, schemaWith('more'));
    await produce(1, newId, schemaWith('more'), ['y']);
    const many = Array.from({ length: 30_000 }, (_, index) => String(index));
    await produce(1, 1, schemaWith(), many);
    await eventually(
      () => (app?.status().tasks.find(({ taskId }) => taskId === '0_1')?.queued ?? 0) > 3_000,
      {
        what: 'the waiting task to have a queue',
      },
    );
    await produce(0, 1, schemaWith(), many);
    await expectTexts(0, many);
    server.mode = 'up';
    await expectTexts(1, ['y', ...many]);
  });

  for (const mode of modes) {
    it(`says at the start what is wrong (${mode})`, async () => {
      server.mode = mode;
      await assert.rejects(openSerde(200), (error: StreamsError) => {
        const codes = ['REGISTRY_UNAVAILABLE', 'REGISTRY_REQUEST_FAILED'];
        assert.ok(codes.includes(error.code), `${error.code} ${error.message}`);
        assert.match(error.message, /registry/);
        assert.ok(error.message.includes(url), `the address is named: ${error.message}`);
        return true;
      });
      assert.ok(server.hits > 0);
    });
  }
});
