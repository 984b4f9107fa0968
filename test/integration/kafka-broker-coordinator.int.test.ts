/**
 * A group's coordinator that has moved, or is still loading, answers "not me" to a question for offsets, or
 * not at all. Found by killing brokers: the Kafka library's admin call then crashed the process.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { StreamsError } from '../../src/base/errors.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { openTestKafka, testKafka, uniqueName } from '../support/kafka.ts';
import { KafkaFaultProxy } from '../support/kafka-fault-proxy.ts';

const offsetFetch = 9;
const notCoordinator = 16;

describe('a coordinator that has moved', function () {
  this.timeout(60_000);
  let proxy: KafkaFaultProxy;
  let broker: Broker;

  before(async () => {
    proxy = new KafkaFaultProxy(testKafka());
    broker = await openTestKafka({ brokers: await proxy.start() });
  });
  after(async () => {
    await broker?.close();
    await proxy?.close();
  });

  /** A topic and a group of their own, and the question for the group's offset. */
  const question = async (): Promise<() => Promise<(number | undefined)[]>> => {
    const topic = uniqueName('moved');
    const group = uniqueName('group');
    await broker.admin.createTopics([{ name: topic, partitions: 1 }]);
    return () => broker.admin.committedOffsets(group, [{ topic, partition: 0 }]);
  };

  it('is an error to be tried again when offsets are asked for, and the process lives', async () => {
    const ask = await question();
    let edited = 0;
    for (let time = 0; time < 3; time++) {
      proxy.editNext(offsetFetch, (answer, version) => {
        // The group's error code comes last, before one byte of tags, and from version 8 on before two.
        const at = answer.length - (version >= 8 ? 4 : 3);
        assert.equal(answer.readInt16BE(at), 0, `the answer of version ${version} ends otherwise`);
        answer.writeInt16BE(notCoordinator, at);
        edited++;
      });
      await assert.rejects(ask, (error) => error instanceof StreamsError && error.kind === 'retriable');
    }
    assert.equal(edited, 3);
    assert.deepEqual(await ask(), [undefined]);
  });

  it('is asked again when the connection breaks before its answer, and the process lives', async () => {
    const ask = await question();
    let cut = 0;
    for (let time = 0; time < 3; time++) {
      proxy.editNext(offsetFetch, () => {
        proxy.cutAll();
        cut++;
      });
      assert.deepEqual(await ask(), [undefined]);
    }
    assert.equal(cut, 3);
  });
});
