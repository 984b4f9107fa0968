/**
 * Avro schemas as a graph: parsed once, names resolved, references turned into identity. The compatibility
 * check (registry/compatibility.ts), the embedded registry's idea of "the same schema" and the rewriting of
 * a writer's schema before resolution (serde/avro-library.ts) all stand on it. It never reads or writes
 * values: that is avsc's work.
 *
 * Source: Apache Avro specification 1.12, "Schema Declaration", "Names", "Aliases".
 */
import { StreamsError } from './errors.ts';

const primitiveKinds = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'] as const;
export type PrimitiveKind = (typeof primitiveKinds)[number];

/** What a schema says beside its structure: logicalType, precision, order and whatever else is in the JSON. */
type Attributes = Readonly<Record<string, unknown>>;

export interface PrimitiveNode {
  readonly kind: PrimitiveKind;
  readonly attributes: Attributes;
}
export interface ArrayNode {
  readonly kind: 'array';
  readonly items: AvroNode;
  readonly attributes: Attributes;
}
export interface MapNode {
  readonly kind: 'map';
  readonly values: AvroNode;
  readonly attributes: Attributes;
}
export interface UnionNode {
  readonly kind: 'union';
  readonly branches: readonly AvroNode[];
}
/** Shape: `name` and `aliases` are full names (`shop.purchase.OrderPlaced`). */
interface Named {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly attributes: Attributes;
}
export interface RecordNode extends Named {
  readonly kind: 'record';
  readonly fields: readonly FieldNode[];
}
export interface EnumNode extends Named {
  readonly kind: 'enum';
  readonly symbols: readonly string[];
  readonly default: string | undefined;
}
export interface FixedNode extends Named {
  readonly kind: 'fixed';
  readonly size: number;
}
export interface FieldNode {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly type: AvroNode;
  /** Undefined: there is none. `{ value: null }` is the default null. */
  readonly default: { readonly value: unknown } | undefined;
  readonly attributes: Attributes;
}
export type NamedNode = RecordNode | EnumNode | FixedNode;
export type AvroNode = PrimitiveNode | ArrayNode | MapNode | UnionNode | NamedNode;

/** The part of a full name after its last dot. */
export function shortName(fullName: string): string {
  return fullName.slice(fullName.lastIndexOf('.') + 1);
}

export function namespaceOf(fullName: string): string {
  const dot = fullName.lastIndexOf('.');
  return dot < 0 ? '' : fullName.slice(0, dot);
}

/**
 * The graph of a schema given as JSON text.
 * Errors: SCHEMA_INVALID, naming the place in the schema.
 */
export function parseSchema(text: string): AvroNode {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new StreamsError('SCHEMA_INVALID', 'the schema is not JSON', { cause: error });
  }
  return new Parser().parse(json, '', '');
}

/** Like `parseSchema`, for a schema that must be a record, as everything in a topic of ours is. */
export function parseRecordSchema(text: string): RecordNode {
  const node = parseSchema(text);
  if (node.kind !== 'record') throw invalid('the schema is not a record', '');
  return node;
}

/** All named types of a schema, in the order in which they are declared. */
export function namedTypes(root: AvroNode): NamedNode[] {
  const found = new Set<NamedNode>();
  const visit = (node: AvroNode): void => {
    if (node.kind === 'array') visit(node.items);
    else if (node.kind === 'map') visit(node.values);
    else if (node.kind === 'union') node.branches.forEach(visit);
    else if (isNamed(node) && !found.has(node)) {
      found.add(node);
      if (node.kind === 'record') for (const field of node.fields) visit(field.type);
    }
  };
  visit(root);
  return [...found];
}

export function isNamed(node: AvroNode): node is NamedNode {
  return node.kind === 'record' || node.kind === 'enum' || node.kind === 'fixed';
}

/** How to write a graph back as JSON. */
export interface RenderOptions {
  /** False leaves out what only a reader needs: defaults and aliases. */
  readonly forReader?: boolean;
  /** New full names by old full name. */
  readonly rename?: ReadonlyMap<string, string>;
}

/**
 * The graph as JSON value: names in full, references by name, `{"type":"int"}` collapsed, properties in a
 * fixed order. Two texts of one schema that differ only in spelling render alike.
 */
export function renderSchema(root: AvroNode, options: RenderOptions = {}): unknown {
  return new Renderer(options).render(root, '');
}

/** The schema's text in the one spelling that all texts of the same schema share; docs and defaults count. */
export function normalizedText(text: string): string {
  return JSON.stringify(renderSchema(parseSchema(text)));
}

