/** Locks, ledgers and children of the scripts, with real processes in a temporary folder. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { loadScript } from './load-script.ts';

interface Processes {
  processIdentity(pid: number): string | undefined;
  isRunning(identity: string): boolean;
  endProcess(identity: string, options?: { graceMs?: number; kill?: boolean }): Promise<void>;
  endLedger(folder: string): Promise<number>;
  noteInLedger(identity: string, env: Record<string, string>): void;
  runLogged(
    command: string,
    args: string[],
    options: { timeoutMs?: number; logFile?: string; onLine?: (line: string) => void },
  ): Promise<{ ok: boolean; code: number | null; timedOut: boolean; tail: string }>;
}

interface Lock {
  withLock<T>(
    path: string,
    what: string,
    work: () => Promise<T>,
    options?: { timeoutMs?: number },
  ): Promise<T>;
}

describe('scripts: processes', () => {
  let folder: string;
  let processes: Processes;
  let lock: Lock;
  before(async () => {
    processes = await loadScript<Processes>('support/processes.mjs');
    lock = await loadScript<Lock>('support/lock.mjs');
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-scripts-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** A child that does nothing until it is ended; it has said so when this resolves. */
  async function idleChild(script = '') {
    const child = spawn(process.execPath, [
      '-e',
      `${script}; process.stdout.write('up'); process.stdin.resume()`,
    ]);
    await once(child.stdout, 'data');
    return child;
  }

  it('a lock lets one at a time in', async () => {
    let inside = 0;
    let most = 0;
    const path = join(folder, 'a.lock');
    const order: number[] = [];
    const work = (n: number) =>
      lock.withLock(path, 'a test', async () => {
        inside += 1;
        most = Math.max(most, inside);
        await Promise.resolve();
        order.push(n);
        inside -= 1;
      });
    await Promise.all([work(1), work(2), work(3)]);
    assert.equal(most, 1);
    assert.deepEqual(order.sort(), [1, 2, 3]);
    assert.equal(existsSync(path), false);
  });

  it('a lock is given back after a failure', async () => {
    const path = join(folder, 'a.lock');
    await assert.rejects(
      lock.withLock(path, 'a test', () => Promise.reject(new Error('no'))),
      /no/,
    );
    assert.equal(await lock.withLock(path, 'a test', async () => 7), 7);
  });

  it("a dead owner's lock is taken over, a living one's is not", async () => {
    const path = join(folder, 'a.lock');
    const child = await idleChild();
    const identity = processes.processIdentity(child.pid ?? 0);
    assert.ok(identity);
    writeFileSync(path, identity);
    await assert.rejects(
      lock.withLock(path, 'a test', async () => 7, { timeoutMs: 1 }),
      /busy with a test/,
    );
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(await lock.withLock(path, 'a test', async () => 7), 7);
  });

  it('a process id that is used again is not the noted process', () => {
    const mine = processes.processIdentity(process.pid);
    assert.ok(mine);
    assert.equal(processes.isRunning(mine), true);
    assert.equal(processes.isRunning(`${process.pid}:1`), false);
  });

  it('ends a process that ignores SIGTERM', async () => {
    const child = await idleChild("process.on('SIGTERM', () => {})");
    const exit = once(child, 'exit');
    await processes.endProcess(processes.processIdentity(child.pid ?? 0) ?? '', { graceMs: 1 });
    assert.deepEqual(await exit, [null, 'SIGKILL']);
  });

  it('a ledger ends what was noted and nothing else', async () => {
    const child = await idleChild();
    const exit = once(child, 'exit');
    const ledger = join(folder, 'ledger');
    processes.noteInLedger(processes.processIdentity(child.pid ?? 0) ?? '', { MILLRACE_PID_LEDGER: ledger });
    // An entry of an earlier process with this test's own id must not end the test.
    processes.noteInLedger(`${process.pid}:1`, { MILLRACE_PID_LEDGER: ledger });
    assert.equal(await processes.endLedger(ledger), 1);
    assert.deepEqual(await exit, [null, 'SIGKILL']);
    assert.equal(await processes.endLedger(ledger), 0);
  });

  it('a long command has its output in a file, and its last lines in the result', async () => {
    const lines: string[] = [];
    const logFile = join(folder, 'log', 'a.log');
    const script = "console.log('one'); console.error('two'); process.exit(3)";
    const result = await processes.runLogged(process.execPath, ['-e', script], {
      logFile,
      onLine: (line) => lines.push(line),
    });
    assert.equal(result.code, 3);
    assert.deepEqual(lines.sort(), ['one', 'two']);
    assert.match(readFileSync(logFile, 'utf8'), /one/);
    assert.match(result.tail, /two/);
  });

  it('a deadline ends a command together with its children', async () => {
    const note = join(folder, 'grandchild');
    // A shell, not node: it has made its child long before the deadline, on a loaded machine too.
    const script = `sleep 600 & echo $! > '${note}'; wait`;
    const result = await processes.runLogged('sh', ['-c', script], { timeoutMs: 2000 });
    assert.equal(result.timedOut, true);
    // The signal reaches both at once, and the kernel may take down the grandchild after the child.
    await eventually(() => processes.processIdentity(Number(readFileSync(note, 'utf8'))) === undefined, {
      what: 'the end of the grandchild',
    });
  });

  it('a missing command is a result, not an exception', async () => {
    const result = await processes.runLogged(join(folder, 'nothing'), [], {});
    assert.equal(result.ok, false);
    assert.match(result.tail, /ENOENT/);
  });

  describe('npm start', () => {
    /** A project with the real scripts, a rocksdb that loads, and this as the program. */
    function projectWith(program: string): string {
      const project = join(folder, 'project');
      cpSync('scripts', join(project, 'scripts'), { recursive: true });
      mkdirSync(join(project, 'node_modules', 'rocksdb'), { recursive: true });
      writeFileSync(join(project, 'node_modules', 'rocksdb', 'index.js'), '');
      mkdirSync(join(project, 'dist', 'topology'), { recursive: true });
      writeFileSync(join(project, 'dist', 'topology', 'main.js'), program);
      return project;
    }

    function start(project: string, args: string[]) {
      const env: NodeJS.ProcessEnv = { ...process.env };
      delete env.UV_THREADPOOL_SIZE;
      return spawn(process.execPath, [join(project, 'scripts', 'start.mjs'), ...args], { env });
    }

    it('passes arguments, settings and the exit code on', async () => {
      const program = 'console.log(process.argv[2], process.env.UV_THREADPOOL_SIZE); process.exitCode = 7;';
      const child = start(projectWith(program), ['demo']);
      let output = '';
      child.stdout.on('data', (chunk) => {
        output += chunk;
      });
      const [code] = await once(child, 'close');
      assert.deepEqual([code, output], [7, 'demo 16\n']);
    });

    it('passes signals on and lets the program end in its own way', async () => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        const program = `process.on('${signal}', () => { console.log('bye'); process.exit(9); });
          console.log('up'); setInterval(() => {}, 1e6);`;
        const child = start(projectWith(program), []);
        await once(child.stdout, 'data');
        child.kill(signal);
        assert.deepEqual((await once(child, 'close'))[0], 9);
      }
    });

    it('starts a program again that asks for it with its exit code', async () => {
      const runs = JSON.stringify(join(folder, 'runs'));
      const program = `const { appendFileSync, readFileSync } = await import('node:fs');
        appendFileSync(${runs}, 'x'); process.exitCode = readFileSync(${runs}, 'utf8').length < 3 ? 5 : 0;`;
      const child = start(projectWith(program), []);
      assert.deepEqual((await once(child, 'close'))[0], 0);
      assert.equal(readFileSync(join(folder, 'runs'), 'utf8'), 'xxx');
    });

    it('a program that dies of a signal gives 128 and its number', async () => {
      const child = start(
        projectWith("process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1e6);"),
        [],
      );
      assert.deepEqual((await once(child, 'close'))[0], 128 + 9);
    });
  });
});
