/**
 * The schema registry as the runtime sees it. Two adapters: registry/http-registry.ts (a server with
 * Confluent's REST API) and registry/embedded-registry.ts (the `schemas/` folder, in the process).
 */

/** One registered version. `schema` is the Avro schema as JSON text; `id` is unique in this registry. */
export interface RegisteredSchema {
  readonly id: number;
  readonly schema: string;
}

export type CompatibilityLevel =
  | 'NONE'
  | 'BACKWARD'
  | 'BACKWARD_TRANSITIVE'
  | 'FORWARD'
  | 'FORWARD_TRANSITIVE'
  | 'FULL'
  | 'FULL_TRANSITIVE';

export interface SchemaRegistry {
  /**
   * The schema with this id. Ids are immutable, so callers cache it for ever.
   * Errors: SCHEMA_UNKNOWN (the registry answered: no such id), REGISTRY_UNAVAILABLE (it did not answer).
   */
  schemaById(id: number): Promise<RegisteredSchema>;
  /**
   * The id under which the subject holds this very schema.
   * Errors: SUBJECT_UNKNOWN, SCHEMA_UNKNOWN (subject known, schema not registered under it), REGISTRY_UNAVAILABLE.
   */
  lookup(subject: string, schema: string): Promise<RegisteredSchema>;
  /** All live versions of the subject, oldest first; empty when the subject is unknown. */
  versions(subject: string): Promise<readonly RegisteredSchema[]>;
  /**
   * Registers a version (idempotent: the same schema gets the same id back). `level` is set on the
   * subject before its first version, and left alone otherwise.
   * Errors: SCHEMA_INVALID, SCHEMA_INCOMPATIBLE (with the registry's reasons), REGISTRY_UNAVAILABLE.
   */
  register(subject: string, schema: string, level?: CompatibilityLevel): Promise<RegisteredSchema>;
  close(): Promise<void>;
}
