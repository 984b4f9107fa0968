/** Goes through a cut of one worker's network on a running ledger: shared by the quick and the long tests of F5. */
import assert from 'node:assert/strict';
import type { ClientNetwork, Direction } from './client-network.ts';
import { eventually } from './eventually.ts';
import type { LedgerRun } from './ledger-run.ts';

/** Processed by all workers but that one. */
async function processedBeside(run: LedgerRun, name: string): Promise<number> {
  let sum = 0;
  for (const [other, { recordsProcessed }] of await run.statuses())
    if (other !== name) sum += recordsProcessed;
  return sum;
}

/** Resolves when the other workers have processed so many records more than now. */
export async function othersGoOn(run: LedgerRun, name: string, records: number): Promise<void> {
  const before = await processedBeside(run, name);
  await eventually(async () => (await processedBeside(run, name)) >= before + records, {
    timeoutMs: 90_000,
    what: `the others to process ${records} records more\n  ${run.story}`,
  });
}

/** Resolves when the other workers own every task: for them the one that is cut off is gone. */
export async function othersTakeOver(run: LedgerRun, name: string): Promise<void> {
  const isTaken = async () => {
    const tasks = [...(await run.statuses())].flatMap(([other, status]) =>
      other === name ? [] : status.tasks,
    );
    return new Set(tasks).size === 2 * run.partitions;
  };
  await eventually(isTaken, {
    timeoutMs: 90_000,
    what: `the others to own all tasks\n  ${run.story}`,
  });
  run.note(`others own the tasks of ${name}`);
  await othersGoOn(run, name, 500);
}

/** Resolves when the worker has committed nothing for fifty looks in a row. */
export async function commitsStandStill(run: LedgerRun, name: string): Promise<void> {
  let before = -1;
  let looks = 0;
  await eventually(
    async () => {
      const { commits } = (await run.worker(name).status()) ?? { commits: -1 };
      looks = commits === before ? looks + 1 : 0;
      before = commits;
      return looks >= 50;
    },
    { timeoutMs: 60_000, what: `${name} to commit nothing more\n  ${run.story}` },
  );
}

export interface Cut {
  readonly directions?: readonly Direction[];
  /** By their place in the list; all unless given. */
  readonly brokers?: readonly number[];
}

/** Cuts, waits for what is to happen meanwhile, heals, and waits until the worker has a share again and works. */
export async function throughCut(
  run: LedgerRun,
  at: { readonly name: string; readonly network: ClientNetwork },
  cut: Cut,
  meanwhile: () => Promise<void>,
): Promise<void> {
  const { name, network } = at;
  const { directions = ['requests', 'answers'], brokers } = cut;
  const before = network.held;
  network.cut(directions, brokers);
  run.note(`${name} is cut off: ${directions.join(' and ')}, broker ${brokers?.join(' ') ?? 'all'}`);
  await meanwhile();
  const { requests, answers } = network.held;
  run.note(`held: ${requests - before.requests} requests, ${answers - before.answers} answers`);
  assert.ok(requests + answers > before.requests + before.answers, `nothing was lost\n  ${run.story}`);
  network.heal();
  run.note(`${name} is connected again`);
  await run.ready(120_000);
  await eventually(async () => ((await run.worker(name).status())?.tasks.length ?? 0) > 0, {
    timeoutMs: 60_000,
    what: `${name} to get tasks again, by itself\n  ${run.story}`,
  });
  const { recordsProcessed = 0 } = (await run.worker(name).status()) ?? {};
  await eventually(
    async () => ((await run.worker(name).status())?.recordsProcessed ?? 0) > recordsProcessed + 100,
    { timeoutMs: 60_000, what: `${name} to work again\n  ${run.story}` },
  );
}
