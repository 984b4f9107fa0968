/**
 * A schema registry inside the process: for the demo, the replay and the tests, which run without a server.
 * Same port, same rules as a server: ids are unique per schema content, levels are checked on registration,
 * what differs only in spelling is the same schema. With a backend the ids survive a restart, and they have
 * to: stored bytes carry them. It never opens or closes the backend; who opened it does.
 */
import { type AvroNode, normalizedText, parseSchema } from '../base/avro-schema.ts';
import type { KeyValueBackend, Write } from '../base/backend-port.ts';
import { prefixEnd, readSortableInteger, sortableInteger } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import type { CompatibilityLevel, RegisteredSchema, SchemaRegistry } from '../base/registry-port.ts';
import { checkLevel, describeIncompatibilities } from './compatibility.ts';
import { defaultProblem } from './default-values.ts';
import type { SchemaSet } from './schema-files.ts';

export interface EmbeddedRegistryOptions {
  /** Registered at the start: every record of every topic, in the order of the file. */
  readonly schemas?: SchemaSet;
  /** Where ids, versions and levels are kept; absent: in memory only. */
  readonly backend?: KeyValueBackend;
  /** Of subjects that were registered without one. Default: BACKWARD, as Confluent's. */
  readonly level?: CompatibilityLevel;
}

/**
 * Opens the registry, with what the backend holds.
 * Errors: SCHEMA_INVALID, SCHEMA_INCOMPATIBLE (a schema file changed in a way that its level forbids).
 */
export async function openEmbeddedRegistry(options: EmbeddedRegistryOptions = {}): Promise<SchemaRegistry> {
  const registry = new EmbeddedRegistry(options);
  await registry.load();
  for (const { topic, records, level } of options.schemas?.topics ?? []) {
    for (const name of records) {
      const text = options.schemas?.records.get(name);
      if (text !== undefined) await registry.register(`${topic}-${name}`, text, level);
    }
  }
  return registry;
}

interface Subject {
  level: CompatibilityLevel | undefined;
  /** Ids, oldest version first. */
  readonly ids: number[];
}

/** Keys in the backend: a letter, then what it is about. All start with `prefix`, so that others may share it. */
const prefix = 'registry/';
const schemaPrefix = `${prefix}s/`;
const versionPrefix = `${prefix}v/`;
const levelPrefix = `${prefix}l/`;

