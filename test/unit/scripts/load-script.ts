import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Loads a file of scripts/. By its path from the project's root, where the tests run: the scripts are not compiled,
 * so from the compiled test a relative import would lead into dist.
 */
export async function loadScript<T>(path: string): Promise<T> {
  return (await import(pathToFileURL(join(process.cwd(), 'scripts', path)).href)) as T;
}
