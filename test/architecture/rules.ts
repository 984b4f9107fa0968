/**
 * The rules of the architecture: who may import whom, and what may be used where. Each is a function from the
 * sources to the places that break it, so that rules.test.ts can show every one of them failing.
 */
import { createRequire } from 'node:module';
import { join, posix } from 'node:path';
import { lineAt, type SourceFile } from './source-file.ts';

/** One table for this test and for dependency-cruiser: see its own comments. */
interface ArchitectureTable {
  readonly tiers: Readonly<Record<string, number>>;
  readonly gateways: Readonly<Record<string, string>>;
  readonly entryPoints: Readonly<Record<string, string>>;
  foldersBelow(folder: string): string[];
}

// Tests run in the project's root, and the compiled ones lie one folder deeper than their sources.
export const table = createRequire(join(process.cwd(), 'package.json'))(
  './scripts/architecture.cjs',
) as ArchitectureTable;

export interface Rule {
  readonly name: string;
  /** What goes wrong without it. */
  readonly why: string;
  check(files: readonly SourceFile[]): string[];
}

const isSrc = (path: string): boolean => path.startsWith('src/');
const isTopology = (path: string): boolean => path.startsWith('topology/');
const isShipped = (path: string): boolean => isSrc(path) || isTopology(path);
const isEntryPoint = (path: string): boolean => Object.values(table.entryPoints).includes(path);

/** `src/<folder>/…` gives the folder; a file directly in src has none. */
function folderOf(path: string): string | undefined {
  return /^src\/([^/]+)\//.exec(path)?.[1];
}

/** The project's file that a relative import means, with its .ts ending. */
function targetOf(file: SourceFile, specifier: string): string | undefined {
  if (specifier.startsWith('.')) {
    return posix.join(posix.dirname(file.path), specifier).replace(/\.js$/, '.ts');
  }
  return table.entryPoints[specifier];
}

