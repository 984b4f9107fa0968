// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the samples are the texts of sources
/** Every rule of the architecture, seen failing: a rule that cannot fail protects nothing. */
import assert from 'node:assert/strict';
import { rules, table } from './rules.ts';
import { parseSource } from './source-file.ts';

/** Checks sources given as path → text with all rules; gives the names of the rules that complain. */
function complaints(sources: Record<string, string>): string[] {
  const files = Object.entries(sources).map(([path, text]) => parseSource(path, text));
  return rules.filter((rule) => rule.check(files).length > 0).map((rule) => rule.name);
}

function ruleNamed(part: string): string {
  const found = rules.find((rule) => rule.name.includes(part));
  assert.ok(found, `no rule is named "${part}"`);
  return found.name;
}

/** Each: part of a rule's name, what the sources do, the sources. */
const violations: readonly (readonly [string, string, Record<string, string>])[] = [
  ['lower tiers only', 'an arrow upwards', { 'src/base/a.ts': "import { b } from '../task/b.ts';" }],
  [
    'lower tiers only',
    'an arrow between siblings',
    { 'src/broker/a.ts': "import { b } from '../store/b.ts';" },
  ],
  ['lower tiers only', 'the DSL sees a task', { 'src/dsl/a.ts': "import type { T } from '../task/t.ts';" }],
  ['lower tiers only', 'a task sees the DSL', { 'src/task/a.ts': "import type { T } from '../dsl/t.ts';" }],
  [
    'lower tiers only',
    'an arrow over several lines',
    { 'src/graph/a.ts': "import {\n  a,\n  b,\n} from '../app/b.ts';" },
  ],
  [
    'lower tiers only',
    'a lazy import upwards',
    { 'src/store/a.ts': "const b = await import('../commit/b.ts');" },
  ],
  ['lower tiers only', "a type's import upwards", { 'src/store/a.ts': "let b: import('../commit/b.ts').B;" }],
  [
    'lower tiers only',
    'the app imports the tests’ runtime',
    { 'src/app/a.ts': "import { b } from '../testing/b.ts';" },
  ],
  [
    'lower tiers only',
    'a part imports the entry point',
    { 'src/app/a.ts': "import { b } from '../index.ts';" },
  ],
  ['has a tier', 'a new folder', { 'src/misc/a.ts': 'export const a = 1;' }],
  ['has a tier', 'a file beside the entry point', { 'src/helpers.ts': 'export const a = 1;' }],
  [
    'outside src',
    'the runtime imports the shop',
    { 'src/app/a.ts': "import { b } from '../../topology/topics.ts';" },
  ],
  ['outside src', 'the runtime imports a test', { 'src/app/a.ts': "import '../../test/support/x.ts';" }],
  ['outside src', 'the runtime imports its entry point', { 'src/app/a.ts': "import { b } from '#streams';" }],
  [
    'as #streams',
    'the shop reaches into src',
    { 'topology/main.ts': "import { b } from '../src/base/b.ts';" },
  ],
  [
    'as #streams',
    'the shop takes the long way',
    { 'topology/order/a.ts': "import { b } from '../../src/index.ts';" },
  ],
  ['as #streams', 'an unknown entry point', { 'topology/main.ts': "import { b } from '#streams/base';" }],
  ['one gateway', 'a package elsewhere', { 'src/store/a.ts': "import rocksdb from 'rocksdb';" }],
  [
    'one gateway',
    'a package by require',
    { 'src/broker/a.ts': "const { x } = require('@confluentinc/kafka-javascript');" },
  ],
  ['one gateway', 'a part of a package', { 'src/thread/a.ts': "import { parse } from 'csv-parse/sync';" }],
  ['one gateway', 'a package that nobody knows', { 'src/base/a.ts': "import _ from 'lodash';" }],
  [
    'one gateway',
    'a package in the wrong folder',
    { 'topology/main.ts': "import { Command } from 'commander';" },
  ],
  ['one gateway', 'only its types', { 'src/thread/a.ts': "import type { Logger } from 'pino';" }],
  ['computed name', 'a variable', { 'src/app/a.ts': 'const m = await import(name);' }],
  ['computed name', 'a template', { 'src/app/a.ts': 'const m = await import(`../${name}.ts`);' }],
  ['computed name', 'createRequire', { 'src/app/a.ts': "import { createRequire } from 'node:module';" }],
  [
    'by way of others',
    'a cycle of three',
    {
      'src/base/a.ts': "import { b } from './b.ts';",
      'src/base/b.ts': "import type { C } from './c.ts';",
      'src/base/c.ts': "import { a } from './a.ts';",
    },
  ],
  ['by way of others', 'a file that imports itself', { 'src/base/a.ts': "import { a } from './a.ts';" }],
  ['re-export', 'a barrel', { 'src/base/index.ts': 'export const a = 1;' }],
  ['re-export', 'export from', { 'src/base/a.ts': "export { b } from './b.ts';" }],
  ['re-export', 'export type from', { 'src/base/a.ts': "export type { B } from './b.ts';" }],
  ['re-export', 'export * in the entry point', { 'src/index.ts': "export * from './base/a.ts';" }],
  ['re-export', 'export * as', { 'src/index.ts': "export * as base from './base/a.ts';" }],
  ['re-export', 'import and export', { 'src/base/a.ts': "import { x as b } from './b.ts';\nexport { b };" }],
  ['no clock', 'Date.now', { 'src/task/a.ts': 'const t = Date.now();' }],
  ['no clock', 'Date.now as a value', { 'src/task/a.ts': 'const clock = Date.now;' }],
  ['no clock', 'new Date()', { 'src/task/a.ts': 'const t = new Date().getTime();' }],
  ['no clock', 'new Date without brackets', { 'src/task/a.ts': 'const t = +(new Date);' }],
  ['no clock', 'Math.random', { 'topology/order/a.ts': 'const r = Math.random();' }],
  ['no clock', 'a random id', { 'src/app/a.ts': "import { randomUUID } from 'node:crypto';" }],
  ['no clock', 'setTimeout', { 'src/thread/a.ts': 'setTimeout(() => step(), 100);' }],
  ['no clock', 'setTimeout by globalThis', { 'src/thread/a.ts': 'globalThis.setTimeout(step, 100);' }],
  ['no clock', 'setInterval in an interpolation', { 'src/thread/a.ts': 'const s = `${setInterval(f, 1)}`;' }],
  ['no clock', 'setImmediate', { 'src/thread/a.ts': 'await new Promise((r) => setImmediate(r));' }],
  [
    'no clock',
    'timers as a module',
    { 'src/thread/a.ts': "import { setTimeout as sleep } from 'node:timers/promises';" },
  ],
  ['no clock', 'performance', { 'src/thread/a.ts': 'const t = performance.now();' }],
  ['no clock', 'hrtime', { 'src/thread/a.ts': 'const t = process.hrtime.bigint();' }],
  ['no clock', 'the environment in src', { 'src/app/a.ts': 'const p = process.env.PORT;' }],
  [
    'no clock',
    'the environment elsewhere in the CLI',
    { 'topology/cli/a.ts': 'const p = process.env.PORT;' },
  ],
  ['no clock', 'the console', { 'topology/order/a.ts': "console.log('x');" }],
  ['no async', 'an async function', { 'src/graph/a.ts': 'export async function f() {}' }],
  ['no async', 'a promise in a type', { 'src/failure/a.ts': 'export type F = () => Promise<void>;' }],
  ['no async', 'await in a decision', { 'topology/order/decide-payment.ts': 'const x = await y;' }],
  ['no async', 'a file system', { 'src/assign/a.ts': "import { readFileSync } from 'node:fs';" }],
  ['no async', 'async in base', { 'src/base/a.ts': 'export const f = async () => 1;' }],
];

