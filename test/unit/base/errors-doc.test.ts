import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'mocha';
import { errorCodes } from '../../../src/base/errors.ts';

/** The rows of the page that begin with a code: code and kind. The tests run in the project's root. */
function documented(): ReadonlyMap<string, string> {
  const rows = readFileSync('docs/errors.md', 'utf8').matchAll(
    /^\| `([A-Z][A-Z_]+)` \| (\w+) \| \S.*\| \S.*\|$/gm,
  );
  return new Map([...rows].map(([, code, kind]) => [code ?? '', kind ?? '']));
}

describe('docs/errors.md', () => {
  it('explains every code, and no code that is not there, with the right kind', () => {
    assert.deepEqual(Object.fromEntries(documented()), { ...errorCodes });
  });

  it('explains every kind', () => {
    const page = readFileSync('docs/errors.md', 'utf8');
    for (const kind of new Set(Object.values(errorCodes))) assert.ok(page.includes(`| \`${kind}\` | `), kind);
  });
});
