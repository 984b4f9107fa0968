/** What only a real Kafka can show: outages, wrong settings, an old broker's name still taken, waking up. */
import assert from 'node:assert/strict';
import { performance } from 'node:perf_hooks';
import { after, before, describe, it } from 'mocha';
import type { StreamsError } from '../../src/base/errors.ts';
import { silentTelemetry } from '../../src/base/telemetry-port.ts';
import type { Broker, GroupMember, OutgoingRecord } from '../../src/broker/broker-port.ts';
import { eventually } from '../support/eventually.ts';
import { openTestKafka, testKafka, uniqueName } from '../support/kafka.ts';
import { KafkaProxy } from '../support/kafka-proxy.ts';

const codeIs = (code: string) => (error: StreamsError) => {
  assert.equal(error.code, code, error.message);
  return true;
};

describe('opening a Kafka broker', () => {
  it('fails within twelve seconds and names the address when nothing listens there', async () => {
    const startedMs = performance.now();
    await assert.rejects(
      openTestKafka({ brokers: '127.0.0.1:1' }),
      (error: StreamsError) =>
        codeIs('BROKER_UNAVAILABLE')(error) &&
        error.message.includes('127.0.0.1:1') &&
        /refused/i.test(error.message) &&
        error.hint !== undefined,
    );
    assert.ok(performance.now() - startedMs < 12_000);
  });

  it('fails when it speaks TLS to a plain listener', async () => {
    await assert.rejects(
      openTestKafka({ properties: { 'security.protocol': 'ssl' } }),
      (error: StreamsError) => codeIs('BROKER_UNAVAILABLE')(error) && /ssl/i.test(error.message),
    );
  });

  it('closes twice, and what was opened with it', async () => {
    const broker = await openTestKafka();
    const consumer = await broker.openConsumer({
      isolation: 'read_committed',
      clientId: uniqueName('client'),
    });
    const producer = await broker.openProducer({ clientId: uniqueName('client') });
    await broker.close();
    await broker.close();
    await consumer.close();
    await producer.close();
    await assert.rejects(consumer.poll({ recordsMax: 1, waitMs: 0 }), codeIs('BROKER_REQUEST_FAILED'));
    await assert.rejects(broker.admin.describeTopics(['any']), codeIs('BROKER_REQUEST_FAILED'));
  });
});

describe('a Kafka that goes away', function () {
  this.timeout(120_000);
  let proxy: KafkaProxy;
  let broker: Broker;
  let topic: string;

  before(async () => {
    proxy = new KafkaProxy(testKafka());
    broker = await openTestKafka({ brokers: await proxy.start() });
    topic = uniqueName('outage');
    await broker.admin.createTopics([{ name: topic, partitions: 1 }]);
  });
  after(async () => {
    await broker?.close();
    await proxy?.close();
  });

  const record = (value: string): OutgoingRecord => ({
    topic,
    partition: 0,
    key: null,
    value: Buffer.from(value),
    timestamp: 1,
    headers: [],
  });

  it('leaves the outcome of a commit unknown when it does not come back in time', async () => {
    const transactionalId = uniqueName('tx');
    const options = { clientId: uniqueName('client'), transactionalId, transactionTimeoutMs: 2_000 };
    const producer = await broker.openProducer(options);
    await producer.init();
    await producer.begin();
    await producer.send([record('unknown')]);
    await producer.flush();
    proxy.interrupt();
    await assert.rejects(
      producer.commit(),
      (error: StreamsError) => codeIs('TRANSACTION_OUTCOME_UNKNOWN')(error) && error.kind === 'fenced',
    );
    assert.equal(producer.mayHaveRetried(), true);
    proxy.restore();
    await producer.close();
    const next = await broker.openProducer(options);
    await next.init();
    await next.begin();
    await next.send([record('after')]);
    await next.commit();
    assert.equal(next.mayHaveRetried(), false);
    await next.close();
  });

  it('is read on from when it comes back, with nothing lost or repeated', async () => {
    const away = uniqueName('away');
    await broker.admin.createTopics([{ name: away, partitions: 1 }]);
    const direct = await openTestKafka();
    const producer = await direct.openProducer({ clientId: uniqueName('client') });
    const consumer = await broker.openConsumer({
      isolation: 'read_committed',
      clientId: uniqueName('client'),
    });
    await consumer.assign([{ topic: away, partition: 0, offset: 0 }]);
    const found: string[] = [];
    const read = async (count: number): Promise<void> => {
      await eventually(
        async () => {
          for (const batch of await consumer.poll({ recordsMax: 100, waitMs: 50 })) {
            for (let i = 0; i < batch.count; i++) found.push(`${batch.value(i)}`);
          }
          return found.length >= count;
        },
        { what: `${count} records`, timeoutMs: 30_000 },
      );
    };
    const write = async (value: string): Promise<void> => {
      await producer.send([{ ...record(value), topic: away }]);
      await producer.flush();
    };
    await write('before');
    await read(1);
    proxy.interrupt();
    await write('during');
    assert.deepEqual(await consumer.poll({ recordsMax: 100, waitMs: 200 }), []);
    proxy.restore();
    await write('after');
    await read(3);
    assert.deepEqual(found, ['before', 'during', 'after']);
    await consumer.close();
    await direct.close();
  });
});