const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;
const known: Readonly<Record<string, readonly string[]>> = {
  record: ['type', 'name', 'namespace', 'aliases', 'fields'],
  enum: ['type', 'name', 'namespace', 'aliases', 'symbols', 'default'],
  fixed: ['type', 'name', 'namespace', 'aliases', 'size'],
  array: ['type', 'items'],
  map: ['type', 'values'],
  field: ['name', 'aliases', 'type', 'default'],
};

class Parser {
  readonly #names = new Map<string, NamedNode>();

  parse(json: unknown, namespace: string, at: string): AvroNode {
    if (typeof json === 'string') return this.#reference(json, namespace, at);
    if (Array.isArray(json)) return this.#union(json, namespace, at);
    if (!isObject(json)) throw invalid('a schema is a name, a list or an object', at);
    const { type } = json;
    if (typeof type !== 'string') {
      // {"type": {...}} and {"type": [...]} are legal wrappings that some generators write.
      if (type === undefined) throw invalid('an object without "type"', at);
      return this.parse(type, namespace, `${at}/type`);
    }
    if (type === 'record' || type === 'error') return this.#record(json, namespace, at);
    if (type === 'enum') return this.#enum(json, namespace, at);
    if (type === 'fixed') return this.#fixed(json, namespace, at);
    if (type === 'array') {
      const items = this.parse(json.items, namespace, `${at}/items`);
      return { kind: 'array', items, attributes: rest(json, 'array') };
    }
    if (type === 'map') {
      const values = this.parse(json.values, namespace, `${at}/values`);
      return { kind: 'map', values, attributes: rest(json, 'map') };
    }
    const node = this.#reference(type, namespace, at);
    return isNamed(node) ? node : ({ ...node, attributes: rest(json, 'type') } as PrimitiveNode);
  }

  #reference(name: string, namespace: string, at: string): AvroNode {
    if ((primitiveKinds as readonly string[]).includes(name))
      return { kind: name as PrimitiveKind, attributes: {} };
    const node = this.#names.get(qualify(name, namespace)) ?? this.#names.get(name);
    if (node === undefined) throw invalid(`the name ${name} is not declared before it is used`, at);
    return node;
  }

  #union(json: readonly unknown[], namespace: string, at: string): UnionNode {
    const branches = json.map((branch, index) => this.parse(branch, namespace, `${at}/${index}`));
    const seen = new Set<string>();
    for (const branch of branches) {
      if (branch.kind === 'union') throw invalid('a union directly inside a union', at);
      const label = isNamed(branch) ? branch.name : branch.kind;
      if (seen.has(label)) throw invalid(`the union has ${label} twice`, at);
      seen.add(label);
    }
    return { kind: 'union', branches };
  }

  #record(json: JsonObject, outer: string, at: string): RecordNode {
    const named = this.#named(json, outer, at);
    if (!Array.isArray(json.fields)) throw invalid(`record ${named.name} without "fields"`, at);
    const fields: FieldNode[] = [];
    const node: RecordNode = { kind: 'record', ...named, attributes: rest(json, 'record'), fields };
    this.#names.set(named.name, node);
    const namespace = namespaceOf(named.name);
    json.fields.forEach((field: unknown, index) => {
      fields.push(this.#field(field, namespace, `${at}/fields/${index}`));
    });
    const twice = fields.find(
      (field, index) => fields.findIndex((other) => other.name === field.name) !== index,
    );
    if (twice !== undefined) throw invalid(`record ${named.name} has the field ${twice.name} twice`, at);
    return node;
  }

  #field(json: unknown, namespace: string, at: string): FieldNode {
    if (!isObject(json) || typeof json.name !== 'string' || !namePattern.test(json.name)) {
      throw invalid('a field without a legal name', at);
    }
    if (json.type === undefined) throw invalid(`field ${json.name} without "type"`, at);
    return {
      name: json.name,
      aliases: texts(json.aliases, `${at}/aliases`),
      type: this.parse(json.type, namespace, `${at}/type`),
      default: 'default' in json ? { value: json.default } : undefined,
      attributes: rest(json, 'field'),
    };
  }

  #enum(json: JsonObject, outer: string, at: string): EnumNode {
    const named = this.#named(json, outer, at);
    const symbols = texts(json.symbols, `${at}/symbols`);
    if (new Set(symbols).size !== symbols.length) throw invalid(`enum ${named.name} has a symbol twice`, at);
    const illegal = symbols.find((symbol) => !namePattern.test(symbol));
    if (illegal !== undefined) throw invalid(`enum ${named.name} has the illegal symbol ${illegal}`, at);
    const fallback = json.default;
    if (fallback !== undefined && !(typeof fallback === 'string' && symbols.includes(fallback))) {
      throw invalid(`the default of enum ${named.name} is not one of its symbols`, at);
    }
    const node: EnumNode = {
      kind: 'enum',
      ...named,
      attributes: rest(json, 'enum'),
      symbols,
      default: fallback,
    };
    this.#names.set(named.name, node);
    return node;
  }

  #fixed(json: JsonObject, outer: string, at: string): FixedNode {
    const named = this.#named(json, outer, at);
    const { size } = json;
    if (typeof size !== 'number' || !Number.isInteger(size) || size < 0) {
      throw invalid(`fixed ${named.name} without a size`, at);
    }
    const node: FixedNode = { kind: 'fixed', ...named, attributes: rest(json, 'fixed'), size };
    this.#names.set(named.name, node);
    return node;
  }

  #named(json: JsonObject, outer: string, at: string): Pick<Named, 'name' | 'aliases'> {
    if (typeof json.name !== 'string') throw invalid(`a ${String(json.type)} without a name`, at);
    const own = typeof json.namespace === 'string' ? json.namespace : outer;
    const name = qualify(json.name, own);
    if (!name.split('.').every((part) => namePattern.test(part)))
      throw invalid(`${name} is not a legal name`, at);
    if (this.#names.has(name)) throw invalid(`the name ${name} is declared twice`, at);
    const namespace = namespaceOf(name);
    return { name, aliases: texts(json.aliases, `${at}/aliases`).map((alias) => qualify(alias, namespace)) };
  }
}

