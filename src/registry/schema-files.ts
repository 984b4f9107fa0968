/**
 * Reads the `schemas/` folder: one `.avsc` file per record, and `subjects.json`, which says what goes into
 * which topic at which compatibility level. Called once at start by whoever wires the program; the embedded
 * registry and the serdes take what it returns. It never registers anything.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseRecordSchema, type RecordNode } from '../base/avro-schema.ts';
import { StreamsError } from '../base/errors.ts';
import type { CompatibilityLevel } from '../base/registry-port.ts';

/** What the folder says. */
export interface SchemaSet {
  /** The level of every subject that does not name its own. */
  readonly level: CompatibilityLevel;
  /** Schema texts (compact JSON) by full record name. */
  readonly records: ReadonlyMap<string, string>;
  /** Topics in the order of the file. */
  readonly topics: readonly TopicSchemas[];
  /** Full names of the records that state stores hold. */
  readonly stores: readonly string[];
}

export interface TopicSchemas {
  readonly topic: string;
  readonly records: readonly string[];
  readonly level: CompatibilityLevel;
}

const levels: readonly string[] = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
] satisfies readonly CompatibilityLevel[];

/**
 * Reads and checks a schemas folder.
 * Errors: INPUT_MISSING (no folder, no subjects.json), SCHEMA_INVALID and INPUT_INVALID, naming the file.
 */
export async function loadSchemas(folder: string): Promise<SchemaSet> {
  const records = new Map<string, string>();
  const origin = new Map<string, string>();
  for (const file of await avscFiles(folder)) {
    const text = await readText(file);
    const node = parseFile(text, file);
    const other = origin.get(node.name);
    if (other !== undefined) {
      throw new StreamsError('SCHEMA_INVALID', `${node.name} is declared twice`, {
        context: { file, other },
      });
    }
    origin.set(node.name, file);
    records.set(node.name, JSON.stringify(JSON.parse(text)));
  }
  return subjects(join(folder, 'subjects.json'), records);
}

async function avscFiles(folder: string): Promise<string[]> {
  try {
    const files = await readdir(folder, { recursive: true });
    return files
      .filter((file) => file.endsWith('.avsc'))
      .sort()
      .map((file) => join(folder, file));
  } catch (error) {
    throw new StreamsError('INPUT_MISSING', 'the schemas folder cannot be read', {
      context: { file: folder },
      cause: error,
    });
  }
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new StreamsError('INPUT_MISSING', 'the file cannot be read', { context: { file }, cause: error });
  }
}

function parseFile(text: string, file: string): RecordNode {
  let node: RecordNode;
  try {
    node = parseRecordSchema(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StreamsError('SCHEMA_INVALID', why, { context: { file }, cause: error });
  }
  if (node.fields.some((field) => field.name === 'type')) {
    throw new StreamsError(
      'SCHEMA_INVALID',
      'a record cannot have a field named type: it tells records apart',
      {
        context: { file },
      },
    );
  }
  return node;
}

async function subjects(file: string, records: ReadonlyMap<string, string>): Promise<SchemaSet> {
  const refuse = (sentence: string): never => {
    throw new StreamsError('INPUT_INVALID', sentence, { context: { file } });
  };
  const text = await readText(file);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new StreamsError('INPUT_INVALID', 'the file is not JSON', { context: { file }, cause: error });
  }
  const { level, topics, stores = [] } = (json ?? {}) as Record<string, unknown>;
  const known = (name: unknown): string =>
    typeof name === 'string' && records.has(name)
      ? name
      : refuse(`no .avsc file declares the record ${String(name)}`);
  const levelOf = (value: unknown, where: string): CompatibilityLevel =>
    typeof value === 'string' && levels.includes(value)
      ? (value as CompatibilityLevel)
      : refuse(`the level of ${where} is ${String(value)}; it has to be one of ${levels.join(', ')}`);
  if (typeof topics !== 'object' || topics === null) return refuse('"topics" is missing');
  if (!Array.isArray(stores)) return refuse('"stores" is not a list');
  const defaultLevel = levelOf(level, 'the file');
  return {
    level: defaultLevel,
    records,
    stores: stores.map(known),
    topics: Object.entries(topics as Record<string, { records?: unknown; level?: unknown }>).map(
      ([topic, entry]) => {
        if (!Array.isArray(entry?.records)) return refuse(`topic ${topic} has no list of records`);
        const own = entry.level === undefined ? defaultLevel : levelOf(entry.level, topic);
        return { topic, records: entry.records.map(known), level: own };
      },
    ),
  };
}
