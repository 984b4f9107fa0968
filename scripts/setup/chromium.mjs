// A browser for the dashboard's tests: one that is here, otherwise Debian's.
import { existsSync } from 'node:fs';
import { aptLine, ensureDebianPackages, hasApt, isRoot } from '../support/debian.mjs';
import { findCommand } from '../support/processes.mjs';
import { SetupError } from '../support/say.mjs';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const macPaths = [
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

export function findChromium(env = process.env) {
  if (env.CHROMIUM) {
    if (existsSync(env.CHROMIUM)) return env.CHROMIUM;
    throw new SetupError(`CHROMIUM names ${env.CHROMIUM}, which is not there`, { type: 'unset CHROMIUM' });
  }
  for (const name of names) {
    const path = findCommand(name, env);
    if (path) return path;
  }
  return macPaths.find((path) => existsSync(path));
}

export async function ensureChromium() {
  const present = findChromium();
  if (present) return present;
  const why = "the dashboard's tests need a browser";
  if (!hasApt() || !isRoot()) {
    throw new SetupError(why, { type: hasApt() ? aptLine(['chromium']) : 'brew install --cask chromium' });
  }
  // Without a font every text of a screenshot is a row of boxes.
  await ensureDebianPackages(['chromium', 'fonts-dejavu-core'], why);
  const installed = findChromium();
  if (installed) return installed;
  throw new SetupError('chromium was installed and is not found', { type: aptLine(['chromium']) });
}
