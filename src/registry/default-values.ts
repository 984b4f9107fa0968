/**
 * Does each field's default fit the field's type? Servers ask that of new schemas, so the embedded registry
 * does too: a default that does not fit would surface only when an old record is read.
 *
 * Source: Apache Avro specification 1.12, table "field default values"; any branch of a union may match.
 */
import { type AvroNode, namedTypes } from '../base/avro-schema.ts';

/** A sentence about the first default that does not fit; undefined when all do. */
export function defaultProblem(root: AvroNode): string | undefined {
  for (const node of namedTypes(root)) {
    if (node.kind !== 'record') continue;
    for (const field of node.fields) {
      if (field.default === undefined || fits(field.type, field.default.value)) continue;
      return `the default ${JSON.stringify(field.default.value)} of ${node.name}.${field.name} does not fit its type`;
    }
  }
  return undefined;
}

function fits(node: AvroNode, value: unknown): boolean {
  switch (node.kind) {
    case 'null':
      return value === null;
    case 'boolean':
      return typeof value === 'boolean';
    case 'int':
      return Number.isInteger(value) && Math.abs(value as number) <= 2 ** 31;
    case 'long':
      return Number.isInteger(value);
    case 'float':
    case 'double':
      return typeof value === 'number';
    case 'string':
    case 'bytes':
      return typeof value === 'string';
    case 'fixed':
      return typeof value === 'string' && value.length === node.size;
    case 'enum':
      return typeof value === 'string' && node.symbols.includes(value);
    case 'array':
      return Array.isArray(value) && value.every((item) => fits(node.items, item));
    case 'map':
      return isObject(value) && Object.values(value).every((item) => fits(node.values, item));
    case 'record':
      return (
        isObject(value) &&
        node.fields.every((field) => {
          const own = value[field.name];
          return own === undefined ? field.default !== undefined : fits(field.type, own);
        })
      );
    case 'union':
      return node.branches.some((branch) => fits(branch, value));
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
