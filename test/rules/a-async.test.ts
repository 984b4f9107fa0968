/**
 * The rules of retries and asynchronous steps (docs/spec/rules.md, A) that hold already, each by its id.
 * Method: whole instances on the embedded broker, which ask a service that answers when the test says so.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { seededRandom } from '../../src/base/seeded-random.ts';
import type { Broker } from '../../src/broker/broker-port.ts';
import { StreamsBuilder } from '../../src/dsl/streams-builder.ts';
import type { Processor, ProcessorContext, Record } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { stringSerde } from '../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../src/testing/topology-test-driver.ts';
import { AskingHouse } from '../support/asking-house.ts';
import { changedBroker } from '../support/changed-broker.ts';
import { CommitBench } from '../support/commit-bench.ts';
import { eventually } from '../support/eventually.ts';
import { HeldService } from '../support/held-service.ts';

class Grows implements Processor<string, string, string, string> {
  #context!: ProcessorContext<string, string>;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
  }

  process(record: Record<string, string>): void {
    this.#context.forward({ ...record, value: record.key === 'large' ? 'x'.repeat(1_048_576) : 'small' });
  }
}

let house: AskingHouse | undefined;

/** A broken engine: every commit covers all that is in the input, applied or not. */
function commitsTooEarly(broker: Broker): Broker {
  return changedBroker(broker, {
    openProducer: async (options) => {
      const producer = await broker.openProducer(options);
      return {
        init: () => producer.init(),
        begin: () => producer.begin(),
        send: (records) => producer.send(records),
        flush: () => producer.flush(),
        sendOffsets: async (offsets, member) => {
          const ends = await broker.admin.endOffsets(offsets, 'read_uncommitted');
          const early = offsets.map((each, index) => ({ ...each, offset: ends[index] as number }));
          await producer.sendOffsets(early, member);
        },
        commit: () => producer.commit(),
        abort: () => producer.abort(),
        mayHaveRetried: () => producer.mayHaveRetried(),
        close: () => producer.close(),
      };
    },
  });
}

/**
 * The call of b does not end, c's has; a is committed; the instance is killed and its successor asks a service
 * that answers at once, until a last word d is through.
 */
async function crashBetweenCallAndCommit(engine: (broker: Broker) => Broker) {
  const opened = await AskingHouse.open();
  house = opened;
  const before = new HeldService((question) => question === 'b');
  const after = new HeldService(() => false);
  const broker = engine(opened.broker);
  const settings = { instanceId: 'one' };
  await opened.produce(['a', 'b', 'c']);
  const first = await opened.start('one', before, { broker, settings });
  await opened.untilAnswered('A');
  await eventually(() => before.asked.length === 3, { what: 'all three calls' });
  const committed = await opened.committed();
  first.kill();
  await opened.start('one', after, { broker, disk: first.disk, settings });
  await opened.produce(['d']);
  await opened.untilAnswered('D');
  // The one that was killed is in this process: its calls go on, though nobody applies them.
  before.release();
  return { before, after, committed, answers: await opened.answers() };
}

function expectAppliedOnce(answers: readonly string[]): void {
  assert.deepEqual(answers, ['A', 'B', 'C', 'D']);
}

