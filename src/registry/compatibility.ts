/**
 * Can a reader's schema read what a writer's schema wrote? The same verdicts and reasons as Apache Avro
 * Java's SchemaCompatibility, which Confluent's registry uses, and the registry's levels on top. Called by
 * the embedded registry on every registration and by the HTTP registry to say why a server refused. Pure;
 * it knows neither a registry nor values, and logical types do not count (as in Java).
 *
 * Source: org.apache.avro.SchemaCompatibility (1.12.1); Confluent's CompatibilityChecker.
 */
import {
  type AvroNode,
  type EnumNode,
  type FieldNode,
  isNamed,
  type NamedNode,
  type RecordNode,
  shortName,
} from '../base/avro-schema.ts';
import type { CompatibilityLevel } from '../base/registry-port.ts';

export type IncompatibilityKind =
  | 'NAME_MISMATCH'
  | 'FIXED_SIZE_MISMATCH'
  | 'MISSING_ENUM_SYMBOLS'
  | 'READER_FIELD_MISSING_DEFAULT_VALUE'
  | 'TYPE_MISMATCH'
  | 'MISSING_UNION_BRANCH'
  | 'AMBIGUOUS_FIELD';

/** Shape: `at` is a JSON pointer into the reader's schema, except union branches: those are the writer's. */
export interface Incompatibility {
  readonly kind: IncompatibilityKind;
  readonly at: string;
  readonly message: string;
}

/** Why `reader` cannot read what `writer` wrote; empty when it can. */
export function checkPair(reader: AvroNode, writer: AvroNode): Incompatibility[] {
  return new PairCheck().check(reader, writer, '');
}

/** A reason with the version of the history that it is about. */
export interface LevelIncompatibility extends Incompatibility {
  /** Index into the history, oldest version 0. */
  readonly version: number;
  /** `backward`: the candidate cannot read the version; `forward`: the other way round. */
  readonly direction: 'backward' | 'forward';
}

/** Why the candidate may not follow this history (oldest first) at this level; empty when it may. */
export function checkLevel(
  level: CompatibilityLevel,
  candidate: AvroNode,
  history: readonly AvroNode[],
): LevelIncompatibility[] {
  if (level === 'NONE') return [];
  const from = level.endsWith('_TRANSITIVE') ? 0 : Math.max(0, history.length - 1);
  const backward = level.startsWith('BACKWARD') || level.startsWith('FULL');
  const forward = level.startsWith('FORWARD') || level.startsWith('FULL');
  const found: LevelIncompatibility[] = [];
  for (const [version, old] of history.entries()) {
    if (version < from) continue;
    if (backward)
      for (const why of checkPair(candidate, old)) found.push({ ...why, version, direction: 'backward' });
    if (forward)
      for (const why of checkPair(old, candidate)) found.push({ ...why, version, direction: 'forward' });
  }
  return found;
}

/** The reasons as one sentence for an error message. */
export function describeIncompatibilities(found: readonly LevelIncompatibility[]): string {
  const lines = found.map(({ kind, at, message, version, direction }) => {
    const who =
      direction === 'backward'
        ? `cannot read version ${version + 1}`
        : `version ${version + 1} cannot read it`;
    return `${who}: ${kind} at ${at}, ${message}`;
  });
  return [...new Set(lines)].join('; ');
}

const promotions: Readonly<Partial<Record<AvroNode['kind'], readonly AvroNode['kind'][]>>> = {
  long: ['int'],
  float: ['int', 'long'],
  double: ['int', 'long', 'float'],
  bytes: ['string'],
  string: ['bytes'],
};

class PairCheck {
  /** Pairs under way or done. A pair under way counts as compatible, which is how recursion ends. */
  readonly #known = new Map<AvroNode, Map<AvroNode, Incompatibility[]>>();

  check(reader: AvroNode, writer: AvroNode, at: string): Incompatibility[] {
    let byWriter = this.#known.get(reader);
    if (byWriter === undefined) {
      byWriter = new Map();
      this.#known.set(reader, byWriter);
    }
    const before = byWriter.get(writer);
    if (before !== undefined) return before;
    byWriter.set(writer, []);
    const found = this.#compare(reader, writer, at);
    byWriter.set(writer, found);
    return found;
  }

