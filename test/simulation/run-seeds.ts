/**
 * Simulates seeds one after the other and writes a line of JSON for each to the standard output. A process of
 * its own: `npm run simulate` starts one per core, the mutants' test one per mutant.
 *
 *   node run-seeds.js FIRST COUNT STEP [--workload ledger|shop|dsl] [--kinds KIND,…] [--stop-at-violation] [--log FILE]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { faultKinds, type SimulationReport } from '../../src/testing/index.ts';
import { simulateDsl } from './dsl-simulation.ts';
import { simulateLedger } from './ledger-simulation.ts';
import { simulateShop } from './shop-simulation.ts';
import type { WorkloadOptions } from './workload.ts';

export interface SeedLine {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly faults: readonly string[];
  readonly inputs: number;
  /** Of programs that the workload draws, where it does. */
  readonly family?: string;
  readonly digest: string;
  /** Shape: [kind, step, times]. */
  readonly coverage: readonly (readonly [string, string, number])[];
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    workload: { type: 'string', default: 'ledger' },
    'stop-at-violation': { type: 'boolean', default: false },
    kinds: { type: 'string' },
    log: { type: 'string' },
  },
});
const [first = 1, count = 1, step = 1] = positionals.map(Number);
const kinds = values.kinds?.split(',').map((kind) => {
  const known = faultKinds.find((name) => name === kind);
  if (known === undefined) throw new Error(`${kind} is no fault; there are ${faultKinds.join(', ')}`);
  return known;
});
type Workload = (
  seed: number,
  options: WorkloadOptions,
) => Promise<SimulationReport & { readonly family?: string }>;
const workloads: Readonly<Record<string, Workload>> = {
  ledger: simulateLedger,
  shop: simulateShop,
  dsl: simulateDsl,
};
const simulateSeed = workloads[values.workload];
if (simulateSeed === undefined) throw new Error(`${values.workload} is no workload`);
for (let i = 0; i < count; i++) {
  const seed = first + i * step;
  const report = await simulateSeed(seed, {
    keepLog: values.log !== undefined,
    ...(kinds === undefined ? {} : { kinds }),
  });
  const line: SeedLine = {
    seed,
    violations: report.violations,
    faults: report.faults,
    inputs: report.inputs,
    ...(report.family === undefined ? {} : { family: report.family }),
    digest: report.digest,
    coverage: [...report.coverage].flatMap(([kind, steps]) =>
      [...steps].map(([name, times]) => [kind, name, times] as const),
    ),
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  if (values.log !== undefined) writeFileSync(values.log, `${report.log.join('\n')}\n`);
  if (values['stop-at-violation'] && report.violations.length > 0) break;
}
