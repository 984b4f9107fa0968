import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { StreamsError } from '../../../src/base/errors.ts';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import type { SchemaRegistry } from '../../../src/base/registry-port.ts';
import { openEmbeddedRegistry } from '../../../src/registry/embedded-registry.ts';
import { loadSchemas } from '../../../src/registry/schema-files.ts';
import { type AvroSchemas, createAvroSerdes } from '../../../src/serde/avro-serde.ts';
import type { OrderCancelRequested, OrderState, PurchaseEvent } from '../../../topology/schema-types.ts';

const cancel: OrderCancelRequested = {
  type: 'OrderCancelRequested',
  eventId: 'e1',
  occurredAt: 1_500_000_000_000,
  sourceSeq: null,
  orderId: 'o1',
  reasonCode: 'changed_mind',
  requestedBy: 'customer',
  lineIds: ['1', '2'],
};
const purchaseRecords = [
  'shop.purchase.OrderPlaced',
  'shop.purchase.OrderCancelRequested',
  'shop.purchase.OrderReleased',
];

/** A registry that counts, and can be told to fail. */
function watched(registry: SchemaRegistry) {
  const calls = { schemaById: 0, failNext: 0 };
  const wrapper: SchemaRegistry = {
    lookup: (subject, schema) => registry.lookup(subject, schema),
    versions: (subject) => registry.versions(subject),
    register: (subject, schema, level) => registry.register(subject, schema, level),
    close: () => registry.close(),
    schemaById: async (id) => {
      calls.schemaById++;
      if (calls.failNext-- > 0) throw new StreamsError('REGISTRY_UNAVAILABLE', 'down');
      return registry.schemaById(id);
    },
  };
  return { registry: wrapper, calls };
}

async function shop(registry?: SchemaRegistry) {
  const schemas = await loadSchemas('schemas');
  const clock = new ManualClock();
  const used = registry ?? (await openEmbeddedRegistry());
  const serdes = createAvroSerdes({ registry: used, schemas, autoRegister: true, clock, unknownIdMs: 1000 });
  const purchases = await serdes.forTopic<PurchaseEvent>('purchase.events', purchaseRecords);
  return { schemas, clock, registry: used, serdes, purchases };
}

const record = (name: string, fields: readonly unknown[], more: object = {}) =>
  JSON.stringify({ type: 'record', namespace: 't', name, fields, ...more });
const id = { name: 'id', type: 'string' };
const schemasOf = (texts: Record<string, string>): AvroSchemas => ({
  level: 'NONE',
  records: new Map(Object.entries(texts)),
  topics: [],
});

