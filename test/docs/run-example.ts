/**
 * Compiles the examples in docstrings against the package's published types, and runs them against the
 * compiled package, which they import by its name. What they look like: docstring-examples.ts.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import type { KStream, KTable } from '../../src/dsl/api.ts';
import type { StreamsBuilder } from '../../src/dsl/streams-builder.ts';
import type { Processor, Record } from '../../src/graph/processor.ts';
import { jsonSerde, stringSerde } from '../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../src/testing/topology-test-driver.ts';
import type { DocstringExample, ExampleInput, Fragment } from './docstring-examples.ts';

/** Where package.json and `dist` are: tests may be compiled into another folder than the project's. */
const packageRoot = fileURLToPath(new URL('../../../', import.meta.url));
const entryPoint = join(packageRoot, 'dist', 'src', 'index');

/** The names that a program would import; fragments get them without saying so. */
const publicNames = [
  ...readFileSync(`${entryPoint}.d.ts`, 'utf8').matchAll(/export (?:type )?\{([^}]*)\}/g),
].flatMap(([, list]) => (list ?? '').match(/\w+(?=\s*(?:,|$))/g) ?? []);

const compilerOptions: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: ['node'],
  typeRoots: [join(packageRoot, 'node_modules', '@types')],
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  skipLibCheck: true,
  paths: {
    millrace: [`${entryPoint}.d.ts`],
    'millrace/testing': [join(packageRoot, 'dist', 'src', 'testing', 'index.d.ts')],
  },
};

export class ExampleRunner {
  readonly #folder = mkdtempSync(join(packageRoot, 'dist', 'docstring-'));
  /** What the compiler says, by place. */
  readonly #faults = new Map<string, string>();
  readonly #scripts = new Map<string, string>();

  /** Compiles all of them at once: most of the time is that of the package's types. */
  constructor(examples: readonly DocstringExample[]) {
    const sources = new Map(
      examples.map(({ place, body }, index) => [
        join(this.#folder, `example-${index}.ts`),
        { place, text: body.kind === 'program' ? body.code : moduleOf(body) },
      ]),
    );
    const host = ts.createCompilerHost(compilerOptions);
    const { fileExists, readFile, getSourceFile } = host;
    host.fileExists = (file) => sources.has(file) || fileExists(file);
    host.readFile = (file) => sources.get(file)?.text ?? readFile(file);
    host.getSourceFile = (file, language, ...rest) => {
      const own = sources.get(file);
      return own ? ts.createSourceFile(file, own.text, language) : getSourceFile(file, language, ...rest);
    };
    const program = ts.createProgram([...sources.keys()], compilerOptions, host);
    for (const [file, { place, text }] of sources) {
      const source = program.getSourceFile(file);
      const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
      const messages = found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
      if (messages.length > 0) this.#faults.set(place, `${messages.join('\n')}\nin\n${text}`);
      const script = file.replace(/\.ts$/, '.js');
      program.emit(source, (name, javascript) => {
        if (name === script) writeFileSync(script, javascript);
      });
      this.#scripts.set(place, pathToFileURL(script).href);
    }
  }

  /** Throws where it does not compile, or does something else than it says. */
  async run({ place, body }: DocstringExample): Promise<void> {
    const fault = this.#faults.get(place);
    if (fault !== undefined) assert.fail(fault);
    const script = this.#scripts.get(place) ?? '';
    if (body.kind === 'program') {
      assert.deepEqual(await printedBy(() => import(script)), body.prints);
      return;
    }
    const parts = (await import(script)) as Parts;
    assert.deepEqual(await recordsOf(body, parts), Object.fromEntries(body.outputs));
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

type Parts = { readonly builder: StreamsBuilder } & Readonly<globalThis.Record<string, unknown>>;

/** A fragment as a module that exports its builder and what shall be looked at. */
function moduleOf({ code, inputs, outputs }: Fragment): string {
  const used = publicNames.filter((name) => new RegExp(`\\b${name}\\b`).test(code));
  const names = new Set([...used, 'StreamsBuilder', 'jsonSerde', 'stringSerde']);
  return [
    `import { ${[...names].join(', ')} } from 'millrace';`,
    'export const builder = new StreamsBuilder();',
    ...inputs.map(declarationOf),
    code,
    `export { ${[...outputs.keys()].filter((name) => isConstant(code, name)).join(', ')} };`,
  ].join('\n');
}

function isConstant(code: string, name: string): boolean {
  return new RegExp(`\\bconst [^=;]*\\b${name}\\b`).test(code);
}

function declarationOf({ kind, name, records }: ExampleInput): string {
  const value = records.find((record) => record.value !== null)?.value;
  const serdes = `{ keySerde: stringSerde, valueSerde: jsonSerde<${typeOf(value)}>() }`;
  return `const ${name} = builder.${kind}('${name}', ${serdes});`;
}

/** The type of a JSON value, as TypeScript. */
function typeOf(value: unknown): string {
  if (Array.isArray(value)) return `readonly ${typeOf(value[0])}[]`;
  if (typeof value !== 'object' || value === null) return typeof value;
  const fields = Object.entries(value).map(([name, field]) => `readonly ${name}: ${typeOf(field)};`);
  return `{ ${fields.join(' ')} }`;
}

async function printedBy(action: () => Promise<unknown>): Promise<string[]> {
  const printed: string[] = [];
  const { log } = console;
  console.log = (...parts: unknown[]) => printed.push(parts.join(' '));
  try {
    await action();
  } finally {
    console.log = log;
  }
  return printed;
}

/** What comes out under each name, written as the example writes it: with the timestamp only where it does. */
async function recordsOf({ inputs, outputs }: Fragment, parts: Parts) {
  const seen = new Map<string, Record<unknown, unknown>[]>();
  for (const name of outputs.keys()) {
    if (parts[name] === undefined) continue;
    const records: Record<unknown, unknown>[] = [];
    seen.set(name, records);
    observe(parts[name] as Observable, records);
  }
  const driver = new TopologyTestDriver(parts.builder.build());
  await driver.open();
  try {
    const piped = inputs.flatMap(({ name, records }) => records.map((record) => ({ name, ...record })));
    for (const { name, key, value, timestamp } of piped.sort((a, b) => a.timestamp - b.timestamp))
      await driver.createInputTopic(name, stringSerde, jsonSerde<unknown>()).pipe(key, value, timestamp);
    const found: globalThis.Record<string, string[]> = {};
    for (const [name, expected] of outputs) {
      const topic = () => driver.createOutputTopic(name, stringSerde, jsonSerde<unknown>()).readAll();
      const timed = expected.some((record) => /@\d+$/.test(record));
      found[name] = (seen.get(name) ?? topic()).map((record) => written(record, timed));
    }
    return found;
  } finally {
    await driver.close();
  }
}

type Observable = KStream<unknown, unknown> | KTable<unknown, unknown>;

function observe(what: Observable, records: Record<unknown, unknown>[]): void {
  const stream = 'toStream' in what ? what.toStream() : what;
  const observer: Processor<unknown, unknown> = { process: (record) => records.push(record) };
  stream.process(() => observer);
}

function written({ key, value, timestamp }: Record<unknown, unknown>, timed: boolean): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return `${writtenKey(key)}=${text}${timed ? `@${timestamp}` : ''}`;
}

function writtenKey(key: unknown): string {
  if (typeof key !== 'object' || key === null) return String(key);
  const { key: inner, window } = key as { key: unknown; window: { startMs: number; endMs: number } };
  return `${inner}[${window.startMs},${window.endMs})`;
}
