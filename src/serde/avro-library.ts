/**
 * The only file that touches avsc. Compiles a schema once to a codec: encode, decode, and decode what an
 * older or newer schema wrote. Called by avro-serde.ts; never sees a topic, an id or a registry.
 *
 * avsc, as it comes, has traps that this file closes:
 * - it trusts the item counts in the bytes: twelve hostile bytes make it allocate without end (GuardedArray);
 * - it writes and reads longs below -2^52 wrong, without a word (GuardedLong, GuardedFloat, GuardedDouble);
 * - decoded records are instances of generated classes (they are made plain objects here);
 * - it compares full names where Avro compares unqualified ones, and refuses a writer's defaults that it
 *   has no use for (the writer's schema is rewritten first: schema names to the reader's, no defaults);
 * - whether a union's value is wrapped depends on the union, unless it is told.
 */
import avsc from 'avsc';
import { type NamedNode, namedTypes, type RecordNode, renderSchema, shortName } from '../base/avro-schema.ts';
import { StreamsError } from '../base/errors.ts';

/** Reads one value from `bytes`, which have to end with it. Errors: RECORD_UNREADABLE. */
export type AvroDecoder = (bytes: Buffer, at: number) => unknown;

export interface AvroCodec {
  /**
   * Writes the value into the buffer and gives the position after it, or how many bytes are missing as a
   * negative number. Errors: whatever avsc throws; ask `complaint` for words.
   */
  encode(value: unknown, into: Buffer, at: number): number;
  /** The path of the first field that does not fit, with what was found there; undefined when all fits. */
  complaint(value: unknown): string | undefined;
  /** Decodes what this very schema wrote. */
  readonly decode: AvroDecoder;
  /** Decodes what another schema wrote into this schema's shape. Errors: SCHEMA_UNREADABLE. */
  decoderFor(writer: RecordNode): AvroDecoder;
}

/** How values of unions look: the bare value, or `{string: "x"}` as in Avro's JSON (tests only). */
export type UnionStyle = 'plain' | 'tagged';

/**
 * Compiles a schema.
 * Errors: SCHEMA_INVALID (for plain unions also one whose branches cannot be told apart by their values).
 */
export function compileCodec(schema: RecordNode, unions: UnionStyle = 'plain'): AvroCodec {
  let type: avsc.Type;
  try {
    type = compile(renderSchema(schema), unions === 'plain' ? 'never' : 'always');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StreamsError('SCHEMA_INVALID', `the schema of ${schema.name} cannot be used: ${why}`, {
      cause: error,
    });
  }
  return {
    encode: (value, into, at) => type.encode(value, into, at),
    complaint: (value) => complaintOf(type, value),
    decode: decoder(type, undefined),
    decoderFor: (writer) => decoder(type, resolverFor(type, schema, writer)),
  };
}

function resolverFor(
  type: avsc.Type,
  reader: RecordNode,
  writer: RecordNode,
): ReturnType<avsc.Type['createResolver']> {
  try {
    const rewritten = renderSchema(writer, { forReader: false, rename: renames(writer, reader) });
    // 'always' so that unions of alike branches compile; nobody sees the writer's values.
    return type.createResolver(compile(rewritten, 'always'));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StreamsError('SCHEMA_UNREADABLE', `${reader.name} cannot read what this schema wrote: ${why}`, {
      cause: error,
    });
  }
}

/** The writer's named types by the names that the reader has for them: by alias, else by unqualified name. */
function renames(writer: RecordNode, reader: RecordNode): Map<string, string> {
  const targets = namedTypes(reader);
  const sources = namedTypes(writer);
  const renamed = new Map<string, string>();
  const taken = new Set(sources.map((source) => source.name));
  for (const source of sources) {
    if (targets.some((target) => target.name === source.name)) continue;
    const alike = (fits: (target: NamedNode) => boolean) =>
      targets.find((target) => target.kind === source.kind && !taken.has(target.name) && fits(target));
    const target =
      alike(({ aliases }) => aliases.includes(source.name)) ??
      alike(({ name }) => shortName(name) === shortName(source.name));
    if (target === undefined) continue;
    renamed.set(source.name, target.name);
    taken.add(target.name);
  }
  return renamed;
}

