import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { loadSchemas } from '../../../src/registry/schema-files.ts';

const schema = (name: string, fields: readonly unknown[] = []) =>
  JSON.stringify({ type: 'record', namespace: 't', name, fields });

describe('the schemas folder', () => {
  let folder: string;
  const put = async (file: string, text: string) => {
    await mkdir(join(folder, file, '..'), { recursive: true });
    await writeFile(join(folder, file), text);
  };
  const subjects = (json: unknown) => put('subjects.json', JSON.stringify(json));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-schemas-'));
    await put('a/A.avsc', schema('A'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('gives the records, and the topics with their levels', async () => {
    await put('b/B.avsc', schema('B'));
    await subjects({
      level: 'FULL',
      topics: { x: { records: ['t.A'] }, y: { records: ['t.A', 't.B'], level: 'NONE' } },
      stores: ['t.B'],
    });
    const set = await loadSchemas(folder);
    assert.deepEqual([...set.records.keys()], ['t.A', 't.B']);
    assert.deepEqual(set.topics, [
      { topic: 'x', records: ['t.A'], level: 'FULL' },
      { topic: 'y', records: ['t.A', 't.B'], level: 'NONE' },
    ]);
    assert.deepEqual(set.stores, ['t.B']);
  });

  it("is the shop's own folder without a complaint", async () => {
    const set = await loadSchemas('schemas');
    assert.equal(set.level, 'FULL_TRANSITIVE');
    assert.ok(set.topics.length >= 14);
  });

  const failures: [string, () => Promise<unknown>, string, RegExp][] = [
    ['a file that is not JSON', () => put('a/B.avsc', '{'), 'SCHEMA_INVALID', /B\.avsc/],
    [
      'a schema with a name that is not declared',
      () => put('a/B.avsc', schema('B', [{ name: 'f', type: 'Nowhere' }])),
      'SCHEMA_INVALID',
      /Nowhere.*at \/fields\/0\/type.*B\.avsc/,
    ],
    [
      'a field named type',
      () => put('a/B.avsc', schema('B', [{ name: 'type', type: 'int' }])),
      'SCHEMA_INVALID',
      /B\.avsc/,
    ],
    ['what is not a record', () => put('a/B.avsc', '"string"'), 'SCHEMA_INVALID', /not a record.*B\.avsc/],
    [
      'a record that is declared twice',
      () => put('b/A.avsc', schema('A')),
      'SCHEMA_INVALID',
      /t\.A.*b\/A\.avsc/,
    ],
    [
      'subjects that name an unknown record',
      () => subjects({ level: 'FULL', topics: { x: { records: ['t.Z'] } } }),
      'INPUT_INVALID',
      /t\.Z.*subjects\.json/,
    ],
    [
      'an unknown level',
      () => subjects({ level: 'SOME', topics: {} }),
      'INPUT_INVALID',
      /SOME.*FULL_TRANSITIVE.*subjects\.json/,
    ],
    ['subjects without topics', () => subjects({ level: 'FULL' }), 'INPUT_INVALID', /topics.*subjects\.json/],
    [
      'a topic without records',
      () => subjects({ level: 'FULL', topics: { x: {} } }),
      'INPUT_INVALID',
      /topic x.*subjects\.json/,
    ],
    ['subjects that are not JSON', () => put('subjects.json', 'x'), 'INPUT_INVALID', /subjects\.json/],
    ['no subjects at all', async () => undefined, 'INPUT_MISSING', /subjects\.json/],
  ];
  for (const [name, arrange, code, message] of failures) {
    it(`is refused with the file's name for ${name}`, async () => {
      if (name !== 'no subjects at all') await subjects({ level: 'FULL', topics: {} });
      await arrange();
      await assert.rejects(loadSchemas(folder), { code, message, kind: 'user' });
    });
  }

  it('has to be there', async () => {
    await assert.rejects(loadSchemas(join(folder, 'nowhere')), { code: 'INPUT_MISSING', message: /nowhere/ });
  });
});
