/** What a finished command writes: the summary file, and lines for people on stdout. */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { StreamsError } from '#streams';
import type { ReplaySummary } from '../olist/replay-summary.ts';

/** Errors: INPUT_INVALID when the file cannot be written. */
export async function writeSummary(file: string | undefined, summary: object): Promise<void> {
  if (file === undefined) return;
  try {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, `${JSON.stringify(summary, null, 2)}\n`);
  } catch (error) {
    throw new StreamsError('INPUT_INVALID', 'the summary cannot be written', {
      context: { file },
      cause: error,
    });
  }
}

/** Shape: `1 DELIVERED`, aligned, one a line. */
export function countLines(counts: Readonly<Record<string, number>>): string[] {
  const width = Math.max(1, ...Object.values(counts).map((count) => String(count).length));
  return Object.entries(counts).map(([name, count]) => `  ${String(count).padStart(width)} ${name}`);
}

/** A replay's summary for people. */
export function replayReport(summary: ReplaySummary): string {
  const { orders, matched, accuracy, confusion, mismatches, duplicateCommands } = summary;
  const lines = [
    `${matched} of ${orders} orders reached the status that the company recorded (${percent(accuracy)})`,
    '',
    'Recorded status and the phase reached:',
    ...Object.entries(confusion).map(
      ([status, row]) =>
        `  ${status.padEnd(12)} ${Object.entries(row)
          .map(([phase, count]) => `${phase} ${count}`)
          .join(', ')}`,
    ),
    '',
    'Commands, counted by an independent reader:',
    ...countLines(summary.commands),
    `  ${duplicateCommands} of them twice, ${summary.deadLetters} dead letters`,
    ...mismatchLines(mismatches),
    '',
    `${summary.events} events in ${summary.seconds} s: ${summary.eventsPerSecond} events/s`,
  ];
  return `${lines.join('\n')}\n`;
}

const mismatchesShownMax = 10;

function mismatchLines(mismatches: ReplaySummary['mismatches']): string[] {
  if (mismatches.length === 0) return [];
  const reasons: Record<string, number> = {};
  for (const { why } of mismatches) reasons[why] = (reasons[why] ?? 0) + 1;
  const shown = mismatches
    .slice(0, mismatchesShownMax)
    .map(
      ({ orderId, recorded, reached, why }) =>
        `  ${orderId} recorded ${recorded}, reached ${reached}: ${why}`,
    );
  const rest = mismatches.length - shown.length;
  return [
    '',
    'Why the others cannot (scripts/explain-olist.mjs says the same from the files alone):',
    ...countLines(reasons),
    ...shown,
    ...(rest > 0 ? [`  … and ${rest} more in the summary`] : []),
  ];
}

/** Never rounds up to 100 %. */
export function percent(share: number): string {
  return `${Math.floor(share * 10_000) / 100} %`;
}
