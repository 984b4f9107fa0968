/**
 * Our Avro serde makes the bytes of Java's Avro in Confluent's form (0, schema id, Avro binary), for every schema of
 * schemas/ and for one that has every type; and reads what an older schema wrote as Java does, defaults included. Asked
 * of the original (test/oracle/java/AvroBytes.java) with random values.
 *
 * A map's entries lie in the order in which its object has them: Avro says nothing of it, Java's HashMap has another.
 * Here Java gets them in our order.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { type AvroNode, parseRecordSchema, type RecordNode, shortName } from '../../src/base/avro-schema.ts';
import type { Random } from '../../src/base/clock-port.ts';
import { ManualClock } from '../../src/base/manual-clock.ts';
import type { SchemaRegistry } from '../../src/base/registry-port.ts';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { loadSchemas } from '../../src/registry/schema-files.ts';
import { type AvroValue, createAvroSerdes } from '../../src/serde/avro-serde.ts';
import type { Serde } from '../../src/serde/serde.ts';
import { oneIn, pick } from './generate-inputs.ts';
import { JavaProgram } from './java-program.ts';

/** All four bytes of an id count. */
const schemaId = 0x01_02_03_04;
const olderId = 0x7f_ff_ff_ff;

/** A value as ours takes it, and as Java reads it. */
interface Pair {
  readonly ours: unknown;
  readonly java: unknown;
}