/** Sources that break nothing, though they look like it. */
const innocent: readonly (readonly [string, Record<string, string>])[] = [
  [
    'arrows downwards',
    { 'src/task/a.ts': "import { b } from '../graph/b.ts';\nimport { c } from '../base/c.ts';" },
  ],
  ['the test runtime wires everything', { 'src/testing/a.ts': "import { b } from '../app/b.ts';" }],
  [
    'entry points re-export',
    { 'src/index.ts': "export { a } from './base/a.ts';\nexport type { B } from './app/b.ts';" },
  ],
  [
    'a file exports its own names',
    { 'src/base/a.ts': "import { b } from './b.ts';\nconst a = b;\nexport { a };" },
  ],
  [
    'the shop as a customer',
    { 'topology/order/a.ts': "import { b } from '#streams';\nimport { c } from './c.ts';" },
  ],
  ['a package in its gateway', { 'src/store/rocksdb-library.ts': "import rocksdb from 'rocksdb';" }],
  ['a package in its folder', { 'topology/olist/read.ts': "import { parse } from 'csv-parse';" }],
  ['comments', { 'src/task/a.ts': '// not Date.now()\n/* nor setTimeout(x) */ const a = 1;' }],
  ['strings', { 'src/task/a.ts': "const a = \"Date.now()\" + 'it\\'s Math.random()' + `console.log`;" }],
  ['texts of templates', { 'src/task/a.ts': 'const a = `${b({ c: `${d} Date.now()` })} process.env`;' }],
  [
    'regular expressions',
    { 'src/task/a.ts': "const a = /['\"`]/.test(b); const c = /[/]Date.now()/u;\nconst d = 'x';" },
  ],
  ['a division', { 'src/task/a.ts': "const a = b / c; const d = 'x' + e / 2;" }],
  ['a date from a number', { 'src/task/a.ts': 'const a = new Date(ms).toISOString();' }],
  ['a method of a port', { 'src/thread/a.ts': 'this.clock.setTimeout(f, 1); clock.Date.now;' }],
  [
    'longer names',
    { 'src/thread/a.ts': 'const myConsole = 1; performanceOf(x); resetTimeout(); setTimeouts();' },
  ],
  [
    'the wall clock',
    { 'src/base/wall-clock.ts': 'export const now = () => Date.now(); export async function f() {}' },
  ],
  ['a port', { 'src/base/x-port.ts': 'export interface X { close(): Promise<void>; }' }],
  ['settings of the CLI', { 'topology/cli/settings-source.ts': 'export const e = process.env;' }],
  ['the console of the CLI', { 'topology/cli/a.ts': "console.log('x');" }],
  ['an asynchronous shop', { 'topology/participants/a.ts': 'export async function f() { await g(); }' }],
  ['a hash', { 'topology/order/decide.ts': "import { createHash } from 'node:crypto';" }],
  ['a word in a field', { 'src/graph/a.ts': 'const a = { async: true, from: "x" }; a.await;' }],
  [
    'a method named require',
    {
      'src/app/a.ts': "class A { #require(x) {} require(y) {} f() { this.#require('a'); b.require('c'); } }",
    },
  ],
  ['import.meta', { 'src/app/a.ts': 'const here = import.meta.url;' }],
  ['a lazy import', { 'src/app/a.ts': "const b = await import('../broker/kafka-broker.ts');" }],
];