describe('the Avro serde of a topic', () => {
  it('writes each record with its own schema and reads it back by its type', async () => {
    const { purchases, registry } = await shop();
    const bytes = purchases.serialize(cancel, 'purchase.events');
    assert.ok(bytes !== null);
    const [version] = await registry.versions('purchase.events-shop.purchase.OrderCancelRequested');
    assert.equal(bytes.readInt32BE(1), version?.id);
    assert.deepEqual(purchases.deserialize(bytes, 'purchase.events'), cancel);
  });

  it('gives bytes that later records do not touch', async () => {
    const { purchases } = await shop();
    const first = purchases.serialize(cancel, 't');
    const copy = Buffer.from(first ?? []);
    purchases.serialize({ ...cancel, eventId: 'other', orderId: 'o2' }, 't');
    assert.deepEqual(first, copy);
  });

  it('passes null through', async () => {
    const { purchases } = await shop();
    assert.equal(purchases.serialize(null, 't'), null);
    assert.equal(purchases.deserialize(null, 't'), null);
  });

  it('writes values of any size', async () => {
    const { purchases } = await shop();
    const large = { ...cancel, lineIds: Array.from({ length: 50_000 }, (_, n) => `line ${n}`) };
    assert.deepEqual(purchases.deserialize(purchases.serialize(large, 't'), 't'), large);
  });

  it('refuses a value with the topic and the path of the field', async () => {
    const { purchases } = await shop();
    const bad = { ...cancel, lineIds: ['1', 2] } as unknown as PurchaseEvent;
    assert.throws(() => purchases.serialize(bad, 'purchase.events'), {
      code: 'VALUE_NOT_SERIALIZABLE',
      kind: 'poison',
      message: /shop\.purchase\.OrderCancelRequested: lineIds.*topic purchase\.events/,
    });
    const foreign = { ...cancel, type: 'PaymentAuthorized' } as unknown as PurchaseEvent;
    assert.throws(() => purchases.serialize(foreign, 't'), {
      code: 'VALUE_NOT_SERIALIZABLE',
      message: /OrderReleased/,
    });
  });

  it('says what is wrong with bytes, with topic and schema id', async () => {
    const { purchases } = await shop();
    const bytes = purchases.serialize(cancel, 't') ?? Buffer.alloc(0);
    const failing = (value: Buffer, code: string, message: RegExp) =>
      assert.throws(() => purchases.deserialize(value, 'purchase.events'), { code, message, kind: 'poison' });
    failing(Buffer.alloc(0), 'RECORD_NOT_AVRO', /topic purchase\.events/);
    failing(Buffer.from('{"json":1}'), 'RECORD_NOT_AVRO', /123/);
    failing(bytes.subarray(0, -1), 'RECORD_UNREADABLE', /too early.*schemaId \d/);
    failing(Buffer.concat([bytes, Buffer.from([1])]), 'RECORD_UNREADABLE', /1 after/);
    failing(Buffer.alloc(20), 'SCHEMA_UNKNOWN', /schemaId 0/);
  });

  it('refuses two records that cannot be told apart', async () => {
    const schemas = schemasOf({
      'a.R': record('R', [id], { namespace: 'a' }),
      'b.R': record('R', [id], { namespace: 'b' }),
    });
    const serdes = createAvroSerdes({
      registry: await openEmbeddedRegistry(),
      schemas,
      autoRegister: true,
      clock: new ManualClock(),
    });
    await assert.rejects(serdes.forTopic('t', ['a.R', 'b.R']), { code: 'SCHEMA_INVALID', message: /R/ });
    await assert.rejects(serdes.forTopic('t', ['c.R']), { code: 'SCHEMA_INVALID', message: /c\.R/ });
  });
});

