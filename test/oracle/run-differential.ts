/**
 * Compares this runtime with Kafka Streams on random programs and inputs. Called by `npm run differential`.
 *
 *   node run-differential.js [--cases N] [--first S] [--kind KIND,…] [--save FOLDER]
 *
 * Tells every case that differs by its seed, and of each kind the first few made small (as files in FOLDER, in
 * the form of the shared vectors). Ends with `N passed, N failed`, and code 1 when any failed.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compare, type Difference, shrink } from './differential.ts';
import { kindNames } from './generate-case.ts';
import { KafkaStreams } from './kafka-streams.ts';

/** So many of each kind are made small; the rest usually has the same cause. */
const smallPerKindMax = 2;
/** Cases that are asked and compared at a time. */
const batchSize = 250;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '300' },
    first: { type: 'string', default: '1' },
    kind: { type: 'string' },
    save: { type: 'string' },
  },
});

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${name} is "${text}"; it is a whole number`);
}

function chosenKinds(): readonly string[] {
  const kinds = values.kind?.split(',') ?? kindNames;
  const unknown = kinds.find((kind) => !kindNames.includes(kind));
  if (unknown === undefined) return kinds;
  throw new Error(`--kind is "${unknown}"; there are ${kindNames.join(', ')}`);
}

async function tellSmall(kafkaStreams: KafkaStreams, differences: readonly Difference[]): Promise<void> {
  const told = new Map<string, number>();
  for (const difference of differences) {
    const { kind, name } = difference.question;
    const before = told.get(kind) ?? 0;
    told.set(kind, before + 1);
    if (difference.notBuilt || before >= smallPerKindMax) continue;
    const { lines, vector } = await shrink(kafkaStreams, difference);
    process.stdout.write(`\n${name}, made small:\n${JSON.stringify(vector)}\n  ${lines.join('\n  ')}\n`);
    if (values.save === undefined) continue;
    mkdirSync(values.save, { recursive: true });
    const note = { differs: lines, cases: [vector] };
    writeFileSync(join(values.save, `${name}.json`), `${JSON.stringify(note, undefined, 1)}\n`);
  }
}

async function main(): Promise<number> {
  const cases = wholeNumber('cases', values.cases);
  const first = wholeNumber('first', values.first);
  const kinds = chosenKinds();
  const kafkaStreams = new KafkaStreams();
  const differences: Difference[] = [];
  const counts = new Map<string, number>();
  try {
    for (let from = first; from < first + cases; from += batchSize) {
      const count = Math.min(batchSize, first + cases - from);
      const found = await compare(kafkaStreams, { first: from, count, kinds });
      differences.push(...found.differences);
      for (const [kind, times] of found.kinds) counts.set(kind, (counts.get(kind) ?? 0) + times);
    }
    for (const { question, lines } of differences)
      process.stdout.write(`FAILED ${question.name}: ${lines[0]}\n`);
    await tellSmall(kafkaStreams, differences);
  } finally {
    await kafkaStreams.close();
  }
  for (const [kind, times] of [...counts].sort()) {
    const failed = differences.filter(({ question }) => question.kind === kind).length;
    process.stdout.write(`${kind}: ${times - failed} passed, ${failed} failed\n`);
  }
  process.stdout.write(`${cases - differences.length} passed, ${differences.length} failed\n`);
  return differences.length === 0 && cases > 0 ? 0 : 1;
}

process.exitCode = await main();
