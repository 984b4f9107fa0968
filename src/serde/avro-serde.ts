/**
 * Avro records with schemas from a registry, as serdes of topics and stores. A topic may hold several record
 * types (subject `<topic>-<full record name>`); in TypeScript they are plain objects told apart by `type`,
 * the record's short name. Used by the wiring of a program at start (`forTopic`, `forStore`), then by tasks
 * and stores for every record, synchronously: only a schema id that was never seen takes a request.
 *
 * Values are always read into our own version of a record, whichever version wrote them, and always written
 * with our own. This file never retries and never asks the registry from `serialize` or `deserialize`.
 */
import { parseRecordSchema, parseSchema, type RecordNode, shortName } from '../base/avro-schema.ts';
import type { Clock } from '../base/clock-port.ts';
import { asStreamsError, type ErrorContext, StreamsError } from '../base/errors.ts';
import type { CompatibilityLevel, RegisteredSchema, SchemaRegistry } from '../base/registry-port.ts';
import { type Logger, silentTelemetry } from '../base/telemetry-port.ts';
import { type AvroCodec, type AvroDecoder, compileCodec } from './avro-library.ts';
import type { Serde } from './serde.ts';
import { hasPrefix, prefixBytes, prefixedId, readPrefix, writePrefix } from './wire-format.ts';

/** The schemas that this program writes and reads with; `loadSchemas` gives them. */
export interface AvroSchemas {
  /** Schema texts by full record name. */
  readonly records: ReadonlyMap<string, string>;
  readonly level: CompatibilityLevel;
  /** Topics with a level of their own; what is not listed has `level`. */
  readonly topics: readonly { readonly topic: string; readonly level: CompatibilityLevel }[];
}

export interface AvroSerdesOptions {
  readonly registry: SchemaRegistry;
  readonly schemas: AvroSchemas;
  /** True registers what is missing (demo, replay, tests); false only looks up, as production should. */
  readonly autoRegister: boolean;
  readonly clock: Clock;
  readonly log?: Logger;
  /** How long an id that the registry did not know is not asked for again. Default 10,000 ms. */
  readonly unknownIdMs?: number;
}

/** A value of a topic or store: its record's short name in `type`, the record's fields beside it. */
export interface AvroValue {
  readonly type: string;
}

/**
 * Makes serdes that share one cache of schemas.
 * Errors of both: SCHEMA_INVALID, SCHEMA_INCOMPATIBLE, SUBJECT_UNKNOWN and SCHEMA_UNKNOWN (not registered; of
 * kind `user` here), REGISTRY_UNAVAILABLE.
 */
export interface AvroSerdes {
  /** The serde of a topic with these records (full names), registered or found in the registry. */
  forTopic<Value extends AvroValue>(topic: string, recordNames: readonly string[]): Promise<Serde<Value>>;
  /** The serde of a store with one record type; subject for example `<application.id>-<store>-value`. */
  forStore<Value extends AvroValue>(subject: string, recordName: string): Promise<Serde<Value>>;
}

export function createAvroSerdes(options: AvroSerdesOptions): AvroSerdes {
  return new SerdeFactory(options);
}

class SerdeFactory implements AvroSerdes {
  readonly #options: AvroSerdesOptions;
  readonly #written: WrittenSchemas;
  readonly #codecs = new Map<
    string,
    { readonly codec: AvroCodec; readonly node: RecordNode; readonly text: string }
  >();

  constructor(options: AvroSerdesOptions) {
    this.#options = options;
    this.#written = new WrittenSchemas(options.registry, options.clock, options.unknownIdMs ?? 10_000);
  }

  async forTopic<Value extends AvroValue>(
    topic: string,
    recordNames: readonly string[],
  ): Promise<Serde<Value>> {
    const { schemas } = this.#options;
    const level = schemas.topics.find((entry) => entry.topic === topic)?.level ?? schemas.level;
    const subjects = recordNames.map((name) => ({ name, subject: `${topic}-${name}` }));
    return this.#open<Value>(topic, subjects, level);
  }

  async forStore<Value extends AvroValue>(subject: string, recordName: string): Promise<Serde<Value>> {
    return this.#open<Value>(subject, [{ name: recordName, subject }], this.#options.schemas.level);
  }