describe('schema ids that the Avro serde has not seen', () => {
  /** A producer of another version, on the same registry. */
  async function foreign(registry: SchemaRegistry, text: string) {
    const serdes = createAvroSerdes({
      registry,
      schemas: schemasOf({ 't.R': text }),
      autoRegister: true,
      clock: new ManualClock(),
    });
    return serdes.forTopic<{ type: string; id: string; n?: number }>('topic', ['t.R']);
  }

  it('are fetched once, whoever asks, and the value is read into our shape', async () => {
    const { registry, calls } = watched(await openEmbeddedRegistry());
    const ours = await foreign(registry, record('R', [id]));
    const theirs = await foreign(registry, record('R', [id, { name: 'n', type: 'int' }]));
    const bytes = theirs.serialize({ type: 'R', id: 'x', n: 5 }, 'topic') ?? Buffer.alloc(0);

    assert.throws(
      () => ours.deserialize(bytes, 'topic'),
      { code: 'INVARIANT_BROKEN' },
      'not taken for a bad record',
    );
    const waits = [ours.prepare?.(bytes), ours.prepare?.(bytes)];
    assert.ok(waits.every((wait) => wait instanceof Promise));
    await Promise.all(waits);
    assert.equal(calls.schemaById, 1);
    assert.equal(ours.prepare?.(bytes), undefined);
    assert.deepEqual(ours.deserialize(bytes, 'topic'), { type: 'R', id: 'x' });
  });

  it('of versions that are registered at the start need no request', async () => {
    const { registry, calls } = watched(await openEmbeddedRegistry());
    const theirs = await foreign(registry, record('R', [id, { name: 'n', type: 'int' }]));
    const bytes = theirs.serialize({ type: 'R', id: 'x', n: 5 }, 'topic') ?? Buffer.alloc(0);
    const ours = await foreign(registry, record('R', [id]));
    assert.equal(ours.prepare?.(bytes), undefined);
    assert.deepEqual(ours.deserialize(bytes, 'topic'), { type: 'R', id: 'x' });
    assert.equal(calls.schemaById, 0);
  });

  it('that do not exist are asked for once in a while, and make the record unreadable', async () => {
    const { registry, calls } = watched(await openEmbeddedRegistry());
    const { purchases, clock } = await shop(registry);
    const bytes = Buffer.from('00000fffff00', 'hex');
    await purchases.prepare?.(bytes);
    assert.throws(() => purchases.deserialize(bytes, 't'), {
      code: 'SCHEMA_UNKNOWN',
      message: /schemaId 1048575/,
    });
    clock.advance(999);
    assert.equal(purchases.prepare?.(bytes), undefined);
    clock.advance(1);
    assert.throws(() => purchases.deserialize(bytes, 't'), { code: 'SCHEMA_UNKNOWN' });
    await purchases.prepare?.(bytes);
    assert.equal(calls.schemaById, 2);
  });

  it('are an outage, not an unknown schema, while the registry is down', async () => {
    const { registry, calls } = watched(await openEmbeddedRegistry());
    const ours = await foreign(registry, record('R', [id]));
    const theirs = await foreign(registry, record('R', [id, { name: 'n', type: 'int' }]));
    const bytes = theirs.serialize({ type: 'R', id: 'x', n: 5 }, 'topic') ?? Buffer.alloc(0);
    calls.failNext = 1;
    await assert.rejects(async () => ours.prepare?.(bytes), {
      code: 'REGISTRY_UNAVAILABLE',
      kind: 'retriable',
    });
    await ours.prepare?.(bytes);
    assert.deepEqual(ours.deserialize(bytes, 'topic'), { type: 'R', id: 'x' });
  });

  it('of another record than the topic holds make the record unreadable', async () => {
    const { purchases, registry } = await shop();
    const { id: other } = await registry.register('elsewhere', record('Stranger', [id]));
    const { id: text } = await registry.register('elsewhere-text', '"string"');
    const { id: unreadable } = await registry.register(
      'elsewhere-order',
      record('OrderReleased', [id], { namespace: 'shop.purchase' }),
    );
    for (const [schemaId, why] of [
      [other, /Stranger/],
      [text, /string/],
      [unreadable, /eventId/],
    ] as const) {
      const bytes = Buffer.alloc(6);
      bytes.writeInt32BE(schemaId, 1);
      await purchases.prepare?.(bytes);
      for (let again = 0; again < 2; again++) {
        assert.throws(() => purchases.deserialize(bytes, 't'), {
          code: 'SCHEMA_UNREADABLE',
          kind: 'poison',
          message: why,
        });
      }
    }
  });
});

