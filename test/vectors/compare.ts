/**
 * Whether what came out is what was recorded: strictly, with order and timestamps. Pure.
 *
 * Where the reference has a defect (`quirk`), a case may carry a second expectation. Which of the two holds
 * here is fixed for each kind of defect in `quirkChoices`, and docs/semantics.md says why.
 */
import type { ExpectedOutputs, VectorCase, VectorOutput } from './vector-case.ts';

type Choice = 'expected' | 'strictExpected';

/**
 * - `stream join`: unmatched records come out, and late ones join, exactly as in Kafka Streams, whose rules
 *   can be stated (docs/semantics.md, "Joins of two streams").
 * - `emit on close`: a window that is over is never lost, however far stream time jumped.
 * - `suppress until close`: a window whose end belongs to it is final only after that end.
 */
export const quirkChoices: Readonly<
  Record<'stream join' | 'emit on close' | 'suppress until close' | 'other', Choice>
> = {
  'stream join': 'expected',
  'emit on close': 'strictExpected',
  'suppress until close': 'strictExpected',
  other: 'expected',
};

function quirkKind(vector: VectorCase): keyof typeof quirkChoices {
  if (vector.kind.startsWith('stream-stream')) return 'stream join';
  if (vector.emit === 'on-window-close') return 'emit on close';
  if (vector.suppress?.untilWindowCloses === true) return 'suppress until close';
  return 'other';
}

/** What this runtime promises for the case. */
export function expectationOf(vector: VectorCase): ExpectedOutputs {
  if (vector.quirk === undefined || vector.strictExpected === undefined) return vector.expected;
  return vector[quirkChoices[quirkKind(vector)]] ?? vector.expected;
}

/** Shape: `key[start..end]=value@timestamp`. */
export function outputText({ key, windowStart, windowEnd, value, timestamp }: VectorOutput): string {
  return `${keyText({ key, windowStart, windowEnd })}=${JSON.stringify(value)}@${timestamp}`;
}

function keyText({
  key,
  windowStart,
  windowEnd,
}: {
  readonly key: VectorOutput['key'];
  readonly windowStart: number | undefined;
  readonly windowEnd: number | undefined;
}): string {
  const span = windowStart === undefined ? '' : `[${windowStart}..${windowEnd}]`;
  return `${JSON.stringify(key)}${span}`;
}

/** The differences, one line each; empty when there are none. `got[i]`: what came out after `inputs[i]`. */
export function compareOutputs(vector: VectorCase, got: ExpectedOutputs): string[] {
  const expected = expectationOf(vector);
  const lines: string[] = [];
  if (expected.length !== vector.inputs.length)
    lines.push(`the file has ${vector.inputs.length} inputs and expectations for ${expected.length}`);
  for (const [index, input] of vector.inputs.entries()) {
    const want = (expected[index] ?? []).map(outputText);
    const have = (got[index] ?? []).map(outputText);
    if (vector.unorderedWithinInput === true) {
      want.sort();
      have.sort();
    }
    if (want.length === have.length && want.every((text, i) => text === have[i])) continue;
    const { topic, key, value, timestamp } = input;
    lines.push(
      `input ${index}: ${topic} ${outputText({ key, value, timestamp })}`,
      `  expected ${want.join('  ') || 'nothing'}`,
      `  got      ${have.join('  ') || 'nothing'}`,
    );
  }
  return lines;
}

/**
 * As `compareOutputs`, for outputs whose grouping by input is lost: the last row of each key. The sides of a
 * foreign-key join tell each other of changes through topics, so that what both changed within one commit is not
 * seen in between: of its rows the values count, and a deletion of what was never there is no row.
 */
export function compareFinalRows(vector: VectorCase, got: readonly VectorOutput[]): string[] {
  const rowsOf = vector.kind === 'table-table-fk' ? tableRows : finalRows;
  const want = rowsOf(expectationOf(vector).flat());
  const have = rowsOf(got);
  const lines: string[] = [];
  for (const key of new Set([...want.keys(), ...have.keys()])) {
    if (want.get(key) === have.get(key)) continue;
    lines.push(`last row of ${key}: expected ${want.get(key) ?? 'none'}, got ${have.get(key) ?? 'none'}`);
  }
  return lines;
}

function finalRows(outputs: readonly VectorOutput[]): Map<string, string> {
  return new Map(
    outputs.map((output) => [
      keyText({ key: output.key, windowStart: output.windowStart, windowEnd: output.windowEnd }),
      outputText(output),
    ]),
  );
}

function tableRows(outputs: readonly VectorOutput[]): Map<string, string> {
  const rows = new Map<string, string>();
  for (const { key, value } of outputs) {
    if (value === null) rows.delete(JSON.stringify(key));
    else rows.set(JSON.stringify(key), JSON.stringify(value));
  }
  return rows;
}
