import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { parseSchema } from '../../../src/base/avro-schema.ts';
import type { CompatibilityLevel } from '../../../src/base/registry-port.ts';
import { checkLevel, checkPair, describeIncompatibilities } from '../../../src/registry/compatibility.ts';
import { sharedJson } from '../../support/shared-folder.ts';

const parse = (schema: unknown) => parseSchema(JSON.stringify(schema));
const reasons = (reader: unknown, writer: unknown) =>
  checkPair(parse(reader), parse(writer)).map(({ kind, at }) => `${kind} ${at}`);
const record = (fields: unknown[], more: object = {}) => ({ type: 'record', name: 'R', fields, ...more });
const field = (type: unknown, more: object = {}) => ({ name: 'f', type, ...more });
const symbols = (list: string[], more: object = {}) => ({ type: 'enum', name: 'E', symbols: list, ...more });
const fixed = (size: number, name = 'F') => ({ type: 'fixed', name, size });

describe('the compatibility of a reader and a writer', () => {
  const cases: [string, unknown, unknown, string[]][] = [
    ['equal primitives', 'int', 'int', []],
    ['int read as long', 'long', 'int', []],
    ['long read as float', 'float', 'long', []],
    ['string read as bytes', 'bytes', 'string', []],
    ['long read as int', 'int', 'long', ['TYPE_MISMATCH /']],
    ['double read as float', 'float', 'double', ['TYPE_MISMATCH /']],
    ['an enum read as a string', 'string', symbols(['A']), ['TYPE_MISMATCH /']],
    [
      'an array read as a map',
      { type: 'map', values: 'int' },
      { type: 'array', items: 'int' },
      ['TYPE_MISMATCH /'],
    ],
    [
      'items that do not fit',
      { type: 'array', items: 'int' },
      { type: 'array', items: 'string' },
      ['TYPE_MISMATCH /items'],
    ],
    [
      'values that do not fit',
      { type: 'map', values: 'int' },
      { type: 'map', values: 'string' },
      ['TYPE_MISMATCH /values'],
    ],
    ['a new field with a default', record([field('int', { default: 1 })]), record([]), []],
    [
      'a new field without a default',
      record([field('int')]),
      record([]),
      ['READER_FIELD_MISSING_DEFAULT_VALUE /fields/0'],
    ],
    [
      'a new nullable field without a default',
      record([field(['null', 'int'])]),
      record([]),
      ['READER_FIELD_MISSING_DEFAULT_VALUE /fields/0'],
    ],
    [
      'a new field whose enum type has a default',
      record([field(symbols(['A'], { default: 'A' }))]),
      record([]),
      ['TYPE_MISMATCH /fields/0/type'],
    ],
    ['a dropped field', record([]), record([field('int')]), []],
    [
      'a renamed field with an alias',
      record([{ ...field('int'), name: 'g', aliases: ['f'] }]),
      record([field('int')]),
      [],
    ],
    [
      'a field whose alias and name hit two',
      record([{ ...field('int'), aliases: ['g'] }]),
      record([field('int'), { name: 'g', type: 'int' }]),
      ['AMBIGUOUS_FIELD /fields/0'],
    ],
    ['a renamed record', record([]), { ...record([]), name: 'S' }, ['NAME_MISMATCH /name']],
    ['a renamed record with an alias', record([], { aliases: ['S'] }), { ...record([]), name: 'S' }, []],
    [
      'an alias that is completed with the wrong namespace',
      record([], { namespace: 'a', aliases: ['S'] }),
      { ...record([]), name: 'S', namespace: 'b' },
      ['NAME_MISMATCH /name'],
    ],
    ['another namespace only', record([], { namespace: 'a' }), record([], { namespace: 'b' }), []],
    [
      'a symbol that the reader lacks',
      symbols(['A']),
      symbols(['A', 'B']),
      ['MISSING_ENUM_SYMBOLS /symbols'],
    ],
    ['a symbol that the reader has a default for', symbols(['A'], { default: 'A' }), symbols(['B']), []],
    ['another size of fixed', fixed(4), fixed(8), ['FIXED_SIZE_MISMATCH /size']],
    ['another name of fixed', fixed(4), fixed(4, 'G'), ['NAME_MISMATCH /name']],
    ['a type that becomes a union', ['null', 'int'], 'int', []],
    ['a type that becomes a union without it', ['null', 'string'], 'int', ['MISSING_UNION_BRANCH /']],
    ['a branch that is promoted', ['null', 'double'], ['null', 'int'], []],
    ['a branch that is dropped', ['int'], ['null', 'int'], ['MISSING_UNION_BRANCH /0']],
    ['a union that becomes a type', 'int', ['int', 'string'], ['TYPE_MISMATCH /1']],
    [
      'decimals of another scale (logical types do not count)',
      { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 4 },
      { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 },
      [],
    ],
  ];
  for (const [name, reader, writer, expected] of cases) {
    it(`${expected.length === 0 ? 'allows' : 'refuses'} ${name}`, () => {
      assert.deepEqual(reasons(reader, writer), expected);
    });
  }

  it('ends on schemas that contain themselves', () => {
    const list = (type: string) =>
      record([
        { name: 'value', type },
        { name: 'next', type: ['null', 'R'] },
      ]);
    assert.deepEqual(reasons(list('long'), list('int')), []);
    assert.deepEqual(
      reasons(list('int'), list('long')),
      ['TYPE_MISMATCH /fields/0/type', 'MISSING_UNION_BRANCH /fields/1/type/1'].slice(0, 1),
    );
  });
});

