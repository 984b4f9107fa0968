/** Folders of the project and of its work, wherever the program is started from. */
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder: three above dist/topology/cli. */
const root = fileURLToPath(new URL('../../../', import.meta.url));

export const schemasFolder = join(root, 'schemas');
export const dashboardFolder = join(root, 'dashboard');

/** Below the current folder: what the program keeps between runs. */
export function workPath(...parts: readonly string[]): string {
  return resolve('.millrace', ...parts);
}
