/**
 * A Java program of test/oracle/java as a process: lines of JSON go in, and for each comes one out, in order.
 * scripts/setup/oracle.mjs compiles the programs and names java and the class path through two variables.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';

function variable(name: string): string {
  const value = process.env[name];
  if (value !== undefined && value !== '') return value;
  throw new Error(`${name} is not set: npm test and npm run differential set it (scripts/setup/oracle.mjs)`);
}

export class JavaProgram {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  /** `name`: the class in the package `oracle`. Errors: it is not said where Java is. */
  constructor(name: string) {
    this.#name = name;
    const classPath = variable('MILLRACE_TEST_ORACLE_CLASSPATH');
    // Its stores sync every file; in memory that costs nothing. A short life is not worth the full compiler.
    const options = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
    if (existsSync('/dev/shm')) options.push('-Djava.io.tmpdir=/dev/shm');
    this.#child = spawn(
      variable('MILLRACE_TEST_ORACLE_JAVA'),
      [...options, '-cp', classPath, `oracle.${name}`],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    // Where it cannot be started, or ends early, the answers end, and `read` says so.
    this.#child.on('error', () => undefined);
    this.#child.stdin?.on('error', () => undefined);
    if (this.#child.stdout === null) throw new Error('the process has no output');
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  write(question: object): void {
    this.#child.stdin?.write(`${JSON.stringify(question)}\n`);
  }

  /** The next answer. One call at a time. Errors: the process has ended. */
  async read<Answer>(): Promise<Answer> {
    const line = await this.#answers.next();
    if (line.done === true) throw new Error(`the Java program ${this.#name} ended before it had answered`);
    return JSON.parse(line.value) as Answer;
  }

  /** Ends its input, and resolves when it has ended for that. */
  async close(): Promise<void> {
    const ended = new Promise((settle) => this.#child.once('close', settle));
    this.#child.stdin?.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined)
      await ended;
    this.#lines.close();
  }
}
