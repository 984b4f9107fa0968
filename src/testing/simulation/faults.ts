/**
 * What goes wrong in a simulation, and where. A plan is drawn from the seed: each fault waits for its time, then
 * strikes the first process that reaches its step. What struck where is counted: a fault that never happened
 * has proven nothing.
 */
import type { Random } from '../../base/clock-port.ts';
import { shuffled } from '../../base/seeded-random.ts';

/**
 * - `crash`: the process is gone (kill -9), its disk stays; `power loss`: and what was not synced is gone too;
 *   `disk loss`: and the whole disk. It is started again later;
 * - `pause`: it stands still (SIGSTOP) and goes on later, perhaps as a zombie;
 * - `cut`: it cannot reach the broker for a while; `broker gone`: nobody can;
 * - `delay`: this one call takes very long;
 * - `request lost`, `answer lost`: this one call fails, without or with its effect;
 * - `late duplicate`: a transactional request is carried out again some time after it was answered;
 * - `fence`: somebody else initialises a producer of its transactional id;
 * - `member joins`, `member leaves`: the group shares the tasks out anew;
 * - `disk full`: writes of its stores fail for a while, some of them with their effect; `disk error`: a read fails;
 * - `clock jump`: its wall clock goes up to two hours forth or back for a while.
 */
export const faultKinds = [
  'crash',
  'power loss',
  'disk loss',
  'pause',
  'cut',
  'broker gone',
  'delay',
  'request lost',
  'answer lost',
  'late duplicate',
  'fence',
  'member joins',
  'member leaves',
  'disk full',
  'disk error',
  'clock jump',
] as const;
export type FaultKind = (typeof faultKinds)[number];

/** The steps of the commit cycle (docs/spec/commit-cycle.md) as seen from outside, and what lies between them. */
export const commitSteps = ['process', 'seal', 'offsets', 'commit', 'store', 'begin', 'restore'] as const;
export type CommitStep = (typeof commitSteps)[number];

export interface PlannedFault {
  readonly kind: FaultKind;
  readonly step: CommitStep;
  /** Virtual milliseconds. */
  readonly notBeforeMs: number;
  /** Before the call is carried out, or after it and before its answer. */
  readonly side: 'request' | 'answer';
}

/** How often each kind of fault struck at each step. */
export type FaultCoverage = Map<FaultKind, Map<CommitStep, number>>;

export function planFaults(
  random: Random,
  options: { readonly count: number; readonly overMs: number; readonly kinds: readonly FaultKind[] },
): PlannedFault[] {
  // Without repeats while there are kinds left: a short run then sees many different ones.
  let kinds: FaultKind[] = [];
  const plan: PlannedFault[] = [];
  for (let i = 0; i < options.count; i++) {
    if (kinds.length === 0) kinds = shuffled(options.kinds, random);
    plan.push({
      kind: kinds.pop() as FaultKind,
      step: commitSteps[random.integer(commitSteps.length)] as CommitStep,
      notBeforeMs: Math.floor(random.next() * options.overMs),
      side: random.next() < 0.5 ? 'request' : 'answer',
    });
  }
  return plan.sort((a, b) => a.notBeforeMs - b.notBeforeMs);
}

export function countFault(coverage: FaultCoverage, kind: FaultKind, step: CommitStep, times = 1): void {
  const bySteps = coverage.get(kind) ?? new Map<CommitStep, number>();
  coverage.set(kind, bySteps);
  bySteps.set(step, (bySteps.get(step) ?? 0) + times);
}

/** A table of the coverage: a line for each kind of fault, a column for each step. */
export function coverageTable(coverage: FaultCoverage): string {
  const width = 16;
  const lines = [['fault', ...commitSteps]];
  for (const kind of faultKinds) {
    lines.push([kind, ...commitSteps.map((step) => String(coverage.get(kind)?.get(step) ?? 0))]);
  }
  return lines
    .map(([name = '', ...cells]) => name.padEnd(width) + cells.map((cell) => cell.padStart(9)).join(''))
    .join('\n');
}