describe('a compatibility level', () => {
  const v1 = parse(record([{ name: 'a', type: 'int' }]));
  const v2 = parse(
    record([
      { name: 'a', type: 'int' },
      { name: 'b', type: 'int', default: 0 },
    ]),
  );
  const v3 = parse(
    record([
      { name: 'a', type: 'int' },
      { name: 'b', type: 'int' },
    ]),
  );
  const broken = (level: CompatibilityLevel) => checkLevel(level, v3, [v1, v2]).length > 0;

  it('looks at the last version only, unless it is transitive', () => {
    assert.equal(broken('BACKWARD'), false);
    assert.equal(broken('FULL'), false);
    assert.equal(broken('BACKWARD_TRANSITIVE'), true);
    assert.equal(broken('FULL_TRANSITIVE'), true);
    assert.equal(broken('FORWARD_TRANSITIVE'), false);
    assert.equal(broken('NONE'), false);
  });

  it('allows everything where there is no history', () => {
    assert.deepEqual(checkLevel('FULL_TRANSITIVE', v3, []), []);
  });

  it('says in words which version cannot be read by which', () => {
    const words = describeIncompatibilities(checkLevel('FULL_TRANSITIVE', v3, [v1, v2]));
    assert.equal(
      words,
      'cannot read version 1: READER_FIELD_MISSING_DEFAULT_VALUE at /fields/1, the field b is new and has no default',
    );
  });
});

interface Pair {
  readonly name: string;
  readonly reader: unknown;
  readonly writer: unknown;
  readonly compatible: boolean;
  readonly reasons?: readonly string[];
}
interface History {
  readonly name: string;
  readonly level: CompatibilityLevel;
  readonly history: readonly unknown[];
  readonly candidate: unknown;
  readonly compatible: boolean;
}

describe('the verdicts of other implementations', () => {
  it('agree with ours on every recorded pair, and so do the reasons', () => {
    for (const { name, reader, writer, compatible, reasons: recorded } of sharedJson<Pair[]>(
      'avro-vectors',
      'avro-compat-upstream.json',
    ) ?? []) {
      const found = reasons(reader, writer);
      assert.equal(found.length === 0, compatible, name);
      if (recorded !== undefined) assert.deepEqual([...found].sort(), [...recorded].sort(), name);
    }
  });

  it('agree with ours on every recorded level', () => {
    for (const { name, level, history, candidate, compatible } of sharedJson<History[]>(
      'avro-vectors',
      'avro-levels-upstream.json',
    ) ?? []) {
      assert.equal(checkLevel(level, parse(candidate), history.map(parse)).length === 0, compatible, name);
    }
  });
});
