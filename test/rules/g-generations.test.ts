/**
 * The rules of generations and the commit cycle (docs/spec/rules.md, G), each in a test that begins with its id.
 * Method: tasks and a commit cycle on the embedded broker, every step taken by the test.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import type { KeyValueBackend, Write } from '../../src/base/backend-port.ts';
import { mapKey } from '../../src/base/bytes.ts';
import { type ErrorCode, StreamsError } from '../../src/base/errors.ts';
import { longSerde } from '../../src/serde/serde.ts';
import { MemoryDisk, openMemoryBackend } from '../../src/store/memory-backend.ts';
import { TaskState } from '../../src/store/task-state.ts';
import { CommitBench, type CommitBenchOptions, changelog, counts } from '../support/commit-bench.ts';
import { eventually } from '../support/eventually.ts';

const injected = (code: ErrorCode): StreamsError => new StreamsError(code, 'injected');

function failsWith(code: ErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof StreamsError && error.code === code;
}

/** A promise and what resolves it. */
function gate(): { readonly opened: Promise<void>; open: () => void } {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

const bytesOf = (text: string): Buffer => Buffer.from(text);

describe('rules of generations and the commit cycle', () => {
  let bench: CommitBench;
  const open = async (options: CommitBenchOptions = {}): Promise<CommitBench> => {
    bench = await CommitBench.open(options);
    return bench;
  };
  afterEach(() => (bench as CommitBench | undefined)?.close());

  it('G1 reads go open, sealed, cache, store', async () => {
    const state = new TaskState(await openMemoryBackend(), ['s'], 10);
    const generations = state.generations('s');
    const read = (): string | undefined => generations.read(mapKey(bytesOf('k')))?.bytes?.toString();
    const commit = async (value: string): Promise<void> => {
      generations.write(mapKey(bytesOf('k')), bytesOf(value), undefined);
      state.seal();
    };
    await commit('stored');
    await state.storeSealed(new Map());
    state.discard();
    assert.equal(read(), undefined, 'on the disk only: it has to be loaded');
    await state.load([{ store: 's', key: bytesOf('k') }]);
    assert.equal(read(), 'stored');
    state.endRound();
    assert.equal(read(), 'stored', 'from the cache');
    await commit('sealed');
    assert.equal(read(), 'sealed');
    generations.write(mapKey(bytesOf('k')), bytesOf('open'), undefined);
    assert.equal(read(), 'open');
    await state.close();
  });

  it('G2 a seal gives one changelog record per changed key, with its last value', async () => {
    const { feed, commit, read } = bind(await open());
    await feed(['a', 'b', 'a', 'a', 'b', 'c']);
    await commit();
    const records = await read(changelog, 'read_committed', (bytes) =>
      String(longSerde.deserialize(bytes, '')),
    );
    assert.deepEqual(records.sort(), ['a=3', 'b=2', 'c=1']);
  });

  it('G3 every transaction sends an offset of each task it writes for, changed or not', async () => {
    const sent: string[] = [];
    await open({
      partitions: 2,
      change: (producer) => ({
        sendOffsets: (offsets, member) => {
          sent.push(offsets.map(({ partition, offset }) => `${partition}@${offset}`).join(' '));
          return producer.sendOffsets(offsets, member);
        },
      }),
    });
    await bench.feed(['a'], 0);
    await bench.commit();
    await bench.commit();
    assert.deepEqual(sent, ['0@1 1@0', '0@1 1@0']);
    // A task that would write without one is a broken invariant, and nothing of it is seen.
    const { task } = bench;
    const seal = task.seal.bind(task);
    task.seal = (position) => ({ ...seal(position), offsets: [] });
    await bench.feed(['a'], 0);
    await assert.rejects(bench.commit(), failsWith('INVARIANT_BROKEN'));
    assert.deepEqual(await bench.outputs(), ['a=1']);
  });

  it('G4 an offset is that of the next queued record, else the position: past markers, short of the queue', async () => {
    const { broker, task, position, consumer } = await open();
    const producer = await broker.openProducer({ clientId: 'in', transactionalId: 'in' });
    await producer.init();
    for (const key of ['a', 'b']) {
      await producer.begin();
      await producer.send([
        { topic: 'words', partition: 0, key: bytesOf(key), value: bytesOf('x'), timestamp: 1, headers: [] },
      ]);
      await producer.commit();
    }
    await bench.poll();
    await task.processRound(1);
    // Offsets: a 0, marker 1, b 2, marker 3.
    assert.equal(consumer.position({ topic: 'words', partition: 0 }), 4);
    assert.equal(task.nextOffset({ topic: 'words', partition: 0 }, position), 2);
    await bench.commit();
    assert.equal(await bench.committed(), 2);
    await task.processRound(1);
    await bench.commit();
    assert.equal(await bench.committed(), 4, 'the end: no lag is left');
    await producer.close();
  });

  it('G5 records are processed while a commit is in flight, and their outputs wait for the next begin', async () => {
    const held = gate();
    let holds = true;
    await open({
      change: (producer) => ({
        commit: async () => {
          if (holds) await held.opened;
          await producer.commit();
        },
      }),
    });
    await bench.feed(['a']);
    const first = bench.commit();
    await eventually(() => bench.cycle.state === 'COMMITTING', { what: 'the commit to be on its way' });
    await bench.feed(['a', 'b']);
    assert.ok(bench.task.openCount > 0, 'processed into the open generation');
    assert.equal(bench.trace.filter((call) => call === 'send totals').length, 1);
    holds = false;
    held.open();
    await first;
    assert.deepEqual(await bench.outputs(), ['a=1']);
    await bench.commit();
    assert.deepEqual(await bench.outputs(), ['a=1', 'a=2', 'b=1']);
    assert.ok(bench.trace.lastIndexOf('send totals') > bench.trace.lastIndexOf('begin'));
  });

  it('G6 one batch per task holds its changes, clocks, applied offsets and changelog position', async () => {
    const batches: (readonly Write[])[] = [];
    const disk = new MemoryDisk({ beforeWrite: (writes) => void batches.push(writes) });
    await open({ partitions: 2, disk });
    await bench.feed(['a'], 0);
    await bench.feed(['b'], 1);
    batches.length = 0;
    await bench.commit();
    assert.equal(batches.length, 2, 'one for each task');
    for (const [index, key] of ['a', 'b'].entries()) {
      const keys = (batches[index] ?? []).map((write) => write.key.toString('latin1'));
      for (const part of [
        `counts${key}`,
        'cstream',
        'cinput/words',
        '\0input/words',
        `\0changelog/${changelog}`,
      ])
        assert.ok(
          keys.some((each) => each.endsWith(part)),
          `${part} in ${JSON.stringify(keys)}`,
        );
    }
  });

  it('G7 a store changes only after its transaction has committed', async () => {
    const order: string[] = [];
    const disk = new MemoryDisk({ beforeWrite: () => void order.push('store') });
    await open({
      disk,
      change: (producer) => ({
        commit: async () => {
          await producer.commit();
          order.push('committed');
        },
      }),
    });
    await bench.feed(['a']);
    order.length = 0;
    await bench.commit();
    assert.deepEqual(order, ['committed', 'store']);
  });

  it('G8 the next seal waits for the store write', async () => {
    const held = gate();
    let hold = false;
    const disk = new MemoryDisk({ beforeWrite: () => (hold ? held.opened : undefined) });
    await open({ disk });
    await bench.feed(['a']);
    hold = true;
    const first = bench.commit();
    await eventually(() => bench.cycle.state === 'COMMITTED', { what: 'the transaction to be committed' });
    await bench.feed(['a']);
    assert.throws(() => bench.commit(), failsWith('INVARIANT_BROKEN'));
    hold = false;
    held.open();
    await first;
    assert.equal(await bench.stored('a'), 1);
  });

  it('G9 a read begun before a store write never overwrites what is newer', async () => {
    const real = await openMemoryBackend();
    const held = gate();
    let holds = false;
    const slow: KeyValueBackend = {
      getMany: (keys) => real.getMany(keys),
      // Reads at once and answers late, as a disk may.
      range: async (range) => {
        const found = await real.range(range);
        if (holds) await held.opened;
        return found;
      },
      scan: (range, size) => real.scan(range, size),
      write: (writes, how) => real.write(writes, how),
      sizeBytes: () => real.sizeBytes(),
      close: () => real.close(),
    };
    const state = new TaskState(slow, ['s'], 10);
    const generations = state.generations('s');
    const set = (value: string): void => generations.write(mapKey(bytesOf('k')), bytesOf(value), undefined);
    const range = { store: 's', from: bytesOf('a'), to: bytesOf('z') };
    set('old');
    state.seal();
    await state.storeSealed(new Map());
    set('new');
    state.seal();
    holds = true;
    const loading = state.load([range, { store: 's', key: bytesOf('k') }]);
    await state.storeSealed(new Map());
    holds = false;
    held.open();
    await loading;
    const entries = generations.readRange(mapKey(bytesOf('a')), mapKey(bytesOf('z')));
    assert.deepEqual(
      entries?.map(([, { bytes }]) => bytes?.toString()),
      ['new'],
    );
    assert.equal(generations.read(mapKey(bytesOf('k')))?.bytes?.toString(), 'new');
    await state.close();
  });

  it('G10 an abort takes back both generations, cache, clocks and inputs, and the work is done again once', async () => {
    const held = gate();
    let fails = false;
    await open({
      change: (producer) => ({
        commit: async () => {
          if (!fails) return producer.commit();
          await held.opened;
          throw injected('TRANSACTION_ABORT_REQUIRED');
        },
      }),
    });
    await bench.feed(['a', 'b']);
    await bench.commit();
    await bench.feed(['a']);
    fails = true;
    const failed = bench.commit();
    await eventually(() => bench.cycle.state === 'COMMITTING', { what: 'the commit to be on its way' });
    await bench.feed(['a', 'c']);
    const wrongTimeMs = bench.task.streamTimeMs;
    held.open();
    await assert.rejects(failed, failsWith('TRANSACTION_ABORT_REQUIRED'));
    fails = false;
    const { task } = bench;
    task.discard();
    for (const key of ['a', 'c'])
      assert.equal(
        task.state.generations(counts).read(mapKey(bytesOf(key))),
        undefined,
        `${key} is forgotten`,
      );
    assert.equal(task.openCount, 0);
    assert.equal(task.queued, 0);
    assert.equal(await bench.stored('a'), 1);
    await bench.cycle.open();
    await bench.startTasks();
    assert.ok(bench.task.streamTimeMs < wrongTimeMs, 'the clock went back too');
    await bench.feed([]);
    await bench.commit();
    assert.deepEqual(await bench.outputs(), ['a=1', 'b=1', 'a=2', 'a=3', 'c=1']);
    assert.equal(await bench.stored('a'), 3);
  });

  for (const committed of [true, false]) {
    const truth = committed ? 'was carried out' : 'never arrived';
    it(`G11 an unknown outcome is never guessed: a commit that ${truth}`, async () => {
      let fails = false;
      await open({
        change: (producer) => ({
          commit: async () => {
            if (!fails || committed) await producer.commit();
            if (fails) throw injected('TRANSACTION_OUTCOME_UNKNOWN');
          },
        }),
      });
      await bench.feed(['a']);
      await bench.commit();
      await bench.feed(['a', 'b']);
      fails = true;
      await assert.rejects(bench.commit(), failsWith('TRANSACTION_OUTCOME_UNKNOWN'));
      fails = false;
      assert.equal(await bench.stored('a'), 1, 'nothing was stored on a guess');
      await bench.cycle.open();
      await bench.startTasks();
      assert.equal(await bench.stored('a'), committed ? 2 : 1, 'the changelog tells');
      await bench.feed(['b']);
      await bench.commit();
      assert.deepEqual(await bench.outputs(), ['a=1', 'a=2', 'b=1', 'b=2']);
      assert.equal(await bench.committed(), 4);
    });
  }

  it('G12 after a transaction that may have been retried the producer is made anew before the next begin', async () => {
    let suspicious = false;
    await open({ change: () => ({ mayHaveRetried: () => suspicious }) });
    await bench.feed(['a']);
    await bench.commit();
    suspicious = true;
    bench.trace.splice(0);
    await bench.feed(['a']);
    const commit = bench.commit();
    // The one that comes next is trusted.
    await eventually(() => bench.trace.includes('close'), { what: 'the old producer to be closed' });
    suspicious = false;
    await commit;
    const calls = bench.trace.filter((call) => ['close', 'init', 'begin', 'commit'].includes(call));
    assert.deepEqual(calls, ['close', 'init', 'begin', 'commit']);
    assert.deepEqual(await bench.outputs(), ['a=1', 'a=2']);
  });

  it('G13 a record is atomic: what throws leaves no change, output or offset of its own behind', async () => {
    const { feed, produce, poll, task, commit } = bind(await open());
    await feed(['a']);
    await produce(['a', 'b'], 0, 'poison');
    await produce(['a']);
    await poll();
    await task.processRound(10);
    assert.equal(task.counters.deadLettered, 2, 'the fault really happened');
    await commit();
    assert.deepEqual(await bench.outputs(), ['a=1', 'a=2']);
    assert.equal(await bench.stored('b'), undefined);
    assert.equal(await bench.committed(), 4, 'the parked records are done');
  });

  it('G15 a store that failed to write is reopened and replays from its own position, without a rebuild', async () => {
    let fails = false;
    let failures = 0;
    const disk = new MemoryDisk({
      beforeWrite: () => {
        if (!fails) return;
        failures++;
        throw new Error('no space');
      },
    });
    await open({ disk });
    await bench.feed(['a', 'b']);
    await bench.commit();
    await bench.feed(['a']);
    fails = true;
    await assert.rejects(bench.commit(), failsWith('STORE_IO_FAILED'));
    fails = false;
    assert.equal(failures, 1, 'the fault really happened');
    // `startTasks` refuses a restore that asks for a rebuild.
    await bench.startTasks();
    assert.equal(await bench.stored('a'), 2);
    assert.equal(await bench.stored('b'), 1);
    await bench.feed(['a']);
    await bench.commit();
    assert.deepEqual(await bench.outputs(), ['a=1', 'b=1', 'a=2', 'a=3']);
  });
});

/** Methods that may be taken off the bench. */
function bind(bench: CommitBench) {
  return {
    feed: bench.feed.bind(bench),
    produce: bench.produce.bind(bench),
    poll: bench.poll.bind(bench),
    commit: bench.commit.bind(bench),
    read: bench.read.bind(bench),
    task: bench.task,
  };
}
