import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  namedTypes,
  normalizedText,
  parseRecordSchema,
  parseSchema,
  renderSchema,
} from '../../../src/base/avro-schema.ts';

const text = (schema: unknown) => JSON.stringify(schema);

describe('the text of a schema', () => {
  it('is the same for schemas that differ only in spelling', () => {
    const spellings = [
      {
        type: 'record',
        name: 'a.R',
        fields: [
          { name: 'f', type: 'int' },
          { name: 'g', type: ['null', 'a.R'] },
        ],
      },
      {
        name: 'R',
        namespace: 'a',
        type: 'record',
        fields: [
          { type: { type: 'int' }, name: 'f' },
          { name: 'g', type: ['null', 'R'] },
        ],
      },
    ].map((schema) => normalizedText(text(schema)));
    assert.equal(spellings[0], spellings[1]);
  });

  it('differs where docs, defaults, aliases, symbols or logical types differ', () => {
    const variants = [
      { name: 'f', type: 'long' },
      { name: 'f', type: 'long', doc: 'x' },
      { name: 'f', type: 'long', default: 0 },
      { name: 'f', type: 'long', aliases: ['g'] },
      { name: 'f', type: { type: 'long', logicalType: 'timestamp-millis' } },
      { name: 'f', type: { type: 'enum', name: 'E', symbols: ['A'] } },
      { name: 'f', type: { type: 'enum', name: 'E', symbols: ['A', 'B'] } },
      { name: 'f', type: { type: 'enum', name: 'E', symbols: ['A', 'B'], default: 'A' } },
    ].map((field) => normalizedText(text({ type: 'record', name: 'R', fields: [field] })));
    assert.equal(new Set(variants).size, variants.length);
  });

  it('survives being parsed again', () => {
    const schema = text({
      type: 'record',
      name: 'R',
      fields: [
        {
          name: 'inner',
          type: {
            type: 'record',
            name: 'n.Inner',
            fields: [{ name: 'e', type: { type: 'enum', name: 'E', symbols: ['A'] } }],
          },
        },
        { name: 'again', type: ['null', 'n.E', 'n.Inner', 'R'] },
        {
          name: 'list',
          type: { type: 'array', items: { type: 'map', values: { type: 'fixed', name: 'F', size: 4 } } },
        },
      ],
    });
    const once = normalizedText(schema);
    assert.equal(normalizedText(once), once);
    assert.deepEqual(
      namedTypes(parseSchema(once)).map(({ name }) => name),
      ['R', 'n.Inner', 'n.E', 'F'],
    );
  });

  it('can be rendered without what only readers need, under other names', () => {
    const schema = parseSchema(
      text({
        type: 'record',
        name: 'a.R',
        aliases: ['Old'],
        fields: [{ name: 'f', type: 'int', default: 1, aliases: ['g'] }],
      }),
    );
    assert.deepEqual(renderSchema(schema, { forReader: false, rename: new Map([['a.R', 'b.S']]) }), {
      type: 'record',
      name: 'b.S',
      fields: [{ name: 'f', type: 'int' }],
    });
  });
});

describe('a schema that is wrong', () => {
  const record = (fields: unknown) => ({ type: 'record', name: 'R', fields });
  const cases: [string, unknown, RegExp][] = [
    ['an unknown name', record([{ name: 'f', type: 'Nope' }]), /Nope.*\/fields\/0\/type/],
    ['no type', {}, /without "type"/],
    ['a number', 5, /at \//],
    ['a record without fields', { type: 'record', name: 'R' }, /fields/],
    ['a record without a name', { type: 'record', fields: [] }, /without a name/],
    ['an illegal name', { type: 'record', name: 'a-b', fields: [] }, /a-b/],
    ['an illegal field name', record([{ name: '1', type: 'int' }]), /\/fields\/0/],
    [
      'a field twice',
      record([
        { name: 'f', type: 'int' },
        { name: 'f', type: 'int' },
      ]),
      /f twice/,
    ],
    ['a field without type', record([{ name: 'f' }]), /f without "type"/],
    [
      'a name declared twice',
      record([{ name: 'f', type: { type: 'fixed', name: 'R', size: 1 } }]),
      /R is declared twice/,
    ],
    ['a union in a union', ['null', ['int']], /union/],
    ['a branch twice', ['int', 'int'], /int twice/],
    ['a symbol twice', { type: 'enum', name: 'E', symbols: ['A', 'A'] }, /twice/],
    ['an illegal symbol', { type: 'enum', name: 'E', symbols: ['a b'] }, /a b/],
    [
      'an enum default that is no symbol',
      { type: 'enum', name: 'E', symbols: ['A'], default: 'B' },
      /default of enum E/,
    ],
    ['a fixed without size', { type: 'fixed', name: 'F' }, /size/],
    ['aliases that are no list', { type: 'record', name: 'R', aliases: 'x', fields: [] }, /aliases/],
  ];
  for (const [name, schema, message] of cases) {
    it(`is refused with its place: ${name}`, () => {
      assert.throws(() => parseSchema(text(schema)), { code: 'SCHEMA_INVALID', message });
    });
  }

  it('is refused when it is not JSON, or not a record where one is needed', () => {
    assert.throws(() => parseSchema('{'), { code: 'SCHEMA_INVALID' });
    assert.throws(() => parseRecordSchema('"int"'), { code: 'SCHEMA_INVALID', message: /not a record/ });
  });
});
