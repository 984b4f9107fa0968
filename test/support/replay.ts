/** Replays as the tests run them, and what every one of them must hold. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReplaySummary } from '../../topology/olist/replay-summary.ts';
import { type CliResult, newFolder, runCli, startCli } from './cli.ts';

/** Runs `millrace replay` to its end. Its exit code must be 0 or, with `mayFail`, whatever it is. */
export async function replay(args: readonly string[]): Promise<ReplaySummary> {
  const file = join(newFolder(), 'summary.json');
  const result = await runCli(['replay', ...args, '--summary', file]);
  return summaryOf(result, file);
}

function summaryOf(result: CliResult, file: string): ReplaySummary {
  assert.equal(result.code, 0, `the replay ended with ${result.code ?? result.signal}: ${result.stderr}`);
  return JSON.parse(readFileSync(file, 'utf8')) as ReplaySummary;
}

export interface KilledReplay {
  readonly summary: ReplaySummary;
  /** Events that the kills found sent, by what the process said last; for messages. */
  readonly kills: number;
}

/** Kills it so many times, each time a while after its start, and then lets it come to its end. */
export async function killedReplay(options: {
  readonly args: readonly string[];
  readonly kills: number;
  /** The moment of the next kill, milliseconds after the start. */
  readonly nextKillMs: () => number;
}): Promise<KilledReplay> {
  const file = join(newFolder(), 'summary.json');
  const args = ['replay', ...options.args, '--data-dir', newFolder(), '--summary', file];
  let kills = 0;
  while (kills < options.kills) {
    const { child, result } = startCli(args);
    const timer = setTimeout(() => child.kill('SIGKILL'), options.nextKillMs());
    const { code, signal, stderr } = await result;
    clearTimeout(timer);
    if (signal !== 'SIGKILL') {
      assert.equal(code, 0, `it ended with ${code} after ${kills} kills: ${stderr}`);
      break;
    }
    kills++;
  }
  const result = await runCli(args);
  return { summary: summaryOf(result, file), kills };
}

/** What a summary says of the outcome, without how long it took. */
export function outcomeOf(summary: ReplaySummary): object {
  const { phases, commands, confusion, mismatches, duplicateCommands, deadLetters, refusedForStock } =
    summary;
  return { phases, commands, confusion, mismatches, duplicateCommands, deadLetters, refusedForStock };
}

/** Accuracy over all, accuracy of every status with enough orders, no command twice, no dead letter. */
export function assertSound(summary: ReplaySummary): void {
  assert.equal(summary.duplicateCommands, 0, 'a command went out twice');
  assert.equal(summary.deadLetters, 0, 'there are dead letters');
  assert.ok(summary.accuracy >= 0.998, `accuracy ${summary.accuracy}: ${JSON.stringify(summary.mismatches)}`);
  const wrong = new Map<string, number>();
  for (const { recorded } of summary.mismatches) wrong.set(recorded, (wrong.get(recorded) ?? 0) + 1);
  for (const [status, row] of Object.entries(summary.confusion)) {
    const orders = Object.values(row).reduce((sum, count) => sum + count, 0);
    const share = 1 - (wrong.get(status) ?? 0) / orders;
    if (orders >= 20) assert.ok(share >= 0.9, `${status}: only ${share} of ${orders} orders are right`);
  }
}
