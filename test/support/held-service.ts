/** A service outside: it answers a question, in capitals, when the test says so, and remembers every call. */
import type { AsyncCall } from '../../src/graph/async-step.ts';

export class HeldService {
  readonly calls: AsyncCall[] = [];
  /** Questions that were asked so far, in order. */
  readonly asked: string[] = [];
  /** The most calls that were open at a time. */
  mostAtOnce = 0;
  readonly #waiting = new Map<string, () => void>();
  #released = false;
  readonly #holds: (question: string) => boolean;

  /** `holds`: which questions wait for `answer`; by default all. */
  constructor(holds: (question: string) => boolean = () => true) {
    this.#holds = holds;
  }

  /** Questions without an answer, in the order in which they came. */
  get open(): string[] {
    return [...this.#waiting.keys()];
  }

  /** The function of the step. Of the same question only the last call is answered. */
  readonly ask = (question: string, _key: string, call: AsyncCall): Promise<string> => {
    this.calls.push(call);
    this.asked.push(question);
    if (this.#released || !this.#holds(question)) return Promise.resolve(question.toUpperCase());
    return new Promise((resolve) => {
      this.#waiting.set(question, () => resolve(question.toUpperCase()));
      this.mostAtOnce = Math.max(this.mostAtOnce, this.#waiting.size);
    });
  };

  /** Answers all, now and from now on: a test that ends must leave no call behind that is tried for minutes. */
  release(): void {
    this.#released = true;
    for (const question of this.open) this.answer(question);
  }

  answer(question: string): void {
    const answer = this.#waiting.get(question);
    if (answer === undefined) throw new Error(`nobody waits for an answer to ${question}`);
    this.#waiting.delete(question);
    answer();
  }
}