  #compare(reader: AvroNode, writer: AvroNode, at: string): Incompatibility[] {
    if (reader.kind === 'union' && writer.kind === 'union') {
      return writer.branches.flatMap((branch, index) =>
        this.#readable(reader, branch) ? [] : [missingBranch(branch, `${at}/${index}`)],
      );
    }
    if (writer.kind === 'union') {
      return writer.branches.flatMap((branch, index) => this.check(reader, branch, `${at}/${index}`));
    }
    if (reader.kind === 'union') {
      const some = reader.branches.some((branch) => this.#readable(branch, writer));
      return some ? [] : [missingBranch(writer, at)];
    }
    if (reader.kind === 'array' && writer.kind === 'array')
      return this.check(reader.items, writer.items, `${at}/items`);
    if (reader.kind === 'map' && writer.kind === 'map')
      return this.check(reader.values, writer.values, `${at}/values`);
    if (reader.kind === 'record' && writer.kind === 'record') {
      return [...nameMismatch(reader, writer, at), ...this.#fields(reader, writer, at)];
    }
    if (reader.kind === 'enum' && writer.kind === 'enum') {
      return [...nameMismatch(reader, writer, at), ...missingSymbols(reader, writer, at)];
    }
    if (reader.kind === 'fixed' && writer.kind === 'fixed') {
      const size = `expected ${reader.size} bytes, found ${writer.size}`;
      const sizes = reader.size === writer.size ? [] : [because('FIXED_SIZE_MISMATCH', `${at}/size`, size)];
      return [...nameMismatch(reader, writer, at), ...sizes];
    }
    if (reader.kind === writer.kind || promotions[reader.kind]?.includes(writer.kind)) return [];
    return [because('TYPE_MISMATCH', at, `a reader's ${reader.kind} cannot take a writer's ${writer.kind}`)];
  }

  #readable(reader: AvroNode, writer: AvroNode): boolean {
    return this.check(reader, writer, '').length === 0;
  }

  #fields(reader: RecordNode, writer: RecordNode, at: string): Incompatibility[] {
    return reader.fields.flatMap((field, index) => {
      const place = `${at}/fields/${index}`;
      const names = [field.name, ...field.aliases];
      const sources = writer.fields.filter((other) => names.includes(other.name));
      if (sources.length > 1) {
        const hits = sources.map((source) => source.name).join(', ');
        return [
          because('AMBIGUOUS_FIELD', place, `${field.name} and its aliases name several fields: ${hits}`),
        ];
      }
      const source = sources[0];
      if (source !== undefined) return this.check(field.type, source.type, `${place}/type`);
      return this.#withoutSource(field, writer, place);
    });
  }

  #withoutSource(field: FieldNode, writer: RecordNode, place: string): Incompatibility[] {
    if (field.default !== undefined) return [];
    // Java's detour: an enum's own default is tried, against the writer's record, and never fits.
    if (field.type.kind === 'enum' && field.type.default !== undefined) {
      return this.check(field.type, writer, `${place}/type`);
    }
    const message = `the field ${field.name} is new and has no default`;
    return [because('READER_FIELD_MISSING_DEFAULT_VALUE', place, message)];
  }
}

function nameMismatch(reader: NamedNode, writer: NamedNode, at: string): Incompatibility[] {
  if (shortName(reader.name) === shortName(writer.name) || reader.aliases.includes(writer.name)) return [];
  return [because('NAME_MISMATCH', `${at}/name`, `expected ${writer.name}, found ${reader.name}`)];
}

function missingSymbols(reader: EnumNode, writer: EnumNode, at: string): Incompatibility[] {
  const missing = writer.symbols.filter((symbol) => !reader.symbols.includes(symbol)).sort();
  if (missing.length === 0 || reader.default !== undefined) return [];
  const message = `symbols that ${reader.name} lacks: ${missing.join(', ')}`;
  return [because('MISSING_ENUM_SYMBOLS', `${at}/symbols`, message)];
}

function missingBranch(writer: AvroNode, at: string): Incompatibility {
  const label = isNamed(writer) ? writer.name : writer.kind;
  return because('MISSING_UNION_BRANCH', at, `the reader's union has no branch for ${label}`);
}

function because(kind: IncompatibilityKind, at: string, message: string): Incompatibility {
  return { kind, at: at === '' ? '/' : at, message };
}