/** `@scope/name/sub` is the package `@scope/name`; undefined for node: modules and for the project's own files. */
function packageOf(specifier: string): string | undefined {
  if (/^(\.|#|node:)/.test(specifier)) return undefined;
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

const at = (file: SourceFile, line: number, text: string): string => `${file.path}:${line} ${text}`;

function* importsOf(files: readonly SourceFile[], within: (path: string) => boolean) {
  for (const file of files) {
    if (!within(file.path)) continue;
    for (const imported of file.imports) yield { file, ...imported };
  }
}

const arrows: Rule = {
  name: 'a folder of src imports from lower tiers only',
  why: 'the lower parts can be understood and tested alone, and data goes one way',
  check(files) {
    const broken: string[] = [];
    for (const { file, specifier, line } of importsOf(files, isSrc)) {
      if (isEntryPoint(file.path)) continue;
      const target = targetOf(file, specifier);
      if (target === undefined || !isSrc(target)) continue;
      const from = folderOf(file.path);
      const to = folderOf(target);
      if (from === undefined || table.tiers[from] === undefined) continue; // the next rule reports it
      if (to === undefined || !table.foldersBelow(from).includes(to)) {
        broken.push(
          at(
            file,
            line,
            `imports ${target}; src/${from} may import from ${table.foldersBelow(from).join(', ')}`,
          ),
        );
      }
    }
    return broken;
  },
};

const knownFolders: Rule = {
  name: 'every file of src lies in a folder that has a tier',
  why: 'a folder without a place in the order would escape the rule about arrows',
  check: (files) =>
    files
      .filter((file) => isSrc(file.path) && file.path !== 'src/index.ts')
      .filter((file) => table.tiers[folderOf(file.path) ?? ''] === undefined)
      .map((file) => at(file, 1, 'has no tier: add its folder to scripts/architecture.cjs')),
};

const runtimeKnowsNoShop: Rule = {
  name: 'src imports nothing of the project outside src, and not its own entry points',
  why: 'the runtime is used by other topologies; through its own entry point a file would import everything',
  check(files) {
    const broken: string[] = [];
    for (const { file, specifier, line } of importsOf(files, isSrc)) {
      const target = targetOf(file, specifier);
      const own = target !== undefined && isSrc(target) && !specifier.startsWith('#');
      if (own || packageOf(specifier) !== undefined || specifier.startsWith('node:')) continue;
      broken.push(at(file, line, `imports ${specifier}`));
    }
    return broken;
  },
};

const shopIsACustomer: Rule = {
  name: 'topology imports the runtime only as #streams or #streams/testing',
  why: 'it proves that the entry points are enough for a customer',
  check(files) {
    const broken: string[] = [];
    for (const { file, specifier, line } of importsOf(files, isTopology)) {
      if (specifier.startsWith('node:') || table.entryPoints[specifier] !== undefined) continue;
      if (packageOf(specifier) !== undefined) continue; // the rule about gateways decides
      const target = targetOf(file, specifier);
      if (target === undefined || !isTopology(target)) broken.push(at(file, line, `imports ${specifier}`));
    }
    return broken;
  },
};

const gateways: Rule = {
  name: 'a third-party package is imported in its one gateway only',
  why: 'it can be replaced, its traps are handled once, and the rest is tested without it',
  check(files) {
    const broken: string[] = [];
    for (const { file, specifier, line } of importsOf(files, isShipped)) {
      const name = packageOf(specifier);
      if (name === undefined) continue;
      const place = table.gateways[name];
      if (place === undefined) {
        broken.push(at(file, line, `imports ${name}, which has no gateway in scripts/architecture.cjs`));
      } else if (place.endsWith('/') ? !file.path.startsWith(place) : file.path !== place) {
        broken.push(at(file, line, `imports ${name}, which belongs to ${place}`));
      }
    }
    return broken;
  },
};

const plainImports: Rule = {
  name: 'no import by a computed name, and createRequire only in gateways',
  why: 'an import that cannot be read cannot be checked',
  check(files) {
    const broken: string[] = [];
    const places = new Set(Object.values(table.gateways));
    for (const file of files.filter((each) => isShipped(each.path))) {
      for (const line of file.computedImports) broken.push(at(file, line, 'imports by a computed name'));
      if (places.has(file.path)) continue;
      for (const line of uses(file, /\bcreateRequire\b/g)) broken.push(at(file, line, 'uses createRequire'));
    }
    return broken;
  },
};

const noCycles: Rule = {
  name: 'no file imports itself by way of others',
  why: 'files that need each other are one unit: neither can be understood, tested or replaced alone',
  check(files) {
    const byPath = new Map(files.filter((file) => isShipped(file.path)).map((file) => [file.path, file]));
    const finished = new Set<string>();
    const trail: string[] = [];
    const broken: string[] = [];
    const visit = (file: SourceFile): void => {
      if (finished.has(file.path)) return;
      const seen = trail.indexOf(file.path);
      if (seen >= 0) {
        broken.push(`${[...trail.slice(seen), file.path].join(' → ')}`);
        return;
      }
      trail.push(file.path);
      for (const { specifier } of file.imports) {
        const target = byPath.get(targetOf(file, specifier) ?? '');
        if (target !== undefined) visit(target);
      }
      trail.pop();
      finished.add(file.path);
    };
    for (const file of byPath.values()) visit(file);
    return broken;
  },
};

const noBarrels: Rule = {
  name: 'only the two entry points re-export or are named index.ts, and nothing says export *',
  why: 'a name has one home; a barrel hides who uses what, and export * lets a new name slip into the public interface',
  check(files) {
    const broken: string[] = [];
    for (const file of files) {
      if (/(^|\/)index\.ts$/.test(file.path) && !isEntryPoint(file.path))
        broken.push(at(file, 1, 'is a barrel file'));
      for (const { reExport, star, specifier, line } of file.imports) {
        if (star) broken.push(at(file, line, `says export * from ${specifier}`));
        else if (reExport && !isEntryPoint(file.path))
          broken.push(at(file, line, `re-exports from ${specifier}`));
      }
      if (isEntryPoint(file.path)) continue;
      const imported = importedNames(file.code);
      for (const match of file.code.matchAll(/(?<![.\w$])export\s+(?:type\s*)?\{([^}]*)\}(?!\s*from)/g)) {
        for (const name of namesIn(match[1] ?? '', 'first')) {
          if (imported.has(name))
            broken.push(at(file, lineAt(file.code, match.index), `exports ${name}, which it imported`));
        }
      }
    }
    return broken;
  },
};

function importedNames(code: string): Set<string> {
  const names = new Set<string>();
  for (const match of code.matchAll(
    /(?<![.\w$])import\s+(?:type\s+)?(?:[\w$]+\s*,\s*)?\{([^}]*)\}\s*from/g,
  )) {
    for (const name of namesIn(match[1] ?? '', 'last')) names.add(name);
  }
  for (const match of code.matchAll(
    /(?<![.\w$])import\s+(?:type\s+)?(?:\*\s*as\s+)?([\w$]+)\s*(?:,|from)/g,
  )) {
    if (match[1] !== undefined) names.add(match[1]);
  }
  return names;
}

/** `a, type b as c` gives a and b (first: the names here) or a and c (last: the names there). */
function namesIn(list: string, side: 'first' | 'last'): string[] {
  return list
    .split(',')
    .map((item) =>
      item
        .trim()
        .replace(/^type\s+/, '')
        .split(/\s+as\s+/),
    )
    .map((pair) => (side === 'first' ? pair[0] : pair.at(-1)) ?? '')
    .filter((name) => name !== '');
}

/** Lines of the code on which a pattern is found. */
function uses(file: SourceFile, pattern: RegExp): number[] {
  return [...file.code.matchAll(pattern)].map((match) => lineAt(file.code, match.index));
}

interface Banned {
  readonly what: string;
  readonly pattern: RegExp;
  /** Where it is allowed all the same. */
  readonly allowed: (path: string) => boolean;
}

const wallClock = (path: string): boolean =>
  path === 'src/base/wall-clock.ts' || path === 'src/observe/pino-logger.ts';
const clockAllowed = (path: string): boolean => wallClock(path) || path.startsWith('topology/cli/');
const settingsAllowed = (path: string): boolean =>
  wallClock(path) || path === 'topology/cli/settings-source.ts';

/** A global function: as a bare name or by way of globalThis, but not another object's method of that name. */
const globalName = (name: string): RegExp =>
  new RegExp(`(?:(?<![.\\w$#])|(?<=\\bglobalThis\\.))(?:${name})(?![\\w$])`, 'g');

const banned: readonly Banned[] = [
  { what: 'the clock', pattern: globalName('Date\\s*\\.\\s*now'), allowed: clockAllowed },
  // With an argument it only converts.
  { what: 'the clock', pattern: /(?<![.\w$])new\s+Date\s*(?:\(\s*\)|(?=[;,)\].]))/g, allowed: clockAllowed },
  { what: 'the clock', pattern: globalName('performance(?=\\s*\\.)'), allowed: clockAllowed },
  { what: 'the clock', pattern: /(?<![.\w$])process\s*\.\s*hrtime/g, allowed: clockAllowed },
  { what: 'chance', pattern: globalName('Math\\s*\\.\\s*random'), allowed: clockAllowed },
  {
    what: 'chance',
    pattern: /(?<![\w$])(?:randomUUID|randomBytes|randomInt|getRandomValues)(?![\w$])/g,
    allowed: clockAllowed,
  },
  { what: 'a timer', pattern: globalName('setTimeout|setInterval|setImmediate'), allowed: clockAllowed },
  { what: 'process.env', pattern: /(?<![.\w$])process\s*\.\s*env(?![\w$])/g, allowed: settingsAllowed },
  { what: 'the console', pattern: globalName('console(?=\\s*\\.)'), allowed: clockAllowed },
];

