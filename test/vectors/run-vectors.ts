/**
 * Replays files of recorded Kafka Streams results on this runtime, each case twice: committing after every
 * record, where each input must give exactly what was recorded, and after every 7, where the last row of
 * each key must be the same.
 *
 *   node run-vectors.js FILE…     (npm run vectors -- FILE…)
 *
 * Ends with `N passed, N failed` and code 1 when anything failed. A case of a kind that nobody has built
 * fails too. The tests call `differencesOf` for single cases.
 */
import { pathToFileURL } from 'node:url';
import { stringSerde } from '#streams';
import { TopologyTestDriver } from '#streams/testing';
import { chainPrograms } from './chain-programs.ts';
import { compareFinalRows, compareOutputs } from './compare.ts';
import { joinPrograms } from './join-programs.ts';
import {
  NotBuilt,
  type ProgramBuilder,
  readVectors,
  type VectorCase,
  type VectorOutput,
  type VectorProgram,
} from './vector-case.ts';
import { windowPrograms } from './window-programs.ts';

const programs = new Map<string, ProgramBuilder>(
  Object.entries({ ...windowPrograms, ...joinPrograms, ...chainPrograms }),
);

/** Errors: NotBuilt. */
export function programOf(vector: VectorCase): VectorProgram {
  const build = programs.get(vector.kind);
  if (build === undefined) throw new NotBuilt(`cases of kind ${vector.kind}`);
  return build(vector);
}

/** What is not as recorded, one line each; empty when the case passes. Errors: NotBuilt. */
export async function differencesOf(
  vector: VectorCase,
  modes: readonly ('each' | 'sevenths')[] = ['each', 'sevenths'],
): Promise<string[]> {
  const lines: string[] = [];
  if (modes.includes('each')) lines.push(...compareOutputs(vector, await replay(vector, 1)));
  if (modes.includes('sevenths')) {
    const last = compareFinalRows(vector, (await replay(vector, 7)).flat());
    lines.push(...last.map((line) => `commit every 7 records: ${line}`));
  }
  return lines;
}

/** What came out after each input; what only the last commit brought belongs to one more. */
async function replay(vector: VectorCase, commitEveryRecords: number): Promise<VectorOutput[][]> {
  const program = programOf(vector);
  const driver = new TopologyTestDriver(program.topology, { commitEveryRecords });
  await driver.open();
  try {
    const output = driver.createOutputTopic('output', program.outputKeySerde, program.outputValueSerde);
    const read = (): VectorOutput[] =>
      output.readAll().map(({ key, value, timestamp }) => ({
        ...(program.outputKey?.(key) ?? { key: key as VectorOutput['key'] }),
        value: value as VectorOutput['value'],
        timestamp,
      }));
    const outputs: VectorOutput[][] = [];
    for (const { topic, key, value, timestamp } of vector.inputs) {
      const input = driver.createInputTopic(topic, program.keySerde(topic), stringSerde);
      await input.pipe(key, value, timestamp);
      outputs.push(read());
    }
    await driver.commit();
    outputs.push(read());
    return outputs;
  } finally {
    await driver.close();
  }
}

async function runFile(file: string): Promise<{ passed: number; failed: number }> {
  const counts = { passed: 0, failed: 0 };
  const cases = readVectors(file);
  if (cases.length === 0) throw new Error('the file has no cases');
  for (const vector of cases) {
    const lines = await differencesOf(vector).catch((error: unknown) => [
      error instanceof NotBuilt ? error.message : String(error),
    ]);
    if (lines.length === 0) {
      counts.passed++;
      continue;
    }
    counts.failed++;
    process.stdout.write(`FAILED ${vector.kind}: ${vector.name}\n  ${lines.join('\n  ')}\n`);
  }
  return counts;
}

async function main(files: readonly string[]): Promise<number> {
  let passed = 0;
  let failed = 0;
  for (const file of files) {
    try {
      const counts = await runFile(file);
      process.stdout.write(`${file}: ${counts.passed} passed, ${counts.failed} failed\n`);
      passed += counts.passed;
      failed += counts.failed;
    } catch (error) {
      failed++;
      process.stdout.write(`FAILED ${file}: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 && files.length > 0 ? 0 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  process.exitCode = await main(process.argv.slice(2));