describe('a lost position', function () {
  this.timeout(60_000);

  it('is told though records of another partition keep coming', async () => {
    const broker = await openTestKafka();
    const topic = uniqueName('lost');
    await broker.admin.createTopics([{ name: topic, partitions: 2 }]);
    const producer = await broker.openProducer({ clientId: uniqueName('client') });
    const consumer = await broker.openConsumer({
      isolation: 'read_committed',
      clientId: uniqueName('client'),
    });
    await consumer.assign([
      { topic, partition: 0, offset: 0 },
      { topic, partition: 1, offset: 99 },
    ]);
    const isTold = (): Promise<void> =>
      assert.rejects(
        eventually(
          async () => {
            const value = Buffer.from('x');
            await producer.send([{ topic, partition: 0, key: null, value, timestamp: 1, headers: [] }]);
            await consumer.poll({ recordsMax: 10, waitMs: 20 });
            return false;
          },
          { what: 'the error', timeoutMs: 30_000 },
        ),
        (error: StreamsError) => codeIs('OFFSET_OUT_OF_RANGE')(error) && error.context.partition === 1,
      );
    await isTold();
    // The library tells it once, or never when a record comes before it: then our own check does.
    await isTold();
    await broker.close();
  });
});

describe('a Kafka group member', function () {
  this.timeout(120_000);
  let broker: Broker;
  before(async () => {
    broker = await openTestKafka();
  });
  after(() => broker?.close());

  const settle = (member: GroupMember, partitions: number): Promise<unknown> => {
    let owned = 0;
    return eventually(
      async () => {
        for (const event of await member.poll(200)) {
          owned += event.type === 'assigned' ? event.partitions.length : -event.partitions.length;
          await member.acknowledge(event);
        }
        return owned === partitions;
      },
      { what: `${partitions} partitions`, timeoutMs: 90_000 },
    );
  };

  it('O10 waits, live and without partitions, while the group still knows its name', async () => {
    const tokens = uniqueName('tokens');
    await broker.admin.createTopics([{ name: tokens, partitions: 3 }]);
    const options = {
      groupId: uniqueName('group'),
      topic: tokens,
      instanceId: 'one',
      sessionTimeoutMs: 6_000,
    };
    const holder = await broker.joinGroup(options);
    await settle(holder, 3);
    const newcomer = await broker.joinGroup(options);
    for (let i = 0; i < 10; i++) {
      assert.deepEqual(await newcomer.poll(200), []);
      await holder.poll(0);
    }
    await holder.close();
    await settle(newcomer, 3);
    await newcomer.close();
  });

  it('refuses offsets as fenced once the library has heard that another took its name', async () => {
    let hasHeard = false;
    const log = {
      ...silentTelemetry.log,
      warn: (_message: string, fields?: Record<string, unknown>) => {
        hasHeard ||= fields?.facility === 'FATAL';
      },
    };
    const own = await openTestKafka({ groupProtocol: 'classic', log });
    try {
      const tokens = uniqueName('tokens');
      await own.admin.createTopics([{ name: tokens, partitions: 2 }]);
      const options = {
        groupId: uniqueName('group'),
        topic: tokens,
        instanceId: 'one',
        sessionTimeoutMs: 6_000,
      };
      const older = await own.joinGroup(options);
      await settle(older, 2);
      const newer = await own.joinGroup(options);
      await settle(newer, 2);
      // Its heartbeat tells the library, and no poll of ours has told the member yet.
      await eventually(() => hasHeard, { what: 'the library to be told', timeoutMs: 30_000 });
      await assert.rejects(
        older.commitOffsets([{ topic: tokens, partition: 0, offset: 1 }]),
        codeIs('MEMBER_FENCED'),
      );
    } finally {
      await own.close();
    }
  });

  it('closes with a revocation unanswered', async () => {
    const tokens = uniqueName('tokens');
    await broker.admin.createTopics([{ name: tokens, partitions: 2 }]);
    const options = { groupId: uniqueName('group'), topic: tokens, sessionTimeoutMs: 6_000 };
    const first = await broker.joinGroup(options);
    await settle(first, 2);
    const second = await broker.joinGroup(options);
    await eventually(
      async () => {
        await second.poll(50);
        return (await first.poll(50)).some(({ type }) => type === 'revoked');
      },
      { what: 'the revocation', timeoutMs: 30_000 },
    );
    await first.close();
    await settle(second, 2);
    await second.close();
  });
});

describe('records on Kafka', () => {
  it('are bounded by one MiB with their headers, and the largest allowed one is written', async () => {
    const broker = await openTestKafka();
    const topic = uniqueName('large');
    await broker.admin.createTopics([{ name: topic, partitions: 1 }]);
    const producer = await broker.openProducer({
      clientId: uniqueName('client'),
      transactionalId: uniqueName('tx'),
    });
    await producer.init();
    await producer.begin();
    const sized = (bytes: number): OutgoingRecord => ({
      topic,
      partition: 0,
      key: null,
      // Random bytes, which do not compress.
      value: Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 7_919 + (i >> 3) * 104_729) & 255)),
      timestamp: 0,
      headers: [],
    });
    const largest = 1_048_576 - 96;
    await producer.send([sized(largest)]);
    await assert.rejects(producer.send([sized(largest + 1)]), codeIs('RECORD_TOO_LARGE'));
    await producer.commit();
    const consumer = await broker.openConsumer({
      isolation: 'read_committed',
      clientId: uniqueName('client'),
    });
    await consumer.assign([{ topic, partition: 0, offset: 0 }]);
    const batch = await eventually(async () => (await consumer.poll({ recordsMax: 1, waitMs: 100 }))[0], {
      what: 'the record',
    });
    assert.equal(batch.value(0)?.length, largest);
    assert.equal(batch.timestamp(0), 1, 'timestamp 0 means now to the client: it is written as 1');
    await broker.close();
  });
});
