/** Copies folders that somebody has open, as a crash at this moment would leave them. */
import { cpSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from './eventually.ts';

/**
 * Order: nobody writes to them now; a compaction that still runs is waited for, because half of its files before
 * and half of them after it are something that no crash leaves.
 */
export async function crashCopy(from: string, to: string): Promise<void> {
  await eventually(
    () => {
      try {
        const before = listing(from);
        cpSync(from, to, { recursive: true });
        if (listing(from) === before) return true;
      } catch {
        // A file that was to be copied has just been removed.
      }
      rmSync(to, { recursive: true, force: true });
      return false;
    },
    { what: `a copy of ${from}` },
  );
}

function listing(folder: string): string {
  const names = readdirSync(folder, { recursive: true }) as string[];
  return names
    .sort()
    .map((name) => `${name} ${statSync(join(folder, name)).size}`)
    .join('\n');
}
