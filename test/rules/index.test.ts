/** Goal: no rule without its test, no test of a rule that nobody wrote down. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'mocha';

interface Rule {
  readonly id: string;
  /** Undefined: the row says with which part the rule comes. */
  readonly test: string | undefined;
}

/** The rows of the page's tables. The tests run in the project's root. */
function rules(): Rule[] {
  const page = readFileSync('docs/spec/rules.md', 'utf8');
  return [...page.matchAll(/^\| ([A-Z]\d+) \| .+ \| (.+) \|$/gm)].map(([, id, last]) => ({
    id: id as string,
    test: /`(test\/[^`]+)`/.exec(last as string)?.[1],
  }));
}

/** Ids that begin a test's title in a file, or in the files of a folder. */
function idsIn(path: string): Set<string> {
  const files = statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name))
    : [path];
  const text = files
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');
  return new Set([...text.matchAll(/\bit\(\s*['"`]([A-Z]\d+) /g)].map(([, id]) => id as string));
}

describe('docs/spec/rules.md', () => {
  it('has each rule once, numbered without gaps', () => {
    const ids = rules().map(({ id }) => id);
    assert.ok(ids.length > 50, `${ids.length} rules`);
    assert.equal(new Set(ids).size, ids.length);
    for (const letter of new Set(ids.map((id) => id[0]))) {
      const numbers = ids.filter((id) => id[0] === letter).map((id) => Number(id.slice(1)));
      const first = numbers[0] as number;
      assert.deepEqual(
        numbers,
        Array.from(numbers, (_, index) => first + index),
      );
    }
  });

  it('names for each rule a test whose title begins with its id, or what the rule comes with', () => {
    const page = readFileSync('docs/spec/rules.md', 'utf8');
    for (const { id, test } of rules()) {
      if (test === undefined) {
        const row = page.split('\n').find((line) => line.startsWith(`| ${id} |`)) ?? '';
        assert.match(row, /\| (comes with .+|none yet) \|$/, id);
        continue;
      }
      assert.ok(existsSync(test), `${id}: ${test}`);
      assert.ok(idsIn(test).has(id), `no test in ${test} begins with ${id}`);
    }
  });

  it('has a row for every rule that a test is named after', () => {
    const known = new Set(rules().map(({ id }) => id));
    const unknown = [...idsIn('test/rules')].filter((id) => !known.has(id));
    assert.deepEqual(unknown, []);
  });
});
