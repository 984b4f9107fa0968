/** The rules of retries and asynchronous steps (docs/spec/rules.md, A) that hold already, each by its id. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import type { Processor, ProcessorContext, Record } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { stringSerde } from '../../src/serde/serde.ts';
import { CommitBench } from '../support/commit-bench.ts';

class Grows implements Processor<string, string, string, string> {
  #context!: ProcessorContext<string, string>;

  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
  }

  process(record: Record<string, string>): void {
    this.#context.forward({ ...record, value: record.key === 'large' ? 'x'.repeat(1_048_576) : 'small' });
  }
}

describe('rules of retries and asynchronous steps', () => {
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
});