describe('opening Avro serdes', () => {
  it('looks schemas up in production, and says which is missing', async () => {
    const schemas = await loadSchemas('schemas');
    const registry = await openEmbeddedRegistry();
    const clock = new ManualClock();
    const production = createAvroSerdes({ registry, schemas, autoRegister: false, clock });
    const topic = 'purchase.events';
    await assert.rejects(production.forTopic(topic, purchaseRecords), {
      code: 'SUBJECT_UNKNOWN',
      kind: 'user',
      message: /purchase\.events-shop\.purchase\./,
    });
    await createAvroSerdes({ registry, schemas, autoRegister: true, clock }).forTopic(topic, purchaseRecords);
    const serde = await production.forTopic<PurchaseEvent>(topic, purchaseRecords);
    assert.deepEqual(serde.deserialize(serde.serialize(cancel, topic), topic), cancel);

    const moved =
      schemas.records.get('shop.purchase.OrderReleased')?.replace('cut short', 'cut shorter') ?? '';
    const newer = {
      ...schemas,
      records: new Map([...schemas.records, ['shop.purchase.OrderReleased', moved]]),
    };
    const ahead = createAvroSerdes({ registry, schemas: newer, autoRegister: false, clock });
    await assert.rejects(ahead.forTopic(topic, purchaseRecords), { code: 'SCHEMA_UNKNOWN', kind: 'user' });
  });

  it('registers at the level of the topic, or of the file', async () => {
    const levels: (string | undefined)[] = [];
    const registry = await openEmbeddedRegistry();
    const spy: SchemaRegistry = {
      ...watched(registry).registry,
      register: (subject, schema, level) => {
        levels.push(level);
        return registry.register(subject, schema, level);
      },
    };
    const schemas: AvroSchemas = {
      level: 'FULL',
      records: new Map([['t.R', record('R', [id])]]),
      topics: [{ topic: 'own', level: 'BACKWARD' }],
    };
    const serdes = createAvroSerdes({ registry: spy, schemas, autoRegister: true, clock: new ManualClock() });
    await serdes.forTopic('own', ['t.R']);
    await serdes.forTopic('other', ['t.R']);
    await serdes.forStore('app-store-value', 't.R');
    assert.deepEqual(levels, ['BACKWARD', 'FULL', 'FULL']);
  });

  it('works for the values of a store, with their prefix', async () => {
    const { serdes, registry } = await shop();
    const states = await serdes.forStore<OrderState>('app-orders-value', 'shop.orchestration.OrderState');
    const state: OrderState = { type: 'OrderState', stateVersion: 1, phase: 'PENDING', state: '{}' };
    const bytes = states.serialize(state, 'orders');
    assert.equal(bytes?.readInt32BE(1), (await registry.versions('app-orders-value'))[0]?.id);
    assert.deepEqual(states.deserialize(bytes, 'orders'), state);
  });
});

describe('any bytes at all', () => {
  it('are a value or a poison record, never anything else', async function () {
    this.timeout(30_000);
    const { purchases, schemas, serdes } = await shop();
    const serdesOfAll = [purchases];
    for (const { topic, records } of schemas.topics) serdesOfAll.push(await serdes.forTopic(topic, records));
    const valid = purchases.serialize(cancel, 't') ?? Buffer.alloc(0);
    const ids = fc.integer({ min: -1, max: 70 }).map((schemaId) => {
      const bytes = Buffer.alloc(5);
      bytes.writeInt32BE(schemaId, 1);
      return bytes;
    });
    const payload = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    const extremes = fc
      .array(fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0xff), { maxLength: 60 })
      .map((bytes) => Buffer.from(bytes));
    const damaged = fc.tuple(fc.nat(valid.length - 6), fc.nat(255)).map(([at, byte]) => {
      const bytes = Buffer.from(valid);
      bytes[5 + at] = byte;
      return bytes;
    });
    const bytes = fc.oneof(
      payload,
      damaged,
      fc.tuple(ids, fc.oneof(payload, extremes)).map((parts) => Buffer.concat(parts)),
    );
    await fc.assert(
      fc.asyncProperty(bytes, fc.nat(serdesOfAll.length - 1), async (value, index) => {
        const serde = serdesOfAll[index] ?? purchases;
        await serde.prepare?.(value);
        try {
          assert.equal(typeof serde.deserialize(value, 't'), 'object');
        } catch (error) {
          assert.ok(error instanceof StreamsError, String(error));
          assert.equal(error.kind, 'poison', error.message);
        }
      }),
      { numRuns: 3000, seed: 20170101 },
    );
  });
});

describe('any value of a schema', () => {
  it('comes back as it went in', async () => {
    const { purchases } = await shop();
    const text = fc.string({ unit: 'binary' }).map((value) => value.replace(/[\ud800-\udfff]/gu, ''));
    const values = fc.record({
      type: fc.constant('OrderCancelRequested' as const),
      eventId: text,
      occurredAt: fc.integer({ min: -(2 ** 52), max: 2 ** 52 }),
      sourceSeq: fc.option(fc.maxSafeNat().filter((value) => value < Number.MAX_SAFE_INTEGER)),
      orderId: text,
      reasonCode: text,
      requestedBy: text,
      lineIds: fc.option(fc.array(text)),
    });
    fc.assert(
      fc.property(values, (value) => {
        assert.deepEqual(purchases.deserialize(purchases.serialize({ ...value }, 't'), 't'), { ...value });
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});
