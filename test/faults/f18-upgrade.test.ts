/**
 * F18: a rolling upgrade. Two versions of a topology share the tasks while instances are replaced one by one, and
 * back: what the old version kept stays exact, what the new one adds holds what the new one has seen. A change
 * that cannot be mixed (other partitions, a sub-topology more or less) is refused at the start with what to do.
 * Method: the ledger, and the ledger with an operator and a store more, on the embedded broker.
 */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { StreamsApp, StreamsSettings } from '../../src/app/streams-app.ts';
import type { StreamsError } from '../../src/base/errors.ts';
import type { KeyValueStore, Processor, ProcessorContext, Record } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { jsonSerde, stringSerde } from '../../src/serde/serde.ts';
import { MemoryDisk } from '../../src/store/memory-backend.ts';
import { eventually } from '../support/eventually.ts';
import { LedgerBench } from '../support/ledger-bench.ts';
import { ledgerTopology, type Transfer } from '../support/ledger-topology.ts';

const auditsStore = 'audits';

/** New in the second version: what it has seen of each receiver, behind `receive`. */
class Audit implements Processor<string, Transfer, string, unknown> {
  #audits!: KeyValueStore<string, { readonly seen: number; readonly last: number }>;

  init(context: ProcessorContext<string, unknown>): void {
    this.#audits = context.getStateStore(auditsStore);
  }

  process({ key, value }: Record<string, Transfer>): void {
    const before = this.#audits.get(key);
    this.#audits.put(key, { seen: (before?.seen ?? 0) + 1, last: value.count });
  }
}

describe('F18: a rolling upgrade', () => {
  let bench: LedgerBench;
  const disks = new Map<string, MemoryDisk>();

  beforeEach(async () => {
    bench = await LedgerBench.open({ seed: 18, partitions: 3 });
    disks.clear();
  });
  afterEach(() => bench.close());

  function second(): Topology {
    return ledgerTopology(bench.names)
      .addStateStore({
        name: auditsStore,
        kind: 'key-value',
        keySerde: stringSerde,
        valueSerde: jsonSerde<unknown>(),
        changelog: true,
      })
      .addProcessor({
        name: 'audit',
        supplier: () => new Audit(),
        parents: ['receive'],
        stores: [auditsStore],
      });
  }

  function diskOf(instance: string): MemoryDisk {
    const disk = disks.get(instance) ?? new MemoryDisk();
    disks.set(instance, disk);
    return disk;
  }

  async function start(
    instance: string,
    topology: Topology,
    settings: Pick<StreamsSettings, 'onOrphanedState'> = {},
  ): Promise<StreamsApp> {
    const app = bench.instance({
      topology,
      open: diskOf(instance).open,
      settings: { transactionalId: `ledger-${instance}`, ...settings },
    });
    await app.start();
    return app;
  }

  const shares = (...apps: StreamsApp[]) =>
    eventually(() => apps.every((app) => app.ready && app.status().tasks.length === 3), {
      timeoutMs: 20_000,
      what: 'both to own half of the tasks',
    });

  function leavesAuditsBehind(error: StreamsError): boolean {
    assert.equal(error.code, 'TOPOLOGY_CHANGED');
    assert.match(error.message, /^- ledger-audits-changelog$/m);
    assert.match(error.hint ?? '', /onOrphanedState/);
    return true;
  }

  it('runs both versions side by side, forth and back, and keeps every figure', async () => {
    const first = () => bench.topology;
    let a = await start('a', first());
    let b = await start('b', first());
    await bench.produce(300);
    await shares(a, b);
    let mixed = 0;
    // Forth one by one, back one by one, forth again: whoever is replaced keeps its disk.
    for (const step of ['a2', 'b2', 'a1', 'b1', 'a2', 'b2']) {
      const instance = step.slice(0, 1);
      const back = step.endsWith('1');
      const topology = back ? first() : second();
      await bench.produce(100);
      await (instance === 'a' ? a : b).stop();
      // The way back leaves the new store behind: not by mistake, only where the operator says so.
      if (back) await assert.rejects(start(instance, topology), leavesAuditsBehind);
      const app = await start(instance, topology, back ? { onOrphanedState: 'warn' } : {});
      if (instance === 'a') a = app;
      else b = app;
      await bench.produce(200);
      await shares(a, b);
      await bench.produce(100);
      await bench.settle();
      mixed++;
    }
    assert.equal(mixed, 6);
    await bench.finish();
    await b.stop();
    await eventually(() => a.ready && a.status().tasks.length === 6, { what: 'one to own all' });
    await bench.assertQueries(a);
    await bench.assertSound();
    const audits = await bench.dumpChangelog<{ seen: number; last: number }>(auditsStore);
    assert.ok(audits.size > 0, 'the new operator has worked');
    for (const [receiver, audit] of audits) {
      assert.ok(audit.seen <= audit.last, `${receiver}: ${JSON.stringify(audit)}`);
      assert.deepEqual(await a.query(auditsStore, receiver), audit, 'store and changelog');
    }
  });

  it('refuses a topology with a sub-topology more or less, and names the topic', async () => {
    const app = await start('a', bench.topology);
    await bench.produce(100);
    await bench.finish();
    await app.stop();
    const strings = { keySerde: stringSerde, valueSerde: jsonSerde<unknown>() };
    const less = new Topology()
      .addSource({ name: 'entries', topics: [bench.names.entries], ...strings })
      .addProcessor({ name: 'post', supplier: () => ({ process: () => {} }), parents: ['entries'] });
    const more = bench.topology
      .addSource({ name: 'again', topics: [bench.names.transfers], ...strings })
      .addProcessor({ name: 'look', supplier: () => ({ process: () => {} }), parents: ['again'] });
    // The one without the receivers would leave their state behind as well, which is said first.
    await assert.rejects(start('b', less), (error: StreamsError) => error.code === 'TOPOLOGY_CHANGED');
    for (const topology of [less, more]) {
      await assert.rejects(start('b', topology, { onOrphanedState: 'warn' }), (error: StreamsError) => {
        assert.equal(error.code, 'TOPIC_MISMATCH');
        assert.match(error.message, /topic ledger-tasks has 6 partitions, this topology needs (3|9)/);
        assert.match(error.hint ?? '', /another application id/);
        return true;
      });
    }
    const again = await start('a', bench.topology);
    await bench.produce(100);
    await bench.finish();
    await again.stop();
    await bench.assertSound(diskOf('a').open);
  });

  it('refuses an input that has another number of partitions than the state was made for', async () => {
    const app = await start('a', bench.topology);
    await bench.produce(100);
    await bench.finish();
    await app.stop();
    const { admin } = bench.broker;
    await admin.deleteTopics([bench.names.entries]);
    await admin.createTopics([{ name: bench.names.entries, partitions: 4 }]);
    await assert.rejects(start('a', bench.topology), (error: StreamsError) => {
      assert.equal(error.code, 'TOPIC_MISMATCH');
      assert.match(error.message, /has 3 partitions, this topology needs 4/);
      return true;
    });
  });
});
