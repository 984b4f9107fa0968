import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { openEmbeddedRegistry } from '../../../src/registry/embedded-registry.ts';
import { loadSchemas, type SchemaSet } from '../../../src/registry/schema-files.ts';
import { openMemoryBackend } from '../../../src/store/memory-backend.ts';

const record = (name: string, fields: readonly unknown[]): string =>
  JSON.stringify({ type: 'record', namespace: 't', name, fields });
const id = { name: 'id', type: 'string' };
const set = (texts: Record<string, string>): SchemaSet => ({
  level: 'FULL_TRANSITIVE',
  records: new Map(Object.entries(texts)),
  topics: [{ topic: 'orders', records: Object.keys(texts), level: 'FULL_TRANSITIVE' }],
  stores: [],
});

describe('the embedded registry', () => {
  it('registers every record of every topic of the schemas folder at the start', async () => {
    const schemas = await loadSchemas('schemas');
    const registry = await openEmbeddedRegistry({ schemas });
    for (const { topic, records } of schemas.topics) {
      for (const name of records) assert.equal((await registry.versions(`${topic}-${name}`)).length, 1, name);
    }
  });

  it('gives the same ids after a restart, and new schemas new ones', async () => {
    const backend = await openMemoryBackend();
    const before = await openEmbeddedRegistry({
      backend,
      schemas: set({ 't.A': record('A', [id]), 't.B': record('B', [id]) }),
    });
    const a = await before.lookup('orders-t.A', record('A', [id]));
    const b = await before.lookup('orders-t.B', record('B', [id]));
    await before.close();

    // In the other order, with a new record first: without the backend the ids would move.
    const schemas = set({ 't.C': record('C', [id]), 't.B': record('B', [id]), 't.A': record('A', [id]) });
    const after = await openEmbeddedRegistry({ backend, schemas });
    assert.equal((await after.lookup('orders-t.A', record('A', [id]))).id, a.id);
    assert.equal((await after.lookup('orders-t.B', record('B', [id]))).id, b.id);
    assert.equal((await after.lookup('orders-t.C', record('C', [id]))).id, 3);
    assert.equal((await after.versions('orders-t.A')).length, 1);
  });

  it('keeps versions in order and levels over a restart', async () => {
    const backend = await openMemoryBackend();
    const before = await openEmbeddedRegistry({ backend });
    const note = (n: number) => ({ name: `n${n}`, type: 'int', default: 0 });
    const ids: number[] = [];
    for (let n = 0; n < 12; n++) {
      const fields = [id, ...Array.from({ length: n }, (_, i) => note(i))];
      ids.push((await before.register('s', record('R', fields), 'FULL_TRANSITIVE')).id);
    }
    await before.register('s/x', record('Other', [id]));
    const after = await openEmbeddedRegistry({ backend });
    assert.deepEqual(
      (await after.versions('s')).map((version) => version.id),
      ids,
    );
    await assert.rejects(after.register('s', record('R', [{ name: 'x', type: 'int' }])), {
      code: 'SCHEMA_INCOMPATIBLE',
      message: /FULL_TRANSITIVE/,
    });
  });

  it('refuses to open when a schema file changed in a way that its level forbids', async () => {
    const backend = await openMemoryBackend();
    await openEmbeddedRegistry({ backend, schemas: set({ 't.A': record('A', [id]) }) });
    const changed = set({ 't.A': record('A', [id, { name: 'total', type: 'long' }]) });
    await assert.rejects(openEmbeddedRegistry({ backend, schemas: changed }), {
      code: 'SCHEMA_INCOMPATIBLE',
      kind: 'user',
      message: /total.*orders-t\.A/,
    });
  });

  it('takes an edited doc for a new version, as a server does', async () => {
    const registry = await openEmbeddedRegistry();
    const first = await registry.register('s', record('R', [id]));
    const second = await registry.register('s', record('R', [{ ...id, doc: 'Of the order.' }]));
    assert.notEqual(first.id, second.id);
  });

  it('refuses a default that does not fit its field', async () => {
    const registry = await openEmbeddedRegistry();
    const bad: [unknown, unknown][] = [
      ['int', 'one'],
      ['string', 1],
      [['null', 'string'], 5],
      [{ type: 'array', items: 'int' }, ['x']],
      [{ type: 'enum', name: 'E', symbols: ['A'] }, 'B'],
      [{ type: 'fixed', name: 'F', size: 2 }, 'a'],
    ];
    for (const [type, value] of bad) {
      const schema = record('R', [{ name: 'f', type, default: value }]);
      await assert.rejects(registry.register('s', schema), { code: 'SCHEMA_INVALID', message: /t\.R\.f/ });
    }
  });
});
