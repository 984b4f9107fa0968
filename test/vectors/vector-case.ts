/**
 * The form of a file of recorded results (`meta` in each file explains every field): cases with inputs and,
 * for each input, the records that Kafka Streams emitted. Only types and the reading of a file; what a case
 * means as a program is in *-programs.ts.
 */
import { readFileSync } from 'node:fs';
import type { Serde, Topology } from '#streams';

export type VectorKey = number | string;

export interface VectorInput {
  readonly topic: string;
  readonly key: VectorKey | null;
  readonly value: string | null;
  readonly timestamp: number;
}

/** Of a windowed result the key is that of the group. Units: milliseconds since the epoch. */
export interface VectorOutput {
  readonly key: VectorKey | null;
  readonly windowStart?: number;
  readonly windowEnd?: number;
  readonly value: string | number | null;
  readonly timestamp: number;
}

/** `expected[i]`: what comes out as a result of `inputs[i]`. */
export type ExpectedOutputs = readonly (readonly VectorOutput[])[];

export interface VectorStore {
  readonly type: 'unversioned' | 'versioned';
  readonly historyRetentionMs?: number;
}

export type JoinName = 'inner' | 'left' | 'outer';

export type VectorWindows =
  | { readonly type: 'tumbling'; readonly sizeMs: number; readonly graceMs: number }
  | {
      readonly type: 'hopping';
      readonly sizeMs: number;
      readonly advanceMs: number;
      readonly graceMs: number;
    }
  | { readonly type: 'sliding'; readonly timeDifferenceMs: number; readonly graceMs: number }
  | { readonly type: 'session'; readonly gapMs: number; readonly graceMs: number }
  | { readonly type: 'unlimited'; readonly startMs?: number };

export interface VectorSuppress {
  readonly untilWindowCloses?: boolean;
  readonly untilTimeLimitMs?: number | 'infinite';
  readonly maxRecords?: number;
  readonly whenFull?: 'emitEarly' | 'shutDown';
}

export interface VectorCase {
  readonly name: string;
  readonly kind: string;
  readonly keyType: 'int64' | 'int32' | 'string';
  readonly inputs: readonly VectorInput[];
  readonly expected: ExpectedOutputs;
  /** What a runtime without the reference's defect emits. */
  readonly strictExpected?: ExpectedOutputs;
  readonly quirk?: string;
  readonly unorderedWithinInput?: boolean;
  /** Of joins. */
  readonly separator?: string;
  readonly join?: JoinName;
  readonly thenJoin?: JoinName;
  readonly window?: { readonly beforeMs: number; readonly afterMs: number; readonly graceMs: number };
  readonly repartition?: boolean;
  readonly optimize?: string;
  readonly joinGraceMs?: number;
  readonly leftStore?: VectorStore;
  readonly rightStore?: VectorStore;
  readonly extractor?: string;
  /** Of aggregates. */
  readonly windows?: VectorWindows;
  readonly aggregate?: 'count' | 'reduce' | 'aggregate';
  readonly emit?: 'on-update' | 'on-window-close';
  readonly suppress?: VectorSuppress;
  readonly retentionMs?: number;
  readonly groupBy?: 'key' | 'value' | 'nullKeyMap';
  readonly store?: VectorStore;
}

/** A case as a topology that writes its results to the topic `output`. */
export interface VectorProgram {
  readonly topology: Topology;
  /** Of an input topic; values are always text. */
  keySerde(topic: string): Serde<unknown>;
  readonly outputKeySerde: Serde<unknown>;
  readonly outputValueSerde: Serde<unknown>;
  /** The result's key as the file writes it; by default it is the key. */
  outputKey?(key: unknown): Pick<VectorOutput, 'key' | 'windowStart' | 'windowEnd'>;
}

export type ProgramBuilder = (vector: VectorCase) => VectorProgram;

/** Thrown for a case that no program can be made for yet. */
export class NotBuilt extends Error {
  constructor(what: string) {
    super(`nobody has built ${what} yet`);
    this.name = 'NotBuilt';
  }
}

/** A field that cases of this kind must have. */
export function field<T>(vector: VectorCase, name: keyof VectorCase): T {
  const value = vector[name];
  if (value === undefined) throw new Error(`a case of kind ${vector.kind} needs the field ${name}`);
  return value as T;
}

type RawCase = Omit<VectorCase, 'inputs'> & {
  readonly inputs?: readonly VectorInput[];
  readonly inputsRef?: string;
};

/** The cases of a parsed file. Errors: it is no such file, or a case names inputs that it does not have. */
export function casesOf(data: unknown): VectorCase[] {
  const { cases, inputSets = {} } = (data ?? {}) as {
    readonly cases?: readonly RawCase[];
    readonly inputSets?: Readonly<Record<string, readonly VectorInput[]>>;
  };
  if (!Array.isArray(cases)) throw new Error('the file has no list "cases"');
  return (cases as readonly RawCase[]).map((raw) => {
    const inputs = raw.inputs ?? inputSets[raw.inputsRef ?? ''];
    if (inputs === undefined) throw new Error(`case ${raw.name} has no inputs`);
    return { ...raw, inputs };
  });
}

export function readVectors(file: string): VectorCase[] {
  return casesOf(JSON.parse(readFileSync(file, 'utf8')));
}
