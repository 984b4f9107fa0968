/**
 * Documents must be true: a file that one names is there, and an example in a docstring compiles and does what it
 * says. A reader who finds one wrong path, or one example that does not run, trusts none.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { examplesOf } from './docs/docstring-examples.ts';
import { ExampleRunner } from './docs/run-example.ts';

/** The tests run in the project's root. */
function documents(): string[] {
  const below = readdirSync('docs', { recursive: true, encoding: 'utf8' }).map((path) => join('docs', path));
  return [...readdirSync('.'), ...below].filter((path) => path.endsWith('.md')).sort();
}

/** `[text](target)` and `![text](target)` without addresses elsewhere; a `#part` is left off. */
function linksOf(text: string): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => (target ?? '').replace(/#.*$/, ''))
    .filter((target) => target !== '' && !/^[a-z]+:/.test(target));
}

/** Words in backticks that look like a path of this project: they begin with one of its folders. */
function pathsOf(text: string): string[] {
  const inline = text.replace(/^```[\s\S]*?^```/gm, '');
  return [
    ...inline.matchAll(/`((?:src|topology|schemas|dashboard|scripts|test|bench|docs|examples)\/[\w./-]*)`/g),
  ].map(([, path]) => path ?? '');
}

describe('the documents', () => {
  for (const document of documents()) {
    it(`${document} names only files that are there`, () => {
      const text = readFileSync(document, 'utf8');
      const missing = [
        ...linksOf(text).filter((target) => !existsSync(join(dirname(document), target))),
        ...pathsOf(text).filter((path) => !existsSync(path)),
      ];
      assert.equal(missing.join('\n'), '');
    });
  }

  it('are found', () => {
    assert.ok(documents().includes('README.md'));
    assert.ok(documents().includes(join('docs', 'errors.md')));
  });
});

const examples = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => join('src', path))
  .sort()
  .flatMap((path) => examplesOf(path, readFileSync(path, 'utf8')));

describe('the examples in docstrings', () => {
  let runner: ExampleRunner;
  before(function () {
    this.timeout(180_000);
    runner = new ExampleRunner(examples);
  });
  after(() => runner.close());

  for (const example of examples) {
    it(`${example.place} does what it says`, () => runner.run(example));
  }

  it('show the public interface', () => assert.ok(examples.length >= 20));
});
