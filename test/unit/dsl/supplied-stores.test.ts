/** Stores that a supplier brings: defined and connected with what needs them. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { StoreSpec } from '../../../src/graph/node.ts';
import type { KeyValueStore, Processor, ProcessorContext, Record } from '../../../src/graph/processor.ts';
import { withStores } from '../../../src/graph/supplier.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { Rig, strings } from './support.ts';

const seenStore: StoreSpec = {
  name: 'seen',
  kind: 'key-value',
  keySerde: stringSerde,
  valueSerde: stringSerde,
  changelog: true,
};

/** Appends each value to what its key had. */
class Appending implements Processor<string, string, string, string> {
  #context!: ProcessorContext<string, string>;
  #seen!: KeyValueStore<string, string>;
  init(context: ProcessorContext<string, string>): void {
    this.#context = context;
    this.#seen = context.getStateStore('seen');
  }
  process(record: Record<string, string>): void {
    const value = (this.#seen.get(record.key) ?? '') + record.value;
    this.#seen.put(record.key, value);
    this.#context.forward({ ...record, value });
  }
}

const appending = withStores(() => new Appending(), [seenStore]);

describe('stores given by a supplier', () => {
  let rig: Rig | undefined;
  afterEach(async () => {
    await rig?.close();
    rig = undefined;
  });

  it('are connected to the processor, with their changelog', async () => {
    const builder = new StreamsBuilder();
    builder.stream<string, string>('in', strings).process(appending, { keepsKey: true }).to('out', strings);
    const topology = builder.build();
    assert.match(topology.describe(), /Processor: KSTREAM-PROCESSOR-0000000001 \(stores: \[seen\]\)/);
    rig = await Rig.open(topology);
    for (const value of ['a', 'b']) await rig.pipe('in', 'k', value);
    assert.deepEqual(rig.read('out'), ['k=a@0', 'k=ab@0']);
  });

  it('are shared by suppliers that give the very same definition, in whatever order it comes', async () => {
    const builder = new StreamsBuilder();
    builder.stream<string, string>('in', strings).processValues(appending).to('out', strings);
    builder.stream<string, string>('in2', strings).processValues(appending).to('out2', strings);
    builder.addStateStore(seenStore);
    rig = await Rig.open(builder.build());
    await rig.pipe('in', 'k', 'a');
    await rig.pipe('in2', 'k', 'b');
    assert.deepEqual([rig.read('out'), rig.read('out2')], [['k=a@0'], ['k=ab@0']]);
  });

  it('of another definition under the same name are refused', () => {
    const builder = new StreamsBuilder();
    const stream = builder.stream<string, string>('in', strings);
    stream.process(appending);
    assert.throws(
      () => stream.process(withStores(() => new Appending(), [{ ...seenStore }])),
      (error) => error instanceof StreamsError && /two stores named seen/.test(error.message),
    );
  });

  it('serve transformers of tables, whether looked through or not', async () => {
    const supplier = withStores(() => {
      let seen: KeyValueStore<string, string>;
      return {
        init: (context: ProcessorContext<never, never>) => {
          seen = context.getStateStore('seen');
        },
        transform: (key: string, value: string | null) =>
          value === null ? null : `${value}:${seen.get(key) ?? '-'}`,
      };
    }, [seenStore]);
    const builder = new StreamsBuilder();
    const table = builder.table<string, string>('t', strings).transformValues(supplier);
    table.toStream().to('changes', strings);
    builder
      .stream<string, string>('in', strings)
      .processValues(appending)
      .join(table, (value, row) => `${value} ${row}`)
      .to('joined', strings);
    rig = await Rig.open(builder.build());
    await rig.pipe('t', 'k', 'row');
    await rig.pipe('in', 'k', 'x');
    assert.deepEqual([rig.read('changes'), rig.read('joined')], [['k=row:-@0'], ['k=x row:x@0']]);
  });

  it('are for topologies made by hand too', () => {
    const topology = new Topology();
    topology
      .addSource({ name: 's', topics: ['in'], ...strings })
      .addProcessor({ name: 'p', parents: ['s'], supplier: appending });
    assert.deepEqual(
      topology.stores().map(({ name }) => name),
      ['seen'],
    );
  });
});
