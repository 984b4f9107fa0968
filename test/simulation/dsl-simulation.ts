/**
 * Programs of the DSL in a simulated cluster: the seed draws a program of one of the families, its inputs, settings
 * and faults. The same program also runs undisturbed, on one instance without faults; what both leave behind has to be
 * the same, as far as it is determined. The families say what that is and why. Run by the tests of this folder and,
 * for many seeds, by `npm run simulate -- --workload dsl`.
 */
import { deadLetterTopic, type Random, seededRandom } from '#streams';
import {
  type ClusterView,
  ManualClock,
  type SimulatedApplication,
  type SimulationReport,
  simulate,
} from '#streams/testing';
import { asyncProgram } from './dsl-async-family.ts';
import { sameRecords } from './dsl-checkers.ts';
import { exactFamilies, exactProgram } from './dsl-exact-families.ts';
import { type DslOutcome, type DslProgram, outTopic } from './dsl-program.ts';
import { strictProgram } from './dsl-strict-family.ts';
import { foreignKeyProgram, globalsProgram, groupsProgram } from './dsl-table-families.ts';
import { drawSettings, drawStandbys, faultsOf, type WorkloadOptions } from './workload.ts';

const applicationId = 'dsl';
/** Well beyond what the strict family's grace forgives, joins' time would go on by the jump. */
const clockJumpMsMax = 30_000;

const families: Readonly<Record<string, (random: Random) => DslProgram>> = {
  ...Object.fromEntries(
    Object.keys(exactFamilies).map((name) => [name, (random: Random) => exactProgram(name, random)]),
  ),
  groups: groupsProgram,
  'foreign keys': foreignKeyProgram,
  globals: globalsProgram,
  'strict joins': strictProgram,
  'async steps': asyncProgram,
};

export const familyNames: readonly string[] = Object.keys(families);

export interface DslSimulationReport extends SimulationReport {
  readonly family: string;
  /** Records of the program's output. */
  readonly outputs: number;
}

/** Neighbouring seeds take the families in turn. Called twice: what a service remembers belongs to one run. */
function drawDsl(seed: number): DslProgram {
  const random = seededRandom(seed ^ 0xd51);
  // The generator's first numbers of neighbouring seeds are alike.
  for (let i = 0; i < 8; i++) random.next();
  const name = familyNames[seed % familyNames.length] as string;
  return (families[name] as (random: Random) => DslProgram)(random);
}

/** One seed: three or four instances, up to 250 records and what closes them, about a dozen faults. */
export async function simulateDsl(seed: number, options: WorkloadOptions = {}): Promise<DslSimulationReport> {
  const random = seededRandom(seed ^ 0x0d51);
  const settings = { ...drawSettings(random, [20, 50, 100, 200]), ...drawStandbys(random) };
  const calm = drawDsl(seed);
  let undisturbed: DslOutcome | undefined;
  const calmReport = await simulate({
    ...ran(calm, seed, { instances: 1, settings: { commitIntervalMs: 100, cacheEntriesMax: 1_000 } }),
    faults: { count: 0 },
    check: async (view) => {
      undisturbed = await outcomeOf(calm, view);
      return [];
    },
  });
  const program = drawDsl(seed);
  let outputs = 0;
  const report = await simulate({
    ...ran(program, seed, { instances: 3 + (random.next() < 0.2 ? 1 : 0), settings }),
    faults: { ...faultsOf(options), clockJumpMsMax },
    check: async (view) => {
      const outcome = await outcomeOf(program, view);
      outputs = outcome.records.get(outTopic)?.length ?? 0;
      return undisturbed === undefined ? [] : judged(program, outcome, undisturbed);
    },
    keepLog: options.keepLog ?? false,
  });
  const violations = [
    ...calmReport.violations.map((violation) => `undisturbed: ${violation}`),
    ...report.violations.map((violation) => `${program.family}: ${violation}`),
  ];
  return { ...report, violations, family: program.family, outputs };
}

function ran(
  { topics, inputs, opening, closing, awaited, topology }: DslProgram,
  seed: number,
  application: Pick<SimulatedApplication, 'instances' | 'settings'>,
) {
  return {
    seed,
    applications: [{ applicationId, topology, ...application }],
    topics,
    inputs,
    settleMsMax: 400_000,
    ...(opening === undefined ? {} : { opening }),
    ...(closing === undefined ? {} : { closing }),
    ...(awaited === undefined ? {} : { awaited }),
  } as const;
}

function judged(program: DslProgram, outcome: DslOutcome, undisturbed: DslOutcome): readonly string[] {
  // First of all that both have read the same.
  const inputs = [...new Set(program.inputs.map(({ topic }) => topic))];
  const differing = inputs.flatMap((topic) => sameRecords(topic, outcome, undisturbed));
  if (differing.length > 0) return differing.map((line) => `an input differs: ${line}`);
  return program.judge(outcome, undisturbed);
}

async function outcomeOf(program: DslProgram, view: ClusterView): Promise<DslOutcome> {
  const names = program.topics.flatMap(({ name }) => [name, deadLetterTopic(name)]);
  const records = new Map(
    await Promise.all(names.map(async (name) => [name, await view.records(name)] as const)),
  );
  const stores = new Map<string, { readonly key: Buffer; readonly value: Buffer }[]>();
  for (const { name } of program.topology(new ManualClock()).stores()) {
    const entries = [...(await view.entries(applicationId, name))];
    stores.set(
      name,
      entries.sort((a, b) => Buffer.compare(a.key, b.key)),
    );
  }
  return { records, stores };
}