describe('architecture rules', () => {
  for (const [part, name, sources] of violations) {
    it(`sees a violation of "${part}": ${name}`, () => {
      assert.ok(
        complaints(sources).includes(ruleNamed(part)),
        `nobody complained about ${JSON.stringify(sources)}`,
      );
    });
  }

  for (const [name, sources] of innocent) {
    it(`lets pass: ${name}`, () => {
      assert.deepEqual(complaints(sources), []);
    });
  }

  it('has a violation for every rule', () => {
    const shown = new Set(violations.map(([part]) => ruleNamed(part)));
    assert.deepEqual(
      rules.map((rule) => rule.name).filter((name) => !shown.has(name)),
      [],
    );
  });

  it('says where', () => {
    const file = parseSource('src/task/a.ts', 'const a = 1;\n\nconst b = Date.now();\n');
    const rule = rules.find((each) => each.name === ruleNamed('no clock'));
    assert.deepEqual(rule?.check([file]), ['src/task/a.ts:3 uses the clock']);
  });

  it('never lets two siblings of a tier see each other', () => {
    for (const folder of Object.keys(table.tiers)) {
      for (const other of table.foldersBelow(folder)) {
        assert.ok(other === folder || (table.tiers[other] ?? 99) < (table.tiers[folder] ?? 0));
      }
    }
  });
});
