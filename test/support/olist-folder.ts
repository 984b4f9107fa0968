/** The orders that replays are tested with: the real ones where they are, else generated ones. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeOlistFolder } from '../../topology/olist/generator.ts';

export interface OlistFolder {
  readonly path: string;
  readonly isReal: boolean;
}

let generated: Promise<OlistFolder> | undefined;

/** Beside ../shared the real orders (scripts/test.mjs says where), in any other clone 4,000 generated ones. */
export function olistFolder(): Promise<OlistFolder> {
  const real = process.env.MILLRACE_TEST_OLIST;
  if (real !== undefined && real !== '') return Promise.resolve({ path: real, isReal: true });
  generated ??= generatedFolder(4_000, 5);
  return generated;
}

export async function generatedFolder(orders: number, seed: number): Promise<OlistFolder> {
  const path = mkdtempSync(join(tmpdir(), 'millrace-olist-'));
  await writeOlistFolder(path, { orders, seed });
  return { path, isReal: false };
}
