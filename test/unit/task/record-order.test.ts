/** Goal: of several inputs the record with the smallest timestamp comes first, and each input keeps its order. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import { silentTelemetry } from '../../../src/base/telemetry-port.ts';
import type { RecordBatch } from '../../../src/broker/broker-port.ts';
import { deadLetterPolicy } from '../../../src/failure/failure-policy.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { openMemoryBackend } from '../../../src/store/memory-backend.ts';
import { TaskState } from '../../../src/store/task-state.ts';
import { StreamTask } from '../../../src/task/stream-task.ts';
import { planApplication, type TaskPlan } from '../../../src/task/task-plan.ts';

function batch(topic: string, firstOffset: number, times: readonly number[]): RecordBatch {
  return {
    topic,
    partition: 0,
    count: times.length,
    offset: (index) => firstOffset + index,
    timestamp: (index) => times[index] as number,
    key: () => Buffer.from('k'),
    value: (index) => Buffer.from(`${topic}${times[index]}`),
    headers: () => [],
  };
}

interface TwoInputs {
  readonly task: StreamTask;
  readonly clock: ManualClock;
  readonly seen: unknown[];
}

/** A task that has read nothing yet, of topics `a` and `b`. */
async function twoInputs(): Promise<TwoInputs> {
  const strings = { keySerde: stringSerde, valueSerde: stringSerde };
  const seen: unknown[] = [];
  const clock = new ManualClock(1_000);
  const topology = new Topology().addSource({ name: 'in', topics: ['a', 'b'], ...strings }).addProcessor({
    name: 'see',
    supplier: () => ({ process: ({ value }) => void seen.push(value) }),
    parents: ['in'],
  });
  const counts = new Map([
    ['a', 1],
    ['b', 1],
  ]);
  const plan = planApplication(topology, 'app', counts);
  const task = new StreamTask({
    plan: plan.tasks[0] as TaskPlan,
    applicationId: 'app',
    partitionsOf: plan.partitionsOf,
    state: new TaskState(await openMemoryBackend(), ['task-0'], 10),
    clock,
    log: silentTelemetry.log,
    failurePolicy: deadLetterPolicy,
    timestampAheadMsMax: 1_000,
  });
  await task.begin([]);
  return { task, clock, seen };
}

describe('a task with two inputs', () => {
  it('takes the smallest head first and commits the offset of what is still queued', async () => {
    const { task, seen } = await twoInputs();
    task.enqueue(batch('a', 5, [10, 40]));
    task.enqueue(batch('b', 8, [20, 15]));
    task.enqueue(batch('a', 9, [30]));
    await task.processRound(4);
    assert.deepEqual(seen, ['a10', 'b20', 'b15', 'a40']);
    const { offsets } = task.seal(() => 77);
    assert.deepEqual(
      offsets.map(({ topic, offset }) => [topic, offset]),
      [
        ['a', 9],
        ['b', 77],
      ],
    );
    assert.equal(task.streamTimeMs, 40);
  });

  it('commits only the inputs that have moved, at least one, and all of them every ten minutes', async () => {
    const { task, clock } = await twoInputs();
    const ends = { a: 5, b: 8 };
    const commit = async (): Promise<string[]> => {
      const sealed = task.seal(({ topic }) => ends[topic as 'a' | 'b']);
      await task.storeSealed(sealed, new Map());
      return sealed.offsets.map(({ topic, offset }) => `${topic}@${offset}`);
    };
    assert.deepEqual(await commit(), ['a@5', 'b@8'], 'what is committed is not known at first');
    ends.b = 9;
    assert.deepEqual(await commit(), ['b@9']);
    assert.deepEqual(await commit(), ['a@5'], 'a commit without offsets would not fence a zombie');
    clock.advance(599_000);
    ends.a = 6;
    assert.deepEqual(await commit(), ['a@6']);
    clock.advance(1_000);
    assert.deepEqual(await commit(), ['a@6', 'b@9'], 'the broker forgets what is never named');
    ends.b = 10;
    assert.deepEqual(await commit(), ['b@10']);
  });
});
