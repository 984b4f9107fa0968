/**
 * What every schema registry has to do, whichever it is. Run by registry.test.ts on the embedded one and by
 * registry.int.test.ts on a real server. Subjects get a fresh name each time: a server keeps the old ones.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'mocha';
import type { SchemaRegistry } from '../../src/base/registry-port.ts';

const record = (name: string, fields: readonly unknown[], more: object = {}): string =>
  JSON.stringify({ type: 'record', namespace: 'contract', name, fields, ...more });
const orderId = { name: 'orderId', type: 'string' };
const note = { name: 'note', type: ['null', 'string'], default: null };

export function registryContract(open: () => Promise<SchemaRegistry>): void {
  const withRegistry =
    (test: (registry: SchemaRegistry, subject: string, name: string) => Promise<void>) => async () => {
      const registry = await open();
      const unique = randomUUID().replaceAll('-', '');
      try {
        await test(registry, `contract-${unique}`, `R${unique}`);
      } finally {
        await registry.close();
      }
    };

  it(
    'gives a registered schema an id, and the schema back for it',
    withRegistry(async (registry, subject, name) => {
      const schema = record(name, [orderId]);
      const { id } = await registry.register(subject, schema);
      assert.ok(id > 0);
      const found = await registry.schemaById(id);
      assert.equal(found.id, id);
      assert.equal(fieldNames(found.schema), 'orderId');
    }),
  );

  it(
    'registers the same schema twice under one id, however it is spelled',
    withRegistry(async (registry, subject, name) => {
      const first = await registry.register(subject, record(name, [orderId]));
      const spelled = `{ "name": "contract.${name}",\n "fields": [${JSON.stringify(orderId)}], "type": "record" }`;
      assert.equal((await registry.register(subject, spelled)).id, first.id);
      assert.equal((await registry.lookup(subject, spelled)).id, first.id);
      assert.equal((await registry.versions(subject)).length, 1);
    }),
  );

  it(
    'registers the same schema from many callers at once under one id',
    withRegistry(async (registry, subject, name) => {
      const schema = record(name, [orderId]);
      const all = await Promise.all(Array.from({ length: 10 }, () => registry.register(subject, schema)));
      assert.deepEqual(new Set(all.map(({ id }) => id)).size, 1);
      const leveled = await Promise.all(
        Array.from({ length: 10 }, () => registry.register(`${subject}-leveled`, schema, 'FULL_TRANSITIVE')),
      );
      assert.deepEqual(new Set(leveled.map(({ id }) => id)).size, 1);
    }),
  );

  it(
    'gives one content one id under several subjects',
    withRegistry(async (registry, subject, name) => {
      const schema = record(name, [orderId]);
      const first = await registry.register(`${subject}-a`, schema);
      assert.equal((await registry.register(`${subject}-b`, schema)).id, first.id);
    }),
  );

  it(
    'lists the versions of a subject, oldest first',
    withRegistry(async (registry, subject, name) => {
      const first = await registry.register(subject, record(name, [orderId]), 'FULL_TRANSITIVE');
      const second = await registry.register(subject, record(name, [orderId, note]), 'FULL_TRANSITIVE');
      assert.notEqual(first.id, second.id);
      const versions = await registry.versions(subject);
      assert.deepEqual(
        versions.map(({ id }) => id),
        [first.id, second.id],
      );
      assert.deepEqual(
        versions.map(({ schema }) => fieldNames(schema)),
        ['orderId', 'orderId,note'],
      );
    }),
  );

  it(
    'has no versions of an unknown subject, and says on lookup that it is the subject',
    withRegistry(async (registry, subject, name) => {
      assert.deepEqual(await registry.versions(subject), []);
      await assert.rejects(registry.lookup(subject, record(name, [orderId])), { code: 'SUBJECT_UNKNOWN' });
    }),
  );

  it(
    'says on lookup that a known subject lacks the schema',
    withRegistry(async (registry, subject, name) => {
      await registry.register(subject, record(name, [orderId]));
      await assert.rejects(registry.lookup(subject, record(name, [orderId, note])), {
        code: 'SCHEMA_UNKNOWN',
      });
    }),
  );

  it(
    'says that an id is unknown',
    withRegistry(async (registry) => {
      await assert.rejects(registry.schemaById(1_999_999_999), { code: 'SCHEMA_UNKNOWN', kind: 'poison' });
    }),
  );

  it(
    'holds a subject to the level of its first registration, and says what breaks it',
    withRegistry(async (registry, subject, name) => {
      await registry.register(subject, record(name, [orderId]), 'FULL_TRANSITIVE');
      const added = { name: 'total', type: 'long' };
      await assert.rejects(registry.register(subject, record(name, [orderId, added]), 'FULL_TRANSITIVE'), {
        code: 'SCHEMA_INCOMPATIBLE',
        message: /READER_FIELD_MISSING_DEFAULT_VALUE at \/fields\/1.*total/,
      });
      assert.equal((await registry.versions(subject)).length, 1);
    }),
  );

  it(
    'leaves a level that is set alone',
    withRegistry(async (registry, subject, name) => {
      await registry.register(subject, record(name, [orderId]), 'NONE');
      await registry.register(subject, record(name, [{ name: 'other', type: 'long' }]), 'FULL_TRANSITIVE');
      await registry.register(subject, record(name, [{ name: 'third', type: 'int' }]));
      assert.equal((await registry.versions(subject)).length, 3);
    }),
  );

  it(
    'compares with every version under a transitive level, not only with the last',
    withRegistry(async (registry, subject, name) => {
      const withDefault = { name: 'total', type: 'long', default: 0 };
      await registry.register(subject, record(name, [orderId]), 'BACKWARD_TRANSITIVE');
      await registry.register(subject, record(name, [orderId, withDefault]));
      const without = record(name, [orderId, { name: 'total', type: 'long' }]);
      await assert.rejects(registry.register(subject, without), { code: 'SCHEMA_INCOMPATIBLE' });
    }),
  );

  it(
    'refuses what is not a schema',
    withRegistry(async (registry, subject) => {
      for (const bad of ['{"type":"record"}', '{"type":"nonsense"}']) {
        await assert.rejects(registry.register(subject, bad), { code: 'SCHEMA_INVALID', kind: 'user' }, bad);
      }
    }),
  );

  it(
    'takes subjects with any letters in them',
    withRegistry(async (registry, subject, name) => {
      const strange = `${subject} ü/%?#`;
      const { id } = await registry.register(strange, record(name, [orderId]), 'FULL');
      assert.equal((await registry.versions(strange))[0]?.id, id);
      assert.deepEqual(await registry.versions(`${subject} ü`), []);
    }),
  );

  it(
    'answers nothing after it was closed',
    withRegistry(async (registry, subject) => {
      await registry.close();
      await assert.rejects(registry.versions(subject), { code: 'REGISTRY_UNAVAILABLE', kind: 'retriable' });
    }),
  );
}

function fieldNames(schema: string): string {
  return (JSON.parse(schema) as { fields: { name: string }[] }).fields.map((field) => field.name).join(',');
}