class Renderer {
  readonly #options: RenderOptions;
  readonly #written = new Set<NamedNode>();

  constructor(options: RenderOptions) {
    this.#options = options;
  }

  render(node: AvroNode, namespace: string): unknown {
    if (node.kind === 'union') return node.branches.map((branch) => this.render(branch, namespace));
    if (node.kind === 'array') {
      return { type: 'array', items: this.render(node.items, namespace), ...sorted(node.attributes) };
    }
    if (node.kind === 'map') {
      return { type: 'map', values: this.render(node.values, namespace), ...sorted(node.attributes) };
    }
    if (isNamed(node)) return this.#renderNamed(node, namespace);
    return Object.keys(node.attributes).length === 0
      ? node.kind
      : { type: node.kind, ...sorted(node.attributes) };
  }

  #renderNamed(node: NamedNode, outer: string): unknown {
    const name = this.#options.rename?.get(node.name) ?? node.name;
    if (this.#written.has(node)) return name;
    this.#written.add(node);
    const forReader = this.#options.forReader ?? true;
    const namespace = namespaceOf(name);
    const head = {
      type: node.kind,
      name,
      ...(namespace === '' && outer !== '' ? { namespace: '' } : {}),
      ...(forReader && node.aliases.length > 0 ? { aliases: [...node.aliases].sort() } : {}),
    };
    const tail = sorted(node.attributes);
    if (node.kind === 'fixed') return { ...head, size: node.size, ...tail };
    if (node.kind === 'enum') {
      const fallback = forReader && node.default !== undefined ? { default: node.default } : {};
      return { ...head, symbols: node.symbols, ...fallback, ...tail };
    }
    return {
      ...head,
      fields: node.fields.map((field) => this.#renderField(field, namespace, forReader)),
      ...tail,
    };
  }

  #renderField(field: FieldNode, namespace: string, forReader: boolean): unknown {
    return {
      name: field.name,
      type: this.render(field.type, namespace),
      ...(forReader && field.default !== undefined ? { default: field.default.value } : {}),
      ...(forReader && field.aliases.length > 0 ? { aliases: [...field.aliases].sort() } : {}),
      ...sorted(field.attributes),
    };
  }
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(json: unknown): json is JsonObject {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}

function qualify(name: string, namespace: string): string {
  return name.includes('.') || namespace === '' ? name : `${namespace}.${name}`;
}

function texts(json: unknown, at: string): string[] {
  if (json === undefined) return [];
  if (Array.isArray(json) && json.every((item) => typeof item === 'string')) return json;
  throw invalid('not a list of names', at);
}

function rest(json: JsonObject, kind: string): Attributes {
  const names = known[kind] ?? [kind];
  return Object.fromEntries(Object.entries(json).filter(([name]) => !names.includes(name)));
}

function sorted(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function invalid(sentence: string, at: string): StreamsError {
  return new StreamsError('SCHEMA_INVALID', sentence, { context: { at: at === '' ? '/' : at } });
}
