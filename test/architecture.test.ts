/**
 * Holds the sources to the layout of ARCHITECTURE.md. The rules are in architecture/rules.ts, each with its reason;
 * architecture/rules.test.ts shows that every one of them can fail.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { rules } from './architecture/rules.ts';
import { parseSource, type SourceFile } from './architecture/source-file.ts';

/** The tests run in the project's root. */
function readSources(folder: string): SourceFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .map((path) => join(folder, path).split(sep).join('/'))
    .sort()
    .map((path) => parseSource(path, readFileSync(path, 'utf8')));
}

describe('architecture', () => {
  let files: SourceFile[];
  before(() => {
    files = [...readSources('src'), ...readSources('topology')];
  });

  it('finds sources to check', () => {
    assert.ok(
      files.some((file) => file.path.startsWith('src/base/')),
      'the test does not run in the project root',
    );
  });

  for (const rule of rules) {
    it(rule.name, () => {
      const broken = rule.check(files);
      assert.equal(broken.length, 0, `${rule.why}. Broken in:\n  ${broken.join('\n  ')}`);
    });
  }
});
