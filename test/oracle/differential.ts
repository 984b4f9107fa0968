/**
 * The same random program with the same inputs on Kafka Streams and on this runtime: every record, its
 * timestamp and the order must be the same. A case that differs is made small by dropping inputs.
 *
 * Where Kafka Streams has a defect that we do not repeat, its program (test/oracle/java) also says what comes
 * out without the defect; that is what holds here (docs/semantics.md).
 */
import { differencesOf } from '../vectors/run-vectors.ts';
import { NotBuilt, type VectorCase } from '../vectors/vector-case.ts';
import { generateCase, type Question } from './generate-case.ts';
import type { Answer, KafkaStreams } from './kafka-streams.ts';

export interface Difference {
  readonly question: Question;
  /** What differs, one line each. */
  readonly lines: readonly string[];
  /** The case itself has no program here yet. */
  readonly notBuilt: boolean;
}

export interface Comparison {
  readonly passed: number;
  /** By kind: how many cases there were. */
  readonly kinds: ReadonlyMap<string, number>;
  readonly differences: readonly Difference[];
}

export interface ComparisonOptions {
  readonly first: number;
  readonly count: number;
  /** Kinds to draw from; all unless given. */
  readonly kinds?: readonly string[];
}

/** The case as ours has to pass it. */
export function vectorOf(question: Question, { expected, strictExpected }: Answer): VectorCase {
  return { ...question, expected: strictExpected ?? expected ?? [] };
}

/**
 * Inputs that come through topics of their own inside meet in another order when they are committed together: random
 * ones are compared record by record.
 */
function modesOf({ repartition }: Question): ('each' | 'sevenths')[] {
  return repartition === true ? ['each'] : ['each', 'sevenths'];
}

async function compareOne(question: Question, answer: Answer): Promise<Difference | undefined> {
  if (answer.error !== undefined)
    return { question, lines: [`Kafka Streams cannot run it: ${answer.error}`], notBuilt: false };
  try {
    const lines = await differencesOf(vectorOf(question, answer), modesOf(question));
    return lines.length === 0 ? undefined : { question, lines, notBuilt: false };
  } catch (error) {
    return { question, lines: [String(error)], notBuilt: error instanceof NotBuilt };
  }
}

/** Compares the cases of so many seeds. `kafkaStreams` is left open. */
export async function compare(
  kafkaStreams: KafkaStreams,
  { first, count, kinds: only }: ComparisonOptions,
): Promise<Comparison> {
  const questions = Array.from({ length: count }, (_, i) => generateCase(first + i, only));
  const answers = await kafkaStreams.ask(questions);
  const differences: Difference[] = [];
  const kinds = new Map<string, number>();
  for (const [i, question] of questions.entries()) {
    kinds.set(question.kind, (kinds.get(question.kind) ?? 0) + 1);
    const difference = await compareOne(question, answers[i] as Answer);
    if (difference !== undefined) differences.push(difference);
  }
  return { passed: count - differences.length, kinds, differences };
}

/** The same difference with as few inputs as can be found by dropping some, and the small case's expectation. */
export async function shrink(
  kafkaStreams: KafkaStreams,
  difference: Difference,
): Promise<Difference & { readonly vector: VectorCase }> {
  let smallest = difference;
  for (let part = Math.ceil(difference.question.inputs.length / 2); part >= 1; ) {
    const found = await firstDifference(kafkaStreams, without(smallest.question, part));
    if (found !== undefined) smallest = found;
    else if (part === 1) break;
    part = Math.max(1, Math.min(Math.ceil(part / 2), Math.ceil(smallest.question.inputs.length / 2)));
  }
  const [answer] = await kafkaStreams.ask([smallest.question]);
  return { ...smallest, vector: vectorOf(smallest.question, answer as Answer) };
}

/** The case without each run of `part` inputs. */
function without(question: Question, part: number): Question[] {
  const cases: Question[] = [];
  for (let from = 0; from < question.inputs.length; from += part) {
    cases.push({ ...question, inputs: question.inputs.filter((_, i) => i < from || i >= from + part) });
  }
  return cases;
}

async function firstDifference(
  kafkaStreams: KafkaStreams,
  questions: readonly Question[],
): Promise<Difference | undefined> {
  const answers = await kafkaStreams.ask(questions);
  for (const [i, question] of questions.entries()) {
    const found = await compareOne(question, answers[i] as Answer);
    if (found !== undefined) return found;
  }
  return undefined;
}