  async #open<Value extends AvroValue>(
    title: string,
    subjects: readonly { readonly name: string; readonly subject: string }[],
    level: CompatibilityLevel,
  ): Promise<Serde<Value>> {
    const versionIds: number[] = [];
    const records = await Promise.all(
      subjects.map(async ({ name, subject }): Promise<OwnRecord> => {
        const { codec, node, text } = this.#codec(name);
        const { id } = await this.#id(subject, text, level);
        this.#written.remember({ id, schema: text });
        for (const version of await this.#options.registry.versions(subject)) {
          this.#written.remember(version);
          versionIds.push(version.id);
        }
        return { shortName: shortName(name), id, codec, node };
      }),
    );
    const serde = new AvroSerde<Value>(title, records, this.#written);
    serde.warmUp(versionIds, this.#options.log ?? silentTelemetry.log);
    return serde;
  }

  #codec(name: string): { readonly codec: AvroCodec; readonly node: RecordNode; readonly text: string } {
    let entry = this.#codecs.get(name);
    if (entry !== undefined) return entry;
    const text = this.#options.schemas.records.get(name);
    if (text === undefined)
      throw new StreamsError('SCHEMA_INVALID', `there is no schema of the record ${name}`);
    const node = parseRecordSchema(text);
    entry = { codec: compileCodec(node), node, text };
    this.#codecs.set(name, entry);
    return entry;
  }

  async #id(subject: string, text: string, level: CompatibilityLevel): Promise<RegisteredSchema> {
    const { registry, autoRegister } = this.#options;
    if (autoRegister) return registry.register(subject, text, level);
    try {
      return await registry.lookup(subject, text);
    } catch (error) {
      const known = asStreamsError(error, 'REGISTRY_REQUEST_FAILED');
      if (known.code !== 'SCHEMA_UNKNOWN' && known.code !== 'SUBJECT_UNKNOWN') throw known;
      throw new StreamsError(known.code, 'the schema that this program writes is not registered', {
        kind: 'user',
        context: { subject },
        hint: 'register it before this version starts',
        cause: error,
      });
    }
  }
}

/** Schemas by id, as the registry gave them: immutable, so kept for ever. Ids it does not know for a while. */
class WrittenSchemas {
  readonly #registry: SchemaRegistry;
  readonly #clock: Clock;
  readonly #unknownIdMs: number;
  readonly #texts = new Map<number, string>();
  readonly #unknownUntilMs = new Map<number, number>();
  readonly #fetching = new Map<number, Promise<void>>();

  constructor(registry: SchemaRegistry, clock: Clock, unknownIdMs: number) {
    this.#registry = registry;
    this.#clock = clock;
    this.#unknownIdMs = unknownIdMs;
  }