describe('rules of retries and asynchronous steps', () => {
  afterEach(async () => {
    await house?.close();
    house = undefined;
  });

  it('A2 a record that is too large is found before it is produced, and parked alone', async () => {
    const strings = { keySerde: stringSerde, valueSerde: stringSerde };
    const topology = new Topology()
      .addSource({ name: 'in', topics: ['words'], ...strings })
      .addProcessor({ name: 'grow', supplier: () => new Grows(), parents: ['in'] })
      .addSink({ name: 'out', topic: 'totals', ...strings, parents: ['grow'] });
    const bench = await CommitBench.open({ topology });
    try {
      await bench.feed(['a', 'large', 'b']);
      assert.equal(bench.task.counters.deadLettered, 1);
      await bench.commit();
      assert.deepEqual(await bench.read('totals', 'read_committed', String), ['a=small', 'b=small']);
      assert.equal(bench.cycle.counters.aborts, 0, 'no transaction had to fail for it');
      assert.equal(await bench.committed(), 3);
    } finally {
      await bench.close();
    }
  });

  it('A3 a commit covers what is applied, in input order; after a crash the rest is called again, under its keys', async () => {
    const { before, after, committed, answers } = await crashBetweenCallAndCommit((broker) => broker);
    expectAppliedOnce(answers);
    assert.equal(committed, 1, 'c has its answer, but b is before it');
    assert.deepEqual(before.asked, ['a', 'b', 'c']);
    assert.deepEqual(after.asked, ['b', 'c', 'd']);
    const keys = (service: HeldService) => service.calls.map(({ idempotencyKey }) => idempotencyKey);
    assert.deepEqual(keys(after).slice(0, 2), keys(before).slice(1));
    assert.equal(new Set([...keys(before), ...keys(after)]).size, 4);
  });

  it('A3 would be seen broken if an offset were committed before its result is applied', async () => {
    const { answers } = await crashBetweenCallAndCommit(commitsTooEarly);
    assert.throws(() => expectAppliedOnce(answers));
    assert.ok(!answers.includes('B'), 'the result that was not applied is lost');
  });

  it('A4 a slow call stops neither the membership nor other tasks, and its queue stays within its bounds', async () => {
    house = await AskingHouse.open(2);
    const service = new HeldService((question) => question === 'slow');
    const behind = Array.from({ length: 10_000 }, (_, n) => `behind${n}`);
    await house.produce(['slow', ...behind]);
    let polls = 0;
    const broker = changedBroker(house.broker, {
      joinGroup: async (options) => {
        const member = await house?.broker.joinGroup(options);
        assert.ok(member !== undefined);
        const poll = member.poll.bind(member);
        member.poll = (waitMs) => {
          polls++;
          return poll(waitMs);
        };
        return member;
      },
    });
    const { app } = await house.start('one', service, { broker, step: { concurrencyMax: 256 } });
    await eventually(() => service.open.includes('slow'), { what: 'the slow call' });
    for (let n = 0; n < 5; n++) {
      const before = polls;
      await house.produce([`other${n}`], 1);
      await house.untilAnswered(`OTHER${n}`);
      await eventually(() => polls >= before + 20, { what: 'the membership to be polled on' });
    }
    const task = app.status().tasks.find(({ taskId }) => taskId === '0_0');
    assert.ok(
      task !== undefined && task.queued > 0 && task.queued <= 8_000,
      `${task?.queued} records are queued`,
    );
    assert.equal(
      service.calls.some(({ signal }) => signal.aborted),
      false,
      'the task has never left',
    );
    service.answer('slow');
    await house.untilAnswered('BEHIND9999');
    const answers = (await house.answers()).filter((answer) => !answer.startsWith('OTHER'));
    assert.deepEqual(answers, ['SLOW', ...behind.map((word) => word.toUpperCase())]);
    assert.equal(service.asked.filter((question) => question === 'slow').length, 1);
  });

  it('A5 calls of a task that leaves are aborted, and what they give is ignored', async () => {
    house = await AskingHouse.open(2);
    const [first, second] = [new HeldService(), new HeldService(() => false)];
    await house.produce(['p0'], 0);
    await house.produce(['p1'], 1);
    await house.start('one', first);
    await eventually(() => first.open.length === 2, { what: 'both calls' });
    await house.start('two', second);
    const moved = await eventually(() => first.asked[first.calls.findIndex(({ signal }) => signal.aborted)], {
      what: 'a task to move',
      timeoutMs: 20_000,
    });
    const stayed = moved === 'p0' ? 'p1' : 'p0';
    await house.untilAnswered(moved.toUpperCase());
    first.answer(moved);
    first.answer(stayed);
    await house.untilAnswered(stayed.toUpperCase());
    assert.deepEqual((await house.answers()).sort(), ['P0', 'P1']);
    assert.deepEqual(second.asked, [moved]);
    assert.equal(second.calls[0]?.idempotencyKey, first.calls[first.asked.indexOf(moved)]?.idempotencyKey);
  });

  it('A6 calls keep to their bound, one at a time for each key, whatever time they take and however they fail', async () => {
    const random = seededRandom(7);
    const open: string[] = [];
    const applied: string[] = [];
    let most = 0;
    const strings = { keySerde: stringSerde, valueSerde: stringSerde };
    const builder = new StreamsBuilder();
    builder
      .stream('in', strings)
      .mapValuesAsync(
        async (value, key) => {
          assert.ok(!open.includes(key), `two calls of ${key}`);
          open.push(key);
          most = Math.max(most, open.length);
          for (let turns = random.integer(20); turns > 0; turns--)
            await new Promise((resolve) => setImmediate(resolve));
          open.splice(open.indexOf(key), 1);
          if (random.integer(3) === 0) throw new Error('busy');
          return value;
        },
        { named: 'ask', concurrencyMax: 4, retries: 50, backoffMs: 0 },
      )
      .foreach((_key, value) => applied.push(value));
    const driver = new TopologyTestDriver(builder.build());
    await driver.open();
    const input = driver.createInputTopic('in', stringSerde, stringSerde);
    const values = Array.from({ length: 300 }, (_, n) => String(n));
    await Promise.all(values.map((value) => input.pipe(`k${random.integer(9)}`, value)));
    await driver.close();
    assert.deepEqual(applied, values);
    assert.equal(most, 4);
  });
});
