/**
 * Words counted per key: every output carries its key's count, so a lost or doubled effect shows as a gap or a
 * repeat. One sub-topology, one task a partition. A word `poison` is counted, and then fails.
 */
import type { KeyValueStore, Processor, ProcessorContext, Record } from '../../src/graph/processor.ts';
import { Topology } from '../../src/graph/topology.ts';
import { longSerde, stringSerde } from '../../src/serde/serde.ts';

class Count implements Processor<string, string, string, number> {
  #context!: ProcessorContext<string, number>;
  #counts!: KeyValueStore<string, number>;

  init(context: ProcessorContext<string, number>): void {
    this.#context = context;
    this.#counts = context.getStateStore('counts');
  }

  process(record: Record<string, string>): void {
    const count = (this.#counts.get(record.key) ?? 0) + 1;
    this.#counts.put(record.key, count);
    this.#context.forward({ ...record, value: count });
    // After its effects, so that a test sees them taken back.
    if (record.value === 'poison') throw new Error('this record cannot be processed');
  }
}

export function countingTopology(): Topology {
  return new Topology()
    .addSource({ name: 'in', topics: ['words'], keySerde: stringSerde, valueSerde: stringSerde })
    .addStateStore({
      name: 'counts',
      kind: 'key-value',
      keySerde: stringSerde,
      valueSerde: longSerde,
      changelog: true,
    })
    .addProcessor({ name: 'count', supplier: () => new Count(), parents: ['in'], stores: ['counts'] })
    .addSink({
      name: 'out',
      topic: 'totals',
      keySerde: stringSerde,
      valueSerde: longSerde,
      parents: ['count'],
    });
}