const same = (ours: unknown, java: unknown = ours): Pair => ({ ours, java });
const ints = [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, 2 ** 31 - 1, -(2 ** 31)];
/** avsc refuses the last safe integer of either end. */
const longs = [...ints, 2 ** 31, 2 ** 32, -(2 ** 42) - 1, 1_700_000_000_000, 2 ** 53 - 2, -(2 ** 53) + 2];
const floats = [0, -0, 1.5, -0.1, 1e30, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
const texts = ['', 'a', 'ß€', '😀\0', 'x'.repeat(70), '\ufeff\uffff'];
const hexes = ['', '00', 'ff80', '00'.repeat(64)];

/** Trees end: at this depth lists are empty and unions take their first branch. */
const depthMax = 4;

function generate(node: AvroNode, random: Random, depth = 0): Pair {
  const number = (values: readonly number[]): Pair => {
    const value = pick(random, values);
    return same(value, Object.is(value, -0) ? '-0' : String(value));
  };
  switch (node.kind) {
    case 'null':
      return same(null);
    case 'boolean':
      return same(oneIn(random, 2));
    case 'int':
      return number(ints);
    case 'long':
      return number(longs);
    case 'float':
    case 'double':
      return number(floats);
    case 'string':
      return same(pick(random, texts));
    case 'bytes': {
      const hex = pick(random, hexes);
      return same(Buffer.from(hex, 'hex'), hex);
    }
    case 'fixed': {
      const bytes = Buffer.from(Array.from({ length: node.size }, () => random.integer(256)));
      return same(bytes, bytes.toString('hex'));
    }
    case 'enum':
      return same(pick(random, node.symbols));
    case 'union': {
      const branch = depth >= depthMax ? 0 : random.integer(node.branches.length);
      const { ours, java } = generate(node.branches[branch] as AvroNode, random, depth + 1);
      return same(ours, { branch, value: java });
    }
    case 'array': {
      const length = depth >= depthMax ? 0 : random.integer(4);
      const items = Array.from({ length }, () => generate(node.items, random, depth + 1));
      return same(
        items.map(({ ours }) => ours),
        items.map(({ java }) => java),
      );
    }
    case 'map': {
      const names = depth >= depthMax ? [] : ['z', '10', 'ä', 'b'].slice(random.integer(5));
      return object(names.map((name) => [name, generate(node.values, random, depth + 1)]));
    }
    case 'record':
      return object(node.fields.map(({ name, type }) => [name, generate(type, random, depth + 1)]));
  }
}

function object(entries: readonly (readonly [string, Pair])[]): Pair {
  return same(
    Object.fromEntries(entries.map(([name, { ours }]) => [name, ours])),
    Object.fromEntries(entries.map(([name, { java }]) => [name, java])),
  );
}

/** Gives its one id to what is registered, and `older` under another. */
function registryOf(older?: string): SchemaRegistry {
  const known = older === undefined ? [] : [{ id: olderId, schema: older }];
  const registered = (schema: string) => ({ id: schemaId, schema });
  return {
    schemaById: async () => assert.fail('all schemas are known'),
    lookup: async (_subject, schema) => registered(schema),
    versions: async () => known,
    register: async (_subject, schema) => registered(schema),
    close: async () => {},
  };
}

async function serdeOf(text: string, older?: string): Promise<{ serde: Serde<AvroValue>; node: RecordNode }> {
  const node = parseRecordSchema(text);
  const schemas = { records: new Map([[node.name, text]]), level: 'NONE', topics: [] } as const;
  const registry = registryOf(older);
  const serdes = createAvroSerdes({ registry, schemas, autoRegister: true, clock: new ManualClock() });
  return { serde: await serdes.forTopic<AvroValue>('topic', [node.name]), node };
}

const everything = JSON.stringify({
  type: 'record',
  namespace: 'test.bytes',
  name: 'Everything',
  fields: [
    { name: 'nothing', type: 'null' },
    { name: 'flag', type: 'boolean' },
    { name: 'int', type: 'int' },
    { name: 'long', type: 'long' },
    { name: 'float', type: 'float' },
    { name: 'double', type: 'double' },
    { name: 'text', type: 'string' },
    { name: 'bytes', type: 'bytes' },
    { name: 'four', type: { type: 'fixed', name: 'Four', size: 4 } },
    { name: 'colour', type: { type: 'enum', name: 'Colour', symbols: ['RED', 'GREEN'], default: 'RED' } },
    { name: 'optional', type: ['null', 'long'], default: null },
    { name: 'turned', type: ['string', 'null'], default: 'x' },
    { name: 'many', type: ['null', 'boolean', 'long', 'string', 'bytes', { type: 'array', items: 'int' }] },
    { name: 'texts', type: { type: 'array', items: ['null', 'string'] } },
    { name: 'maps', type: { type: 'map', values: { type: 'map', values: 'double' } } },
    { name: 'day', type: { type: 'int', logicalType: 'date' } },
    { name: 'at', type: { type: 'long', logicalType: 'timestamp-millis' } },
    { name: 'micros', type: { type: 'long', logicalType: 'timestamp-micros' } },
    { name: 'price', type: { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 } },
    { name: 'id', type: { type: 'string', logicalType: 'uuid' } },
    {
      name: 'tree',
      type: {
        type: 'record',
        name: 'Tree',
        fields: [
          { name: 'label', type: 'string', default: '' },
          { name: 'next', type: ['null', 'Tree'], default: null },
          { name: 'leaves', type: { type: 'array', items: 'Tree' } },
        ],
      },
    },
    { name: 'again', type: 'Four' },
  ],
});

const colours = (...symbols: string[]) => ({ type: 'enum', name: 'Colour', symbols, default: 'UNKNOWN' });

const older = JSON.stringify({
  type: 'record',
  namespace: 'test.bytes',
  name: 'Order',
  fields: [
    { name: 'gone', type: ['null', { type: 'map', values: 'bytes' }] },
    { name: 'count', type: 'int' },
    { name: 'weight', type: 'int' },
    { name: 'total', type: 'float' },
    { name: 'sum', type: 'long' },
    { name: 'mean', type: 'long' },
    { name: 'oldName', type: 'string' },
    { name: 'raw', type: 'string' },
    { name: 'note', type: 'string' },
    { name: 'colour', type: colours('UNKNOWN', 'RED', 'BLUE') },
    { name: 'either', type: ['int', 'string'] },
    {
      name: 'lines',
      type: {
        type: 'array',
        items: { type: 'record', name: 'Line', fields: [{ name: 'sku', type: 'string' }] },
      },
    },
  ],
});

const newer = JSON.stringify({
  type: 'record',
  namespace: 'test.bytes',
  name: 'Order',
  fields: [
    { name: 'name', type: 'string', aliases: ['oldName'] },
    { name: 'count', type: 'long' },
    { name: 'weight', type: 'double' },
    { name: 'total', type: 'double' },
    { name: 'sum', type: 'double' },
    { name: 'mean', type: 'float' },
    { name: 'raw', type: 'bytes' },
    { name: 'note', type: ['null', 'string'], default: null },
    { name: 'colour', type: colours('UNKNOWN', 'RED') },
    { name: 'either', type: ['null', 'string', 'long'] },
    {
      name: 'lines',
      type: {
        type: 'array',
        items: {
          type: 'record',
          name: 'Line',
          fields: [
            { name: 'quantity', type: 'int', default: 1 },
            { name: 'sku', type: 'string' },
          ],
        },
      },
    },
    { name: 'flag', type: 'boolean', default: true },
    { name: 'big', type: 'long', default: 1_700_000_000_000 },
    { name: 'ratio', type: 'double', default: -0.5 },
    { name: 'greeting', type: 'string', default: 'grüße' },
    { name: 'blob', type: 'bytes', default: '\u0000\u00ff' },
    { name: 'two', type: { type: 'fixed', name: 'Two', size: 2 }, default: '\u0001\u00fe' },
    { name: 'shade', type: 'Colour', default: 'RED' },
    { name: 'maybe', type: ['null', 'int'], default: null },
    { name: 'sure', type: ['int', 'null'], default: 7 },
    { name: 'tags', type: { type: 'array', items: 'string' }, default: ['a', 'b'] },
    { name: 'map', type: { type: 'map', values: 'int' }, default: { k: 3 } },
    { name: 'line', type: 'Line', default: { quantity: 2, sku: 's' } },
  ],
});

interface AvroAnswer {
  readonly bytes: readonly string[];
  readonly reread: readonly string[];
  readonly error?: string;
}

describe('Avro bytes are those of Java', () => {
  let java: JavaProgram;
  before(() => {
    java = new JavaProgram('WireBytes');
  });
  after(() => java.close());

  async function ask(question: object, values: readonly Pair[]): Promise<AvroAnswer> {
    java.write({ ...question, values: values.map((value) => value.java) });
    const answer = await java.read<AvroAnswer>();
    assert.equal(answer.error, undefined);
    assert.equal(answer.bytes.length, values.length);
    return answer;
  }

  async function compareWritten(text: string, count: number): Promise<void> {
    const { serde, node } = await serdeOf(text);
    const random = seededRandom(3);
    const values = Array.from({ length: count }, () => generate(node, random));
    const { bytes } = await ask({ schema: text, schemaId }, values);
    for (const [index, { ours, java: shown }] of values.entries()) {
      const value = { ...(ours as object), type: shortName(node.name) };
      const own = serde.serialize(value, 'topic') as Buffer;
      assert.equal(own.toString('hex'), bytes[index], JSON.stringify(shown));
      assert.deepEqual(serde.deserialize(own, 'topic'), rounded(node, value), JSON.stringify(shown));
    }
  }

  it('every schema of schemas/, 40 values each', async () => {
    const { records } = await loadSchemas('schemas');
    assert.ok(records.size > 40);
    for (const text of records.values()) await compareWritten(text, 40);
  });

  it('every type, logical types, unions, a record in itself: 500 values', () =>
    compareWritten(everything, 500));

  it('what an older schema wrote is read with the same defaults, promotions and aliases: 300 values', async () => {
    const writer = await serdeOf(older);
    const reader = await serdeOf(newer, older);
    const random = seededRandom(4);
    const values = Array.from({ length: 300 }, () => generate(writer.node, random));
    const { bytes, reread } = await ask({ schema: older, schemaId, reader: newer }, values);
    for (const [index, written] of bytes.entries()) {
      const record = Buffer.from(written, 'hex');
      record.writeInt32BE(olderId, 1);
      const value = reader.serde.deserialize(record, 'topic');
      const own = reader.serde.serialize(value, 'topic');
      assert.equal(own?.toString('hex'), reread[index], JSON.stringify(values[index]?.java));
    }
  });
});

/** A float comes back with what its 32 bits can hold. */
function rounded(node: RecordNode, value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = node.fields
    .filter(({ type }) => type.kind === 'float')
    .map(({ name }) => [name, Math.fround(value[name] as number)]);
  return { ...value, ...(Object.fromEntries(entries) as Record<string, unknown>) };
}
