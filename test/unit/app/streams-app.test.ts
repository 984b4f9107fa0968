/** Goal: an application does not start on internal topics that do not fit its inputs any more. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { StreamsApp } from '../../../src/app/streams-app.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { MemoryDisk } from '../../../src/store/memory-backend.ts';

describe('an application', () => {
  it('refuses to start when the number of partitions of its input has changed', async () => {
    const strings = { keySerde: stringSerde, valueSerde: stringSerde };
    const application = (broker: Awaited<ReturnType<typeof openEmbeddedBroker>>) =>
      new StreamsApp({
        topology: new Topology()
          .addSource({ name: 'in', topics: ['in'], ...strings })
          .addSink({ name: 'out', topic: 'out', ...strings, parents: ['in'] }),
        settings: { applicationId: 'app' },
        broker,
        openTaskBackend: new MemoryDisk().open,
        destroyTaskBackend: async () => {},
      });
    const broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    const out = { name: 'out', partitions: 1 };
    await broker.admin.createTopics([{ name: 'in', partitions: 2 }, out]);
    const first = application(broker);
    await first.start();
    await first.stop();
    await broker.admin.deleteTopics(['in']);
    await broker.admin.createTopics([{ name: 'in', partitions: 3 }]);
    const second = application(broker);
    await assert.rejects(second.start(), { code: 'TOPIC_MISMATCH' });
    await second.stop();
    await broker.close();
  });
});
