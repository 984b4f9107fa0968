/**
 * Recorded data that lies beside the project (`../shared`, or the folder in MILLRACE_SHARED) and is not part
 * of it. A clone alone does without; where CI_RUN is set it has to be there.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/** The parsed JSON file; undefined when it is not there. Errors: missing under CI_RUN. */
export function sharedJson<T>(...path: string[]): T | undefined {
  const file = join(process.env.MILLRACE_SHARED ?? resolve('..', 'shared'), ...path);
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as T;
  if (process.env.CI_RUN) throw new Error(`${file} is missing, and CI_RUN is set`);
  return undefined;
}