  remember({ id, schema }: RegisteredSchema): void {
    if (!this.#texts.has(id)) this.#texts.set(id, schema);
  }

  /** The text; null when the registry says there is none; undefined when it was never asked. */
  get(id: number): string | null | undefined {
    return this.#texts.get(id) ?? (id <= 0 || this.#unknownUntilMs.has(id) ? null : undefined);
  }

  fetch(id: number): Promise<void> | undefined {
    // No registry gives out such an id: it is garbage that starts with a zero.
    if (id <= 0 || this.#texts.has(id)) return undefined;
    const untilMs = this.#unknownUntilMs.get(id);
    if (untilMs !== undefined && this.#clock.monotonicMs() < untilMs) return undefined;
    let fetching = this.#fetching.get(id);
    if (fetching === undefined) {
      fetching = this.#ask(id).finally(() => this.#fetching.delete(id));
      this.#fetching.set(id, fetching);
    }
    return fetching;
  }

  async #ask(id: number): Promise<void> {
    try {
      this.remember(await this.#registry.schemaById(id));
      this.#unknownUntilMs.delete(id);
    } catch (error) {
      const known = asStreamsError(error, 'REGISTRY_UNAVAILABLE', { schemaId: id });
      if (known.code !== 'SCHEMA_UNKNOWN') throw laterAgain(known);
      this.#forgetOldUnknowns();
      this.#unknownUntilMs.set(id, this.#clock.monotonicMs() + this.#unknownIdMs);
    }
  }

  /** A topic full of garbage has a new "id" in every record: they must not pile up. */
  #forgetOldUnknowns(): void {
    for (const id of this.#unknownUntilMs.keys()) {
      if (this.#unknownUntilMs.size < unknownIdsMax) return;
      this.#unknownUntilMs.delete(id);
    }
  }
}

const unknownIdsMax = 10_000;

/** Whatever else an answer may be, nothing is wrong with the record: it waits until the registry is one again. */
function laterAgain(error: StreamsError): StreamsError {
  if (error.kind === 'retriable') return error;
  return new StreamsError('REGISTRY_UNAVAILABLE', `no answer of a schema registry: ${error.message}`, {
    cause: error,
  });
}

interface OwnRecord {
  readonly shortName: string;
  readonly id: number;
  readonly codec: AvroCodec;
  readonly node: RecordNode;
}

interface RecordDecoder {
  readonly decode: AvroDecoder;
  readonly shortName: string;
}

/** All serdes encode into this and copy out what they need: nothing is awaited in between. */
let scratch = Buffer.allocUnsafe(64 * 1024);

class AvroSerde<Value extends AvroValue> implements Serde<Value> {
  readonly name: string;
  readonly #title: string;
  readonly #records: readonly OwnRecord[];
  readonly #byType = new Map<string, OwnRecord>();
  readonly #written: WrittenSchemas;
  /** By writer's id: made once, or the reason why it cannot be made. */
  readonly #decoders = new Map<number, RecordDecoder | StreamsError>();

  constructor(title: string, records: readonly OwnRecord[], written: WrittenSchemas) {
    this.name = `avro ${title}`;
    this.#title = title;
    this.#records = records;
    this.#written = written;
    for (const record of records) {
      if (this.#byType.has(record.shortName)) {
        throw new StreamsError(
          'SCHEMA_INVALID',
          `${title} has two records with the short name ${record.shortName}`,
        );
      }
      this.#byType.set(record.shortName, record);
      this.#decoders.set(record.id, { decode: record.codec.decode, shortName: record.shortName });
    }
  }

  /** Makes the decoders of every version that the registry has of our records; logs what cannot be read. */
  warmUp(ids: readonly number[], log: Logger): void {
    for (const id of ids) {
      const made = this.#decoder(id);
      if (made instanceof StreamsError) {
        log.warn(
          'a registered version cannot be read by this program',
          { schemaId: id, topic: this.#title },
          made,
        );
      }
    }
  }

  serialize(value: Value | null, topic: string): Buffer | null {
    if (value === null) return null;
    const record = this.#byType.get(value.type);
    if (record === undefined) {
      const names = [...this.#byType.keys()].join(', ');
      throw new StreamsError(
        'VALUE_NOT_SERIALIZABLE',
        `type is ${String(value.type)}, expected one of ${names}`,
        {
          context: { topic },
        },
      );
    }
    const end = this.#encode(record, value, topic);
    writePrefix(scratch, record.id);
    return Buffer.from(scratch.subarray(0, end));
  }

  deserialize(bytes: Buffer | null, topic: string): Value | null {
    if (bytes === null) return null;
    try {
      const { schemaId, payloadAt } = readPrefix(bytes);
      const decoder = this.#decoder(schemaId);
      if (decoder instanceof StreamsError) throw decoder;
      const value = decoder.decode(bytes, payloadAt) as { type: string };
      value.type = decoder.shortName;
      return value as AvroValue as Value;
    } catch (error) {
      throw withPlace(error, { topic, ...(hasPrefix(bytes) ? { schemaId: prefixedId(bytes) } : {}) });
    }
  }

  prepare(bytes: Buffer): Promise<void> | undefined {
    if (!hasPrefix(bytes)) return undefined;
    const id = prefixedId(bytes);
    return this.#decoders.has(id) ? undefined : this.#written.fetch(id);
  }

  #encode(record: OwnRecord, value: Value, topic: string): number {
    try {
      for (;;) {
        const end = record.codec.encode(value, scratch, prefixBytes);
        if (end >= 0) return end;
        scratch = Buffer.allocUnsafe(Math.max(scratch.length * 2, scratch.length - end));
      }
    } catch (error) {
      const why = record.codec.complaint(value) ?? (error instanceof Error ? error.message : String(error));
      throw new StreamsError('VALUE_NOT_SERIALIZABLE', `not a ${record.node.name}: ${why}`, {
        context: { topic },
        cause: error,
      });
    }
  }

  #decoder(id: number): RecordDecoder | StreamsError {
    const made = this.#decoders.get(id);
    if (made !== undefined) return made;
    const text = this.#written.get(id);
    if (text === undefined) {
      // Taking this for a bad record would throw good ones away.
      return new StreamsError('INVARIANT_BROKEN', 'prepare() was not awaited before deserialize()');
    }
    if (text === null) return new StreamsError('SCHEMA_UNKNOWN', 'the registry has no schema with this id');
    const decoder = this.#makeDecoder(text);
    this.#decoders.set(id, decoder);
    return decoder;
  }

  #makeDecoder(text: string): RecordDecoder | StreamsError {
    try {
      const writer = parseSchema(text);
      if (writer.kind !== 'record')
        throw new StreamsError('SCHEMA_UNREADABLE', `the schema is a ${writer.kind}`);
      const record = this.#readerOf(writer);
      if (record === undefined) {
        throw new StreamsError('SCHEMA_UNREADABLE', `${this.#title} has no record named ${writer.name}`);
      }
      return { decode: record.codec.decoderFor(writer), shortName: record.shortName };
    } catch (error) {
      const why = asStreamsError(error, 'SCHEMA_UNREADABLE');
      const sentence =
        why.code === 'SCHEMA_UNREADABLE' ? why.message : `the schema cannot be parsed: ${why.message}`;
      return new StreamsError('SCHEMA_UNREADABLE', sentence, { cause: error });
    }
  }

  /** By full name, else by an alias of ours, else by unqualified name. */
  #readerOf(writer: RecordNode): OwnRecord | undefined {
    return (
      this.#records.find(({ node }) => node.name === writer.name) ??
      this.#records.find(({ node }) => node.aliases.includes(writer.name)) ??
      this.#byType.get(shortName(writer.name))
    );
  }
}

/** The same error with the place added: decoders do not know it, and they are shared. */
function withPlace(error: unknown, place: ErrorContext): StreamsError {
  const known = asStreamsError(error, 'RECORD_UNREADABLE');
  return new StreamsError(known.code, known.message, {
    context: place,
    kind: known.kind,
    cause: known.cause ?? known,
  });
}
