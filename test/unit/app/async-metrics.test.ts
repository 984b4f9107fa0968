/** What a scrape sees of async steps. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { StreamsBuilder, stringSerde } from '#streams';
import { TopologyTestDriver } from '#streams/testing';
import { registerMetrics } from '../../../src/app/streams-metrics.ts';
import { silentTelemetry } from '../../../src/base/telemetry-port.ts';
import type { StreamThread } from '../../../src/thread/stream-thread.ts';
import { eventually } from '../../support/eventually.ts';

type Read = () => Iterable<{ labels?: object; value: number }>;

const strings = { keySerde: stringSerde, valueSerde: stringSerde };

describe('the metrics of async steps', () => {
  let driver: TopologyTestDriver | undefined;
  afterEach(() => driver?.close());

  it('count the tries of each step, the repeated ones, those too late and the calls given up', async () => {
    const builder = new StreamsBuilder();
    let tries = 0;
    builder
      .stream<string, string>('in', strings)
      .mapValuesAsync(
        async (value, _key, { attempt }) => {
          tries++;
          if (value === 'slow' && attempt === 1) return new Promise<string>(() => {});
          if (value === 'bad') throw new Error('refused');
          return value;
        },
        { named: 'ask', retries: 1, backoffMs: 10, timeoutMs: 500, order: 'none', onFailure: 'skip' },
      )
      .mapValuesAsync(async (value) => value, { named: 'tell' })
      .to('out', strings);
    driver = new TopologyTestDriver(builder.build());
    await driver.open();
    const opened = driver;
    const metrics = new Map<string, Read>();
    const register = (name: string, _help: string, read: Read): void => void metrics.set(name, read);
    registerMetrics({
      metrics: { ...silentTelemetry.metrics, gauge: register, counter: register },
      application: 'shop',
      thread: { tasks: () => opened.tasks() } as unknown as StreamThread,
      ready: () => true,
    });
    const values = (name: string): number[] =>
      [...(metrics.get(`millrace_async_${name}`)?.() ?? [])].map(({ value }) => value);

    const input = driver.createInputTopic('in', stringSerde, stringSerde);
    await input.pipe('a', 'good', 1);
    await input.pipe('b', 'bad', 2);
    await driver.advanceWallClock(10);
    const slow = input.pipe('c', 'slow', 3);
    await eventually(() => values('calls_in_flight')[0] === 1, {
      timeoutMs: 5_000,
      what: 'the slow call to be under way',
    });
    await driver.advanceWallClock(500);
    await slow;
    await driver.advanceWallClock(10);

    assert.equal(tries, 5);
    assert.deepEqual(values('calls_total'), [5, 2]);
    assert.deepEqual(values('calls_retried_total'), [2, 0]);
    assert.deepEqual(values('calls_failed_total'), [1, 0]);
    assert.deepEqual(values('calls_timed_out_total'), [1, 0]);
    assert.deepEqual(values('call_seconds_total'), [0.5, 0]);
    assert.deepEqual(values('calls_in_flight'), [0, 0]);
    const [first] = metrics.get('millrace_async_calls_total')?.() ?? [];
    assert.deepEqual(first?.labels, { application: 'shop', task: '0_0', step: 'ask' });
  });
});
