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

describe('a task with two inputs', () => {
  it('takes the smallest head first and commits the offset of what is still queued', async () => {
    const strings = { keySerde: stringSerde, valueSerde: stringSerde };
    const seen: unknown[] = [];
    const topology = new Topology().addSource({ name: 'in', topics: ['a', 'b'], ...strings }).addProcessor({
      name: 'see',
      supplier: () => ({ process: ({ value }) => void seen.push(value) }),
      parents: ['in'],
    });
    const plan = planApplication(
      topology,
      'app',
      new Map([
        ['a', 1],
        ['b', 1],
      ]),
    );
    const task = new StreamTask({
      plan: plan.tasks[0] as TaskPlan,
      applicationId: 'app',
      partitionsOf: plan.partitionsOf,
      state: new TaskState(await openMemoryBackend(), ['task-0'], 10),
      clock: new ManualClock(1_000),
      log: silentTelemetry.log,
      failurePolicy: deadLetterPolicy,
      timestampAheadMsMax: 1_000,
    });
    await task.begin([]);
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
});
