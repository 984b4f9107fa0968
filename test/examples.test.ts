/**
 * Every example is what a newcomer tries first: it is run as a program, prints what its head comment says, and
 * ends by itself.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, it } from 'mocha';

/** The compiled examples lie beside the compiled tests. */
const compiled = fileURLToPath(new URL('../examples/', import.meta.url));
const linesMax = 59;

const names = readdirSync('examples')
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replace(/\.ts$/, ''))
  .sort();

/** The lines below "Prints:" in the head comment. */
function promisedOutput(source: string): string {
  const [, block] = /^ \* Prints:\n((?: \* {3}.*\n)+) \*\/$/m.exec(source) ?? [];
  return (block ?? '').replace(/^ \* {3}/gm, '');
}

describe('the examples', () => {
  it('have a number each', () => {
    const numbers = names.map((name) => /^\d\d(?=-)/.exec(name)?.[0]);
    assert.equal(new Set(numbers).size, names.length);
    assert.ok(!numbers.includes(undefined));
  });

  for (const name of names) {
    it(`${name} prints what its head comment says, and ends`, async function () {
      this.timeout(60_000);
      const { stdout } = await promisify(execFile)(process.execPath, [join(compiled, `${name}.js`)], {
        timeout: 50_000,
      });
      const source = readFileSync(join('examples', `${name}.ts`), 'utf8');
      assert.notEqual(promisedOutput(source), '');
      assert.equal(stdout, promisedOutput(source));
    });

    it(`${name} says how it is run, imports the package as a user does and stays short`, () => {
      const source = readFileSync(join('examples', `${name}.ts`), 'utf8');
      assert.match(source, new RegExp(`^ \\* Run it: npm run example ${name.slice(0, 2)}$`, 'm'));
      const imported = [...source.matchAll(/ from '([^']+)'/g)].map(([, from]) => from ?? '');
      const foreign = imported.filter(
        (from) => !/^(millrace(\/testing)?|node:.*|\.\/support\/.*)$/.test(from),
      );
      assert.deepEqual(foreign, []);
      assert.ok(source.trimEnd().split('\n').length <= linesMax, `it has more than ${linesMax} lines`);
    });
  }
});
