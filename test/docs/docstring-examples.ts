/**
 * The examples in docstrings: every block ```ts of a comment in src/. A block with an import is a *program*;
 * each line that it prints is a comment `// prints: TEXT`. Any other is a *fragment*: what flows in and out
 * stands in comments, and is piped through it and compared (run-example.ts).
 *
 *   // orders: o1=30@100, o2=5@200        a stream `orders`, declared for the fragment, and its records
 *   // table names: c1=Ada                a table, likewise
 *   const large = orders.filter((_orderId, total) => total > 10);
 *   // large: o1=30@100                   what comes out of `large`; a name that is no constant is a topic
 *
 * Records are key=value@timestamp (0 where it is left out), as in docs/semantics.md. Keys are text, values
 * JSON or text, `null` is null; a windowed key is key[start,end). Records of several inputs are piped by time.
 */

/** Shape: `value` is null for a tombstone. */
export interface ExampleRecord {
  readonly key: string;
  readonly value: unknown;
  readonly timestamp: number;
}

export interface ExampleInput {
  readonly kind: 'stream' | 'table';
  readonly name: string;
  readonly records: readonly ExampleRecord[];
}

export interface Program {
  readonly kind: 'program';
  readonly code: string;
  readonly prints: readonly string[];
}

export interface Fragment {
  readonly kind: 'fragment';
  readonly code: string;
  readonly inputs: readonly ExampleInput[];
  /** By the name of a constant or a topic: the records as they are written in the example. */
  readonly outputs: ReadonlyMap<string, readonly string[]>;
}

export interface DocstringExample {
  /** Shape: `src/dsl/api.ts:40`. */
  readonly place: string;
  readonly body: Program | Fragment;
}

/** All of a source, in its order. */
export function examplesOf(path: string, source: string): DocstringExample[] {
  const found: DocstringExample[] = [];
  const lines = source.split('\n');
  for (let index = 0; index < lines.length; index++) {
    if (!/^\s*\* ```ts$/.test(lines[index] ?? '')) continue;
    const from = index + 1;
    while (index < lines.length && !/^\s*\* ```$/.test(lines[++index] ?? '* ```'));
    const block = lines.slice(from, index).map((line) => line.replace(/^\s*\* ?/, ''));
    found.push({ place: `${path}:${from}`, body: parseExample(block) });
  }
  return found;
}

function parseExample(block: readonly string[]): Program | Fragment {
  const code = block.join('\n');
  if (/^import /m.test(code)) {
    const prints = [...code.matchAll(/\/\/ prints: (.*)$/gm)].map(([, text]) => text ?? '');
    return { kind: 'program', code, prints };
  }
  const inputs: ExampleInput[] = [];
  const outputs = new Map<string, readonly string[]>();
  let isAbove = true;
  for (const line of block) {
    const [, table, name, text] = /^\/\/ (table )?([\w-]+): (.*)$/.exec(line) ?? [];
    if (name === undefined || text === undefined) {
      isAbove &&= line.startsWith('//');
    } else if (isAbove) {
      const records = splitRecords(text).map(parseRecord);
      inputs.push({ kind: table === undefined ? 'stream' : 'table', name, records });
    } else {
      outputs.set(name, [...(outputs.get(name) ?? []), ...splitRecords(text)]);
    }
  }
  return { kind: 'fragment', code, inputs, outputs };
}

/** A comma ends a record only where a key follows: values may have commas. */
function splitRecords(text: string): string[] {
  return text === 'nothing' ? [] : text.split(/, (?=[\w-]+(?:\[[^\]]*?\))?=)/);
}

function parseRecord(text: string): ExampleRecord {
  const [, key, value, timestamp] = /^([\w-]+)=(.*?)(?:@(\d+))?$/.exec(text) ?? [];
  if (key === undefined || value === undefined) throw new Error(`not a record: ${text}`);
  return { key, value: parseValue(value), timestamp: Number(timestamp ?? 0) };
}

function parseValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
