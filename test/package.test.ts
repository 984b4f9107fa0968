/**
 * The package as a user gets it: only the files that npm would pack, installed beside its dependencies, imported
 * by name from a program that knows nothing of this project. Compiled with its published types, then run.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { after, before, describe, it } from 'mocha';

const run = promisify(execFile);
/** Where package.json and `dist` are: tests may be compiled into another folder than the project's. */
const packageRoot = fileURLToPath(new URL('../../', import.meta.url));

const program = `
import { StreamsBuilder, type Topology, stringSerde } from 'millrace';
import { TopologyTestDriver } from 'millrace/testing';

const text = { keySerde: stringSerde, valueSerde: stringSerde };
const builder = new StreamsBuilder();
builder.stream<string, string>('in', text).mapValues((value) => value.length).foreach(() => {});
const topology: Topology = builder.build();
const driver = new TopologyTestDriver(topology);
await driver.open();
await driver.createInputTopic('in', stringSerde, stringSerde).pipe('a', 'b');
await driver.close();
// @ts-expect-error: a stream of numbers has no string's methods, so the types are there and are not any.
const wrong = () => builder.stream<string, number>('in', {} as never).mapValues((value) => value.trim());
console.log(typeof wrong);
`;

/** The paths that npm would put into the tarball. */
async function packedFiles(): Promise<string[]> {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const { stdout } = await run('npm', args, { cwd: packageRoot, maxBuffer: 16 << 20 });
  const [tarball] = JSON.parse(stdout) as { files: { path: string }[] }[];
  return (tarball?.files ?? []).map(({ path }) => path);
}

describe('the package', () => {
  let folder: string;
  let files: string[];
  before(async function () {
    this.timeout(120_000);
    folder = mkdtempSync(join(tmpdir(), 'millrace-package-'));
    files = await packedFiles();
    const modules = join(folder, 'node_modules');
    for (const file of files) {
      mkdirSync(dirname(join(modules, 'millrace', file)), { recursive: true });
      copyFileSync(join(packageRoot, file), join(modules, 'millrace', file));
    }
    const installed = realpathSync(join(packageRoot, 'node_modules'));
    for (const name of readdirSync(installed).filter((each) => !each.startsWith('.') && each !== 'millrace'))
      symlinkSync(join(installed, name), join(modules, name));
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
    writeFileSync(join(folder, 'user.ts'), program);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('packs what its entry points name, code and types, and no test', () => {
    const manifest = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
      exports: Record<string, { types: string; default: string }>;
      bin: Record<string, string>;
    };
    assert.deepEqual(Object.keys(manifest.exports), ['.', './testing']);
    const named = Object.values(manifest.exports).flatMap((entry) => [entry.types, entry.default]);
    for (const path of [...named, ...Object.values(manifest.bin)])
      assert.ok(files.includes(path.replace(/^\.\//, '')), `${path} is not packed`);
    assert.deepEqual(
      files.filter((path) => /^(dist\/)?(test|bench|examples)\//.test(path)),
      [],
    );
  });

  it("is imported by a user's program, with types", async function () {
    this.timeout(180_000);
    const compiler = join(packageRoot, 'node_modules', 'typescript', 'bin', 'tsc');
    const options = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
    const { stdout } = await run(process.execPath, [compiler, ...options, 'user.ts'], { cwd: folder }).catch(
      (error: { stdout: string }) => error,
    );
    assert.equal(stdout, '');
    assert.ok(existsSync(join(folder, 'user.js')));
    await run(process.execPath, ['user.js'], { cwd: folder });
  });

  it('lets nobody in by a side door', async () => {
    writeFileSync(join(folder, 'side-door.js'), "await import('millrace/dist/src/index.js');");
    const attempt = run(process.execPath, ['side-door.js'], { cwd: folder });
    await assert.rejects(attempt, /ERR_PACKAGE_PATH_NOT_EXPORTED/);
  });
});
