/**
 * Async steps as the graph knows them: what a step is told about a call, what the task must know to make the
 * calls, and where such a step may stand. Set by the DSL, read by src/task/async-steps.ts. Pure: the calls
 * themselves, and their promises, are the task's.
 *
 * A call is made ahead of its record's turn, from the record alone. So above a step there are only operators
 * that compute the same from the same record: no stores, nothing hand-written.
 */
import type { Serde } from '../serde/serde.ts';
import type { Processor, Record, RecordMetadata } from './processor.ts';

/** What a call is told beside its record. */
export interface AsyncCall extends RecordMetadata {
  /**
   * The same whenever this call is made again: after a time-out, a crash, on another instance. Give it to the
   * service that is called. Made of application, step, topic, partition and offset.
   */
  readonly idempotencyKey: string;
  /** 1, 2 … since this instance began with the record. */
  readonly attempt: number;
  /** Aborted at the time-out, and when the task goes away: nobody waits for the result any longer. */
  readonly signal: AbortSignal;
}

/** When the tries are used up: park the record, end the instance, or go on as if the step had given nothing. */
export type CallReaction = 'dead-letter' | 'stop' | 'skip';

/** How a step's calls are made. Units: milliseconds; `concurrencyMax` per task. */
export interface AsyncStep {
  readonly concurrencyMax: number;
  readonly timeoutMs: number;
  /** Tries after the first one. */
  readonly retries: number;
  /** Before the first of them; doubled for each further one, up to `backoffMsMax`. */
  readonly backoffMs: number;
  readonly backoffMsMax: number;
  /** Tells which keys are equal: one call at a time for each. Undefined: keys do not matter. */
  readonly keySerde: Serde<unknown> | undefined;
  /** Undefined: as the application's failure policy says. */
  readonly onFailure: CallReaction | undefined;
}

/** What the supplier of a node with an `asyncStep` makes. `process` gets what `call` promised. */
export interface AsyncNodeProcessor extends Omit<Processor<unknown, unknown, unknown, unknown>, 'process'> {
  /** Shape: a promise of the result. */
  call(record: Record<unknown, unknown>, call: AsyncCall): unknown;
  process(record: Record<unknown, unknown>, result: unknown): void;
}

/** `ordinal`: which of the calls that one record makes at this step, from 0. */
export function idempotencyKey(
  applicationId: string,
  step: string,
  origin: RecordMetadata,
  ordinal: number,
): string {
  const { topic, partition, offset } = origin;
  return `${applicationId}/${step}/${topic}/${partition}/${offset}${ordinal === 0 ? '' : `/${ordinal}`}`;
}

/** Why a record's calls cannot be told ahead below this node; undefined when they can. */
export function obstacleToCalls(node: {
  readonly name: string;
  readonly stores: readonly string[];
  readonly handWritten: boolean;
}): string | undefined {
  if (node.stores.length > 0) return `${node.name} has state (${node.stores.join(', ')})`;
  if (node.handWritten) return `${node.name} is a hand-written processor`;
  return undefined;
}