class EmbeddedRegistry implements SchemaRegistry {
  readonly #backend: KeyValueBackend | undefined;
  readonly #defaultLevel: CompatibilityLevel;
  readonly #texts = new Map<number, string>();
  readonly #nodes = new Map<number, AvroNode>();
  readonly #idByContent = new Map<string, number>();
  readonly #subjects = new Map<string, Subject>();
  /** Registrations one after another: ids in order, and one batch in flight. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(options: EmbeddedRegistryOptions) {
    this.#backend = options.backend;
    this.#defaultLevel = options.level ?? 'BACKWARD';
  }

  async load(): Promise<void> {
    const from = Buffer.from(prefix);
    const to = prefixEnd(from);
    const entries = (await this.#backend?.range(to === undefined ? { from } : { from, to })) ?? [];
    // Key order: levels, schemas, versions; so every version finds its schema.
    for (const { key, value } of entries) {
      const name = key.toString('latin1');
      if (name.startsWith(schemaPrefix)) {
        this.#remember(readSortableInteger(key, schemaPrefix.length), value.toString('utf8'));
      } else if (name.startsWith(versionPrefix)) {
        const subject = key.subarray(versionPrefix.length, key.length - 9).toString('utf8');
        this.#subject(subject).ids.push(value.readInt32BE());
      } else if (name.startsWith(levelPrefix)) {
        const subject = key.subarray(levelPrefix.length).toString('utf8');
        this.#subject(subject).level = value.toString('utf8') as CompatibilityLevel;
      }
    }
  }

  async schemaById(id: number): Promise<RegisteredSchema> {
    this.#assertOpen();
    const schema = this.#texts.get(id);
    if (schema === undefined) {
      throw new StreamsError('SCHEMA_UNKNOWN', 'no schema has this id', { context: { schemaId: id } });
    }
    return { id, schema };
  }

  async lookup(subject: string, schema: string): Promise<RegisteredSchema> {
    this.#assertOpen();
    const known = this.#subjects.get(subject);
    if (known === undefined || known.ids.length === 0) {
      throw new StreamsError('SUBJECT_UNKNOWN', 'the registry has no such subject', { context: { subject } });
    }
    const id = this.#idByContent.get(normalizedText(schema));
    if (id === undefined || !known.ids.includes(id)) {
      throw new StreamsError('SCHEMA_UNKNOWN', 'this schema is not registered', { context: { subject } });
    }
    return this.schemaById(id);
  }

  async versions(subject: string): Promise<readonly RegisteredSchema[]> {
    this.#assertOpen();
    return (this.#subjects.get(subject)?.ids ?? []).map((id) => ({ id, schema: this.#text(id) }));
  }

  register(subject: string, schema: string, level?: CompatibilityLevel): Promise<RegisteredSchema> {
    const registration = this.#last.then(() => this.#register(subject, schema, level));
    this.#last = registration.catch(() => undefined);
    return registration;
  }

  async close(): Promise<void> {
    await this.#last;
    this.#closed = true;
  }

  async #register(subject: string, schema: string, level?: CompatibilityLevel): Promise<RegisteredSchema> {
    this.#assertOpen();
    const node = this.#parse(subject, schema);
    const known = this.#subjects.get(subject);
    const content = normalizedText(schema);
    const sameContent = this.#idByContent.get(content);
    if (sameContent !== undefined && known?.ids.includes(sameContent)) return this.schemaById(sameContent);
    const isFirst = known === undefined || known.ids.length === 0;
    const effective = (isFirst ? level : undefined) ?? known?.level ?? this.#defaultLevel;
    this.#check(subject, effective, node, known?.ids ?? []);

    const id = sameContent ?? this.#texts.size + 1;
    const writes: Write[] = [
      { key: Buffer.concat([Buffer.from(schemaPrefix), sortableInteger(id)]), value: Buffer.from(content) },
      { key: versionKey(subject, known?.ids.length ?? 0), value: int32(id) },
    ];
    if (isFirst && level !== undefined) {
      writes.push({ key: Buffer.from(levelPrefix + subject), value: Buffer.from(level) });
    }
    // Synced: records that carry the id may be synced too, and an id must never be given out twice.
    await this.#backend?.write(writes, { sync: true });

    if (sameContent === undefined) this.#remember(id, content);
    const entry = this.#subject(subject);
    if (isFirst && level !== undefined) entry.level = level;
    entry.ids.push(id);
    return { id, schema: content };
  }

  #parse(subject: string, schema: string): AvroNode {
    let problem: string | undefined;
    let cause: unknown;
    try {
      const node = parseSchema(schema);
      problem = defaultProblem(node);
      if (problem === undefined) return node;
    } catch (error) {
      cause = error;
      problem = error instanceof Error ? error.message : String(error);
    }
    throw new StreamsError('SCHEMA_INVALID', problem, { context: { subject }, cause });
  }

  #check(subject: string, level: CompatibilityLevel, candidate: AvroNode, ids: readonly number[]): void {
    const found = checkLevel(
      level,
      candidate,
      ids.map((id) => this.#node(id)),
    );
    if (found.length === 0) return;
    const why = describeIncompatibilities(found);
    throw new StreamsError('SCHEMA_INCOMPATIBLE', `the schema breaks the level ${level}: ${why}`, {
      context: { subject },
    });
  }

  #remember(id: number, content: string): void {
    this.#texts.set(id, content);
    this.#idByContent.set(content, id);
  }

  #text(id: number): string {
    const text = this.#texts.get(id);
    if (text === undefined) throw new StreamsError('STORE_CORRUPTED', `the registry lost the schema ${id}`);
    return text;
  }

  #node(id: number): AvroNode {
    let node = this.#nodes.get(id);
    if (node === undefined) {
      node = parseSchema(this.#text(id));
      this.#nodes.set(id, node);
    }
    return node;
  }

  #subject(name: string): Subject {
    let subject = this.#subjects.get(name);
    if (subject === undefined) {
      subject = { level: undefined, ids: [] };
      this.#subjects.set(name, subject);
    }
    return subject;
  }

  #assertOpen(): void {
    if (this.#closed) throw new StreamsError('REGISTRY_UNAVAILABLE', 'the registry is closed');
  }
}

/** A slash ends the name, so that no subject's keys lie among those of a subject that starts alike. */
function versionKey(subject: string, version: number): Buffer {
  return Buffer.concat([Buffer.from(`${versionPrefix}${subject}/`), sortableInteger(version)]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}