/** The same things as modules: an import would get round the names above. */
const bannedModules = /^node:(timers(\/promises)?|perf_hooks|process)$/;

const clockAndChance: Rule = {
  name: 'no clock, chance, timer, environment or console outside their ports',
  why: 'the whole cluster runs in a seeded simulation, where the same seed must give the same log twice',
  check(files) {
    const broken: string[] = [];
    for (const file of files.filter((each) => isShipped(each.path))) {
      for (const { what, pattern, allowed } of banned) {
        if (allowed(file.path)) continue;
        for (const line of uses(file, pattern)) broken.push(at(file, line, `uses ${what}`));
      }
      if (clockAllowed(file.path)) continue;
      for (const { specifier, line } of file.imports) {
        if (bannedModules.test(specifier)) broken.push(at(file, line, `imports ${specifier}`));
      }
    }
    return broken;
  },
};

/** Node modules that only compute. */
const computingModules = new Set([
  'node:assert',
  'node:assert/strict',
  'node:buffer',
  'node:crypto',
  'node:util',
]);

/** Places whose functions give the same answer to the same question, at once. */
function isPure(path: string): boolean {
  // A port only names what an adapter does, and an adapter may take its time; the clocks are adapters.
  if (path.startsWith('src/base/')) return !/-(?:port|clock)\.ts$/.test(path);
  return /^src\/(graph|assign|failure)\//.test(path) || /^topology\/order\/decide[^/]*\.ts$/.test(path);
}

const purity: Rule = {
  name: 'pure places have no async, await or Promise and import no I/O',
  why: 'decisions can then be tested by tables and replayed, and nothing can happen in the middle of one',
  check(files) {
    const broken: string[] = [];
    for (const file of files.filter((each) => isPure(each.path))) {
      for (const line of uses(file, /(?<![.\w$])(?:async|await|Promise|PromiseLike)(?![\w$:])/g)) {
        broken.push(at(file, line, 'is asynchronous'));
      }
      for (const { specifier, line } of file.imports) {
        if (specifier.startsWith('node:') && !computingModules.has(specifier)) {
          broken.push(at(file, line, `imports ${specifier}`));
        }
      }
    }
    return broken;
  },
};

export const rules: readonly Rule[] = [
  arrows,
  knownFolders,
  runtimeKnowsNoShop,
  shopIsACustomer,
  gateways,
  plainImports,
  noCycles,
  noBarrels,
  clockAndChance,
  purity,
];
