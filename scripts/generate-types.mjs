// Writes topology/schema-types.ts from schemas/: one interface per record, one union per topic. Run it after every
// change of a schema; the result is checked in, and test/unit/serde/schema-types.test.ts compares the two.
//
//   node scripts/generate-types.mjs            writes the file
//   node scripts/generate-types.mjs --check    writes nothing; exit code 1 when the file is not up to date
//
// A record of a topic or store gets a field `type` with its short name, which tells the records of a topic apart;
// records inside of it do not. It never reads the registry: the files are the source.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { projectRoot } from './support/project.mjs';
import { runMain, SetupError, say } from './support/say.mjs';

const lineWidth = 110;
const command = 'node scripts/generate-types.mjs';
const primitives = {
  null: 'null',
  boolean: 'boolean',
  int: 'number',
  long: 'number',
  float: 'number',
  double: 'number',
  string: 'string',
  bytes: 'Buffer',
};

/** The whole text of topology/schema-types.ts. Errors: SetupError that names the file. */
export function generateTypes(schemasFolder) {
  const subjects = readJson(join(schemasFolder, 'subjects.json'));
  const declared = new Map();
  const records = new Map();
  for (const file of avscFiles(schemasFolder)) {
    const schema = readJson(file);
    const fullName = declare(schema, '', declared, { file, isTop: true });
    records.set(fullName, schema.name);
  }
  const used = [...Object.values(subjects.topics).flatMap((topic) => topic.records), ...subjects.stores];
  const problem = complaint(used, records);
  if (problem)
    throw new SetupError(`${relative(projectRoot, join(schemasFolder, 'subjects.json'))} ${problem}`);
  const parts = [
    head(),
    ...[...declared.values()].sort(byName).map((declaration) => declaration.text),
    ...Object.entries(subjects.topics).map(([topic, { typeName, records: names }]) =>
      unionText(
        typeName,
        names.map((name) => records.get(name)),
        `A record of \`${topic}\`.`,
      ),
    ),
    topicValues(subjects.topics),
    topicRecords(subjects.topics),
  ];
  return `${parts.join('\n\n')}\n`;
}

function complaint(used, records) {
  for (const name of used) if (!records.has(name)) return `names ${name}, but no .avsc file declares it`;
  for (const name of records.keys())
    if (!used.includes(name)) return `does not name ${name}, which a .avsc file declares`;
  return undefined;
}

function avscFiles(folder) {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.avsc'))
    .sort()
    .map((file) => join(folder, file));
}

function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new SetupError(`${relative(projectRoot, file)} cannot be read: ${error.message}`);
  }
}

/** Adds a named type to `declared` and gives its full name. Two short names that are alike would clash. */
function declare(schema, outerNamespace, declared, { file, isTop = false }) {
  const namespace = schema.namespace ?? outerNamespace;
  const fullName = `${namespace}.${schema.name}`;
  const declaration = { name: schema.name, fullName, text: '' };
  const place = { file, namespace, declared };
  if (schema.type === 'enum') {
    declaration.text = `${comment(schema.doc)}${aliasText(schema.name, schema.symbols.map(quoted))}`;
  } else if (schema.type === 'record') {
    declaration.text = recordText(schema, place, isTop);
  } else {
    throw new SetupError(`${relative(projectRoot, file)}: cannot make a type of ${schema.type} ${fullName}`);
  }
  const known = declared.get(schema.name);
  if (known && (known.fullName !== fullName || known.text !== declaration.text)) {
    throw new SetupError(
      `${relative(projectRoot, file)} declares ${fullName}, another file declares a different ${known.fullName}`,
    );
  }
  declared.set(schema.name, declaration);
  return fullName;
}

function recordText(schema, place, isTop) {
  const lines = schema.fields.map((field) => {
    if (isTop && field.name === 'type') {
      throw new SetupError(
        `${relative(projectRoot, place.file)}: a field cannot be named type, it tells records apart`,
      );
    }
    return `${comment(field.doc, '  ')}  readonly ${field.name}: ${typeText(field.type, place)};`;
  });
  if (isTop) lines.unshift(`  readonly type: ${quoted(schema.name)};`);
  return `${comment(schema.doc)}export interface ${schema.name} {\n${lines.join('\n')}\n}`;
}

function typeText(schema, place) {
  if (Array.isArray(schema)) {
    const branches = schema.filter((branch) => branch !== 'null').map((branch) => typeText(branch, place));
    return [...branches, ...(schema.includes('null') ? ['null'] : [])].join(' | ');
  }
  if (typeof schema === 'string') return primitives[schema] ?? schema.slice(schema.lastIndexOf('.') + 1);
  if (schema.type === 'array') {
    const items = typeText(schema.items, place);
    return `readonly ${items.includes(' ') ? `(${items})` : items}[]`;
  }
  if (schema.type === 'map') return `Readonly<Record<string, ${typeText(schema.values, place)}>>`;
  if (primitives[schema.type]) return primitives[schema.type];
  declare(schema, place.namespace, place.declared, { file: place.file });
  return schema.name;
}

function unionText(name, members, doc) {
  return `${comment(doc)}${aliasText(name, members)}`;
}

/** `type X = A | B`, broken like the formatter breaks it. */
function aliasText(name, members) {
  const oneLine = `export type ${name} = ${members.join(' | ')};`;
  if (oneLine.length <= lineWidth) return oneLine;
  return `export type ${name} =\n${members.map((member) => `  | ${member}`).join('\n')};`;
}

function topicValues(topics) {
  const lines = Object.entries(topics).map(
    ([topic, { typeName }]) => `  readonly ${quoted(topic)}: ${typeName};`,
  );
  return `/** What each topic carries. */\nexport interface TopicValues {\n${lines.join('\n')}\n}`;
}

function topicRecords(topics) {
  const lines = Object.entries(topics).map(([topic, { records }]) => {
    const oneLine = `  ${quoted(topic)}: [${records.map(quoted).join(', ')}],`;
    if (oneLine.length <= lineWidth) return oneLine;
    return `  ${quoted(topic)}: [\n${records.map((name) => `    ${quoted(name)},`).join('\n')}\n  ],`;
  });
  const doc =
    '/** The full names of the records of each topic: their schemas are registered under `<topic>-<full name>`. */';
  return `${doc}\nexport const topicRecords = {\n${lines.join('\n')}\n} as const;`;
}

function head() {
  return `/**
 * The records of schemas/ as TypeScript types. Generated by scripts/generate-types.mjs: do not edit, run it.
 * \`type\` is added by the serde (src/serde/avro-serde.ts) and is not a field of the Avro record. Times are
 * milliseconds since the epoch, amounts are minor units (cents); what may be absent is null, never undefined.
 */`;
}

const comment = (doc, indent = '') => (doc ? `${indent}/** ${doc} */\n` : '');
const quoted = (text) => `'${text}'`;
const byName = (a, b) => (a.fullName < b.fullName ? -1 : 1);

async function main() {
  const target = join(projectRoot, 'topology', 'schema-types.ts');
  const text = generateTypes(join(projectRoot, 'schemas'));
  if (process.argv.includes('--check')) {
    if (readFileSync(target, 'utf8') === text) return;
    throw new SetupError('topology/schema-types.ts does not match schemas/', { type: command });
  }
  writeFileSync(target, text);
  say(`wrote ${relative(projectRoot, target)}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await runMain(main);
