/** Goal: empty state is refused exactly where state has been lost, and allowed where somebody starts over. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { sortableInteger } from '../../../src/base/bytes.ts';
import { StreamsError } from '../../../src/base/errors.ts';
import { wallClock } from '../../../src/base/wall-clock.ts';
import type { Broker } from '../../../src/broker/broker-port.ts';
import { openEmbeddedBroker } from '../../../src/broker/embedded-broker.ts';
import { Topology } from '../../../src/graph/topology.ts';
import {
  type LostChangelogOptions,
  refuseEmptyState,
  refuseLostChangelog,
} from '../../../src/restore/lost-changelog.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { openMemoryBackend } from '../../../src/store/memory-backend.ts';
import { TaskState } from '../../../src/store/task-state.ts';
import { planApplication, type TaskPlan } from '../../../src/task/task-plan.ts';
import { clockKey, inputClock, writtenClock } from '../../../src/task/timer-index.ts';

const strings = { keySerde: stringSerde, valueSerde: stringSerde };
const changelog = 'app-kept-changelog';
const ownChangelog = 'app-task-0-changelog';

describe('a changelog that is empty', () => {
  let broker: Broker;
  let state: TaskState;
  let options: LostChangelogOptions;

  beforeEach(async () => {
    const topology = new Topology()
      .addSource({ name: 'in', topics: ['in'], ...strings })
      .addStateStore({ name: 'kept', kind: 'key-value', ...strings, changelog: true })
      .addProcessor({
        name: 'keep',
        supplier: () => ({ process: () => {} }),
        parents: ['in'],
        stores: ['kept'],
      });
    const planned = planApplication(topology, 'app', new Map([['in', 1]]));
    const plan = planned.tasks[0] as TaskPlan;
    broker = await openEmbeddedBroker({ backend: undefined, clock: wallClock });
    await broker.admin.createTopics([{ name: 'in', partitions: 1 }, ...planned.internalTopics]);
    state = new TaskState(await openMemoryBackend(), ['kept', plan.taskStore], 10);
    options = { broker, groupId: 'app', plan, state };
  });
  afterEach(() => broker.close());

  const write = async (topic: string) => {
    const producer = await broker.openProducer({ clientId: 'p' });
    const record = { topic, partition: 0, key: Buffer.from('k'), value: Buffer.from('v') };
    await producer.send([{ ...record, timestamp: 1, headers: [] }]);
    await producer.flush();
    await producer.close();
  };
  const clock = (name: string, value: number) =>
    state.applyChangelog(
      options.plan.taskStore,
      [{ key: clockKey(name), value: sortableInteger(value) }],
      new Map(),
    );
  const hasRead = (topic: string, position: number) =>
    state.applyChangelog('kept', [], new Map([[`changelog/${topic}`, String(position)]]));
  const isLost = (error: unknown) => error instanceof StreamsError && error.code === 'TOPIC_MISMATCH';

  it('is refused when the volume has read it and the inputs go on', async () => {
    await hasRead(changelog, 5);
    await clock(inputClock('in'), 7);
    await assert.rejects(refuseLostChangelog(options, [7]), isLost);
    await assert.rejects(refuseLostChangelog(options, [9]), isLost);
  });

  it('is taken when the inputs were reset with it, or the volume never read it', async () => {
    await hasRead(changelog, 5);
    await clock(inputClock('in'), 7);
    await refuseLostChangelog(options, [0]);
    await refuseLostChangelog(options, [undefined]);
    await hasRead(changelog, 0);
    await refuseLostChangelog(options, [7]);
  });

  it('is no concern while it holds anything', async () => {
    await hasRead(changelog, 5);
    await clock(inputClock('in'), 7);
    await write(changelog);
    await refuseLostChangelog(options, [7]);
  });

  it('is refused on an empty volume when the task has written its store before', async () => {
    await write(ownChangelog);
    await clock(inputClock('in'), 7);
    await refuseEmptyState(options, [7]);
    await clock(writtenClock('kept'), 1);
    await assert.rejects(refuseEmptyState(options, [7]), isLost);
  });

  it('is refused on an empty volume when it is the task’s own and others are not empty', async () => {
    await refuseEmptyState(options, [7]);
    await write(changelog);
    await assert.rejects(refuseEmptyState(options, [7]), isLost);
    await refuseEmptyState(options, [undefined]);
  });
});
