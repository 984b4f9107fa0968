/**
 * Kafka Streams itself, in a Java process of its own: asked with cases, it answers with what comes out of them
 * (test/oracle/java/Oracle.java).
 */
import type { ExpectedOutputs } from '../vectors/vector-case.ts';
import type { Question } from './generate-case.ts';
import { JavaProgram } from './java-program.ts';

export interface Answer {
  readonly name: string;
  readonly expected?: ExpectedOutputs;
  /** What comes out without a known defect; only where that is something else. */
  readonly strictExpected?: ExpectedOutputs;
  readonly description?: string;
  /** Why the case could not be run. */
  readonly error?: string;
}

export class KafkaStreams {
  readonly #program = new JavaProgram('Oracle');

  /** One answer for each question, in their order. One call at a time. Errors: the process has ended. */
  async ask(questions: readonly Question[]): Promise<Answer[]> {
    for (const question of questions) this.#program.write(question);
    const answers: Answer[] = [];
    for (const { name } of questions) {
      const answer = await this.#program.read<Answer>();
      if (answer.name !== name) throw new Error(`Kafka Streams answered ${answer.name} instead of ${name}`);
      answers.push(answer);
    }
    return answers;
  }

  async close(): Promise<void> {
    await this.#program.close();
  }
}
