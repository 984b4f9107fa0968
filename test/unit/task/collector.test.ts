/** Goal: records go to Kafka's partition of their key, or where the partitioner says; a rollback leaves none. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { partitionForKey } from '../../../src/base/murmur2.ts';
import type { SinkNode } from '../../../src/graph/node.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { Collector } from '../../../src/task/collector.ts';

const sink: SinkNode = {
  kind: 'sink',
  name: 'out',
  topic: { name: 'out', internal: false },
  keySerde: stringSerde,
  valueSerde: stringSerde,
  partitioner: undefined,
  parents: [],
};
const record = (key: string | null) => ({ key, value: 'v', timestamp: 1, headers: [] });

describe('the collector', () => {
  it("chooses the partition by the key's hash, in turns without a key, or as the sink says", () => {
    const collector = new Collector('app', new Map([['out', 4]]));
    for (let n = 0; n < 50; n++) collector.send(sink, record(`k${n}`));
    for (const { key, partition } of collector.seal())
      assert.equal(partition, partitionForKey(key as Buffer, 4));
    for (let n = 0; n < 8; n++) collector.send(sink, record(null));
    assert.deepEqual(
      collector.seal().map(({ partition }) => partition),
      [0, 1, 2, 3, 0, 1, 2, 3],
    );
    collector.send({ ...sink, partitioner: () => 3 }, record('k'));
    assert.equal(collector.seal()[0]?.partition, 3);
  });

  it('refuses a topic that was not there at the start, and takes back what was rolled back', () => {
    const collector = new Collector('app', new Map([['out', 1]]));
    const mark = collector.savepoint();
    collector.send(sink, record('a'));
    assert.throws(() => collector.send({ ...sink, topic: () => 'other' }, record('a')), {
      code: 'TOPIC_UNKNOWN',
    });
    collector.rollback(mark);
    assert.deepEqual(collector.seal(), []);
  });
});
