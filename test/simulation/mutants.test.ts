/**
 * The checkers checked: each mutant of the engine must be caught by the simulator within 500 seeds. A mutant is
 * a copy of the compiled engine with a patch, run in a process of its own.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Mutant, mutants } from './mutants.ts';
import type { SeedLine } from './run-seeds.ts';

const seedsMax = 500;
const project = fileURLToPath(new URL('../../../', import.meta.url));

function copyEngine(folder: string): void {
  for (const part of [
    'dist/src',
    'dist/topology',
    'dist/test/simulation',
    'dist/test/oracle',
    'dist/test/vectors',
    'dist/test/support',
    'schemas',
  ])
    cpSync(join(project, part), join(folder, part), { recursive: true });
  cpSync(join(project, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
}

function mutate(folder: string, { patches }: Mutant): void {
  for (const { file, find, replace } of patches) {
    const path = join(folder, 'dist', 'src', file);
    const text = readFileSync(path, 'utf8');
    assert.equal(
      text.split(find).length,
      2,
      `the text to be patched is not exactly once in ${file}: ${find}`,
    );
    writeFileSync(
      path,
      text.replace(find, () => replace),
    );
  }
}

/** Simulates until a seed has a violation; the last line that was written. */
async function runSeeds(folder: string, { kinds }: Mutant): Promise<{ lines: SeedLine[]; stderr: string }> {
  const child = spawn(
    process.execPath,
    [
      join(folder, 'dist/test/simulation/run-seeds.js'),
      '1',
      String(seedsMax),
      '1',
      '--stop-at-violation',
      ...(kinds === undefined ? [] : ['--kinds', kinds.join(',')]),
    ],
    { cwd: folder },
  );
  const lines: SeedLine[] = [];
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line) as SeedLine));
  try {
    await once(child, 'close');
  } finally {
    child.kill('SIGKILL');
  }
  return { lines, stderr };
}

describe('the simulator', function () {
  this.timeout(600_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-mutant-'));
    copyEngine(folder);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  for (const mutant of mutants) {
    it(`catches an engine in which ${mutant.name}`, async () => {
      mutate(folder, mutant);
      const { lines, stderr } = await runSeeds(folder, mutant);
      const caught = lines.find(({ violations }) => violations.length > 0);
      assert.ok(caught, `not within ${lines.length} seeds\n${stderr}`);
    });
  }
});