function decoder(
  type: avsc.Type,
  resolver: ReturnType<avsc.Type['createResolver']> | undefined,
): AvroDecoder {
  return (bytes, at) => {
    let decoded: { value: unknown; offset: number };
    try {
      decoded = type.decode(bytes, at, resolver);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new StreamsError('RECORD_UNREADABLE', `the bytes are not a ${type.name ?? 'value'}: ${why}`, {
        cause: error,
      });
    }
    if (decoded.offset === bytes.length) return decoded.value;
    const why = decoded.offset < 0 ? 'end too early for' : `go on for ${bytes.length - decoded.offset} after`;
    throw new StreamsError('RECORD_UNREADABLE', `the bytes ${why} a ${type.name ?? 'value'}`);
  };
}

function complaintOf(type: avsc.Type, value: unknown): string | undefined {
  let first: string | undefined;
  try {
    type.isValid(value, {
      errorHook: (path, found: unknown, expected) => {
        first ??= `${path.join('.') || 'the value'} is ${shown(found)}, expected ${expectation(expected)}`;
      },
    });
  } catch {
    // The check itself can stumble over a value that is not even an object; the caller has avsc's error.
  }
  return first;
}

function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = typeof value === 'bigint' ? `${value}n` : (JSON.stringify(value) ?? typeof value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function expectation(type: avsc.Type): string {
  return type.name ?? JSON.stringify(type.schema());
}

// What follows stands on inner names of avsc 5.7.9 (`_read`, `_skip`, the tap); the version is pinned.

interface Tap {
  pos: number;
  readonly buf: Buffer;
  readLong(): number;
  readString(): string;
  skipString(): void;
}
interface WritingTap {
  pos: number;
  readonly buf: Buffer;
}
interface Inner {
  _read: (tap: Tap) => unknown;
  _skip(tap: Tap): void;
}
type Hook = NonNullable<NonNullable<Parameters<typeof avsc.Type.forSchema>[1]>['typeHook']>;

/** Items may take no bytes at all (null, an empty record), so a count may exceed the bytes left by this much. */
const emptyItemsMax = 1024;

/** The size of the next block; 0 ends. Throws when the bytes left cannot hold that many items. */
function blockSize(tap: Tap): number {
  let count = tap.readLong();
  if (count < 0) {
    count = -count;
    tap.readLong();
  }
  if (count <= Math.max(0, tap.buf.length - tap.pos) + emptyItemsMax) return count;
  throw new Error(`a block of ${count} items in ${tap.buf.length} bytes`);
}

function skipBlocks(tap: Tap, skipItem: () => void): void {
  for (let count = tap.readLong(); count !== 0; count = tap.readLong()) {
    if (count < 0) {
      const sizeBytes = tap.readLong();
      // Going back would skip the same bytes for ever.
      if (!(sizeBytes >= 0)) throw new Error(`a block of ${sizeBytes} bytes`);
      tap.pos += sizeBytes;
      continue;
    }
    if (!(count <= Math.max(0, tap.buf.length - tap.pos) + emptyItemsMax))
      throw new Error(`a block of ${count} items`);
    for (let i = 0; i < count; i++) skipItem();
  }
}

/** `this` may be a resolver: avsc copies `_read` to it, with `itemsType` beside. So only those two are used. */
class GuardedArray extends avsc.types.ArrayType {
  _read(this: { itemsType: Inner }, tap: Tap): unknown[] {
    const items = this.itemsType;
    const values: unknown[] = [];
    for (let count = blockSize(tap); count !== 0; count = blockSize(tap)) {
      for (let i = 0; i < count; i++) values.push(items._read(tap));
    }
    return values;
  }

  _skip(this: { itemsType: Inner }, tap: Tap): void {
    skipBlocks(tap, () => this.itemsType._skip(tap));
  }
}

class GuardedMap extends avsc.types.MapType {
  _read(this: { valuesType: Inner }, tap: Tap): Record<string, unknown> {
    const type = this.valuesType;
    const entries: Record<string, unknown> = {};
    for (let count = blockSize(tap); count !== 0; count = blockSize(tap)) {
      for (let i = 0; i < count; i++) {
        const key = tap.readString();
        const value = type._read(tap);
        if (key !== '__proto__') entries[key] = value;
        // An assignment would set the prototype instead of a property.
        else
          Object.defineProperty(entries, key, {
            value,
            enumerable: true,
            configurable: true,
            writable: true,
          });
      }
    }
    return entries;
  }

  _skip(this: { valuesType: Inner }, tap: Tap): void {
    skipBlocks(tap, () => {
      tap.skipString();
      this.valuesType._skip(tap);
    });
  }
}

/** The largest that avsc's arithmetic holds for numbers of both signs: it doubles them, and takes away one. */
const exactMax = 2 ** 52;
const longBytesMax = 10;

/** As the tap's own, which gives large negative numbers another sign. Beyond 2^53 the nearest number. */
function readLong(tap: Tap): number {
  const at = tap.pos;
  const value = tap.readLong();
  if (Math.abs(value) < exactMax) return value;
  const bytes = tap.buf.subarray(at, tap.pos);
  if (bytes.length > longBytesMax) throw new Error(`a long of ${bytes.length} bytes`);
  let zigzag = 0n;
  for (const [index, byte] of bytes.entries()) zigzag |= BigInt(byte & 0x7f) << BigInt(7 * index);
  return Number(BigInt.asIntN(64, (zigzag >> 1n) ^ -(zigzag & 1n)));
}

/** What avsc refuses it still refuses. `this` may be a resolver, as in GuardedArray. */
class GuardedLong extends avsc.types.LongType {
  _read(tap: Tap): number {
    const value = readLong(tap);
    if (Math.abs(value) < Number.MAX_SAFE_INTEGER) return value;
    throw new Error('a long beyond 2^53');
  }

  _write(tap: WritingTap, value: number): void {
    // So large a number has no fraction.
    if (value < -exactMax && value > Number.MIN_SAFE_INTEGER) writeNegative(tap, value);
    else writeLong.call(this, tap, value);
  }
}

const { _write: writeLong } = avsc.types.LongType.prototype as unknown as {
  _write(tap: WritingTap, value: number): void;
};

interface Written {
  readonly typeName: string;
}
type Update = (resolver: Inner, writer: Written) => void;

const { _update: updateFloat } = avsc.types.FloatType.prototype as unknown as { _update: Update };
const { _update: updateDouble } = avsc.types.DoubleType.prototype as unknown as { _update: Update };

/** Reads longs too, where the writer's schema has one in its place. */
class GuardedFloat extends avsc.types.FloatType {
  _update(resolver: Inner, writer: Written): void {
    updateFloat.call(this, resolver, writer);
    if (writer.typeName === 'long') resolver._read = readLong;
  }
}

class GuardedDouble extends avsc.types.DoubleType {
  _update(resolver: Inner, writer: Written): void {
    updateDouble.call(this, resolver, writer);
    if (writer.typeName === 'long') resolver._read = readLong;
  }
}

/** Writes past the buffer's end are lost, and the position tells: avsc makes room and writes again. */
function writeNegative(tap: WritingTap, value: number): void {
  let rest = -value - 1;
  let byte = ((rest % 64) << 1) | 1;
  for (rest = Math.floor(rest / 64); rest > 0; rest = Math.floor(rest / 128)) {
    tap.buf[tap.pos++] = byte | 0x80;
    byte = rest % 128;
  }
  tap.buf[tap.pos++] = byte;
}

const numbers = new Map<unknown, new () => avsc.Type>([
  ['long', GuardedLong],
  ['float', GuardedFloat],
  ['double', GuardedDouble],
]);

const guards: Hook = (schema, options) => {
  const { type } = schema as { type?: string };
  const number = numbers.get(type ?? (schema as unknown));
  if (number !== undefined) return new number();
  if (type === 'array') return new GuardedArray(schema, options);
  if (type === 'map') return new GuardedMap(schema, options);
  if (type !== 'record') return undefined;
  const record = new avsc.types.RecordType(schema, options);
  // Decoded records are then plain objects: comparable, cloneable, without methods among their properties.
  (record.recordConstructor as { prototype: object }).prototype = Object.prototype;
  return record;
};

function compile(schema: unknown, wrapUnions: 'never' | 'always'): avsc.Type {
  // Fresh options each time: avsc keeps the names it has seen in them.
  const options = { wrapUnions, omitRecordMethods: true, typeHook: guards };
  return avsc.Type.forSchema(schema as Parameters<typeof avsc.Type.forSchema>[0], options);
}
