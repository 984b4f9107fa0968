/**
 * Kafka Streams itself, in a Java process of its own: asked with cases, it answers with what comes out of them
 * (test/oracle/java). scripts/setup/oracle.mjs names the process through two variables.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import type { ExpectedOutputs } from '../vectors/vector-case.ts';
import type { Question } from './generate-case.ts';

export interface Answer {
  readonly name: string;
  readonly expected?: ExpectedOutputs;
  /** What comes out without a known defect; only where that is something else. */
  readonly strictExpected?: ExpectedOutputs;
  readonly description?: string;
  /** Why the case could not be run. */
  readonly error?: string;
}

function variable(name: string): string {
  const value = process.env[name];
  if (value !== undefined && value !== '') return value;
  throw new Error(`${name} is not set: npm test and npm run differential set it (scripts/setup/oracle.mjs)`);
}

export class KafkaStreams {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  /** Errors: it is not said where the program is. */
  constructor() {
    const classPath = variable('MILLRACE_TEST_ORACLE_CLASSPATH');
    // Its stores sync every file; in memory that costs nothing. A short life is not worth the full compiler.
    const options = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC'];
    if (existsSync('/dev/shm')) options.push('-Djava.io.tmpdir=/dev/shm');
    this.#child = spawn(
      variable('MILLRACE_TEST_ORACLE_JAVA'),
      [...options, '-cp', classPath, 'oracle.Oracle'],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    // Where it cannot be started, or ends early, the answers end, and `ask` says so.
    this.#child.on('error', () => undefined);
    this.#child.stdin?.on('error', () => undefined);
    if (this.#child.stdout === null) throw new Error('the process has no output');
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** One answer for each question, in their order. One call at a time. Errors: the process has ended. */
  async ask(questions: readonly Question[]): Promise<Answer[]> {
    for (const question of questions) this.#child.stdin?.write(`${JSON.stringify(question)}\n`);
    const answers: Answer[] = [];
    for (const { name } of questions) {
      const line = await this.#answers.next();
      if (line.done === true) throw new Error('Kafka Streams ended before it had answered');
      const answer = JSON.parse(line.value) as Answer;
      if (answer.name !== name) throw new Error(`Kafka Streams answered ${answer.name} instead of ${name}`);
      answers.push(answer);
    }
    return answers;
  }

  async close(): Promise<void> {
    const ended = new Promise((settle) => this.#child.once('close', settle));
    this.#child.stdin?.end();
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined)
      await ended;
    this.#lines.close();
  }
}
