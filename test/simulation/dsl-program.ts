/**
 * What a program of the DSL workload is to its simulation, and the inputs that programs are given. The families are
 * in dsl-exact-families.ts, dsl-table-families.ts, dsl-strict-family.ts and dsl-async-family.ts. Pure.
 */
import { type Clock, partitionForKey, type Random, stringSerde, type Topology } from '#streams';
import type { CommittedRecord, SimulationInput, SimulationOptions } from '#streams/testing';
import { generateInputs, oneIn, pick, type TopicInputs } from '../oracle/generate-inputs.ts';

/** What a run has left behind. */
export interface DslOutcome {
  /** Committed records by topic; partition after partition, each in offset order. */
  readonly records: ReadonlyMap<string, readonly CommittedRecord[]>;
  /** Entries by store, sorted by their keys' bytes. */
  readonly stores: ReadonlyMap<string, readonly { readonly key: Buffer; readonly value: Buffer }[]>;
}

export interface DslProgram
  extends Pick<SimulationOptions, 'topics' | 'inputs' | 'opening' | 'closing' | 'awaited'> {
  readonly family: string;
  readonly topology: (clock: Clock) => Topology;
  /** What is wrong with a run, beside one without faults of the same program. */
  readonly judge: (outcome: DslOutcome, undisturbed: DslOutcome) => readonly string[];
}

export const strings = { keySerde: stringSerde, valueSerde: stringSerde };
export const outTopic = 'out';
/** A value of a table's side of a topic that deletes. */
export const deletion = '~';

const keys = ['a', 'ab', 'b', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7'];

/** Few enough that they meet, enough for every partition. */
export function someKeys(random: Random): string[] {
  return keys.slice(0, 3 + random.integer(keys.length - 2));
}

export interface InputPlan {
  readonly topics: readonly TopicInputs[];
  readonly edgesMs: readonly number[];
  readonly count: number;
  /** Where the records of a topic of the plan go. */
  readonly topicOf: (name: string) => string;
  readonly partitionsOf: (topic: string) => number;
}

/** The moments at which a run's inputs come, and the time that they tell: often out of order, often late. */
export function drawInputs(random: Random, plan: InputPlan): SimulationInput[] {
  const overMs = 1_200 + random.integer(1_200);
  const startMs = pick(random, [1, 1_000, 1_600_000_000_000]);
  const generated = generateInputs(random, { ...plan, startMs });
  return generated.map(({ topic: name, key, value, timestamp }, index) => {
    const topic = plan.topicOf(name);
    const input = inputOf(topic, key === null ? null : String(key), value, plan.partitionsOf(topic));
    return {
      ...input,
      // A record without key may lie anywhere.
      ...(key === null ? { partition: random.integer(plan.partitionsOf(topic)) } : {}),
      atMs: Math.floor((index * overMs) / plan.count),
      timestamp,
      headers: oneIn(random, 4) ? [{ key: 'n', value: Buffer.from(String(index)) }] : [],
    };
  });
}

/** Where Kafka's producer puts it. */
export function inputOf(
  topic: string,
  key: string | null,
  value: string | null,
  partitions: number,
): SimulationInput {
  const keyBytes = key === null ? null : Buffer.from(key);
  return {
    atMs: 0,
    topic,
    partition: keyBytes === null ? 0 : partitionForKey(keyBytes, partitions),
    key: keyBytes,
    value: value === null ? null : Buffer.from(value),
  };
}

/** Keys of windows are text after their own key; what one task writes stays in one partition. */
export function partitionOfOwnKey(_topic: string, key: unknown, _value: unknown, partitions: number): number {
  return key === null ? 0 : partitionForKey(Buffer.from(String(key).split('@')[0] ?? ''), partitions);
}
