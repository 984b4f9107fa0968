/**
 * Random inputs that look for trouble: out of order and late, equal timestamps, nulls, few keys, and times that
 * lie exactly on the edges that a program's windows have. Called by generate-case.ts. Pure.
 */
import type { Random } from '../../src/base/clock-port.ts';
import type { VectorInput, VectorKey } from '../vectors/vector-case.ts';

export interface TopicInputs {
  readonly name: string;
  readonly keys: readonly (VectorKey | null)[];
  /** A value for the nth input of the case; null deletes. */
  value(n: number): string | null;
}

export interface InputPlan {
  readonly topics: readonly TopicInputs[];
  readonly count: number;
  readonly startMs: number;
  /** Distances at which something begins or ends for this program. */
  readonly edgesMs: readonly number[];
}

export function pick<T>(random: Random, items: readonly T[]): T {
  const item = items[random.integer(items.length)];
  if (item === undefined) throw new Error('there is nothing to pick from');
  return item;
}

/** True once in so many times. */
export function oneIn(random: Random, times: number): boolean {
  return random.integer(times) === 0;
}

/** Stream time walks on; each record lies at it, behind it, or moves it. */
export function generateInputs(random: Random, plan: InputPlan): VectorInput[] {
  const inputs: VectorInput[] = [];
  let streamTime = plan.startMs;
  for (let n = 0; n < plan.count; n++) {
    const topic = pick(random, plan.topics);
    const timestamp = Math.max(0, streamTime + step(random, plan.edgesMs));
    streamTime = Math.max(streamTime, timestamp);
    inputs.push({ topic: topic.name, key: pick(random, topic.keys), value: topic.value(n), timestamp });
  }
  return inputs;
}

/** How far from stream time the next record lies: mostly near, often exactly at an edge or one beside it. */
function step(random: Random, edgesMs: readonly number[]): number {
  const edge = pick(random, edgesMs);
  const within = random.integer(edge + 1);
  switch (random.integer(12)) {
    case 0:
    case 1:
      return 0;
    case 2:
    case 3:
      return 1 + random.integer(3);
    case 4:
    case 5:
      return within;
    case 6:
    case 7:
      return -within;
    case 8:
      return edge + random.integer(3) - 1;
    case 9:
      return -(edge + random.integer(3) - 1);
    case 10:
      return edge + pick(random, edgesMs) + random.integer(3) - 1;
    default:
      return oneIn(random, 3) ? 2 * Math.max(...edgesMs) + within : -(edge + pick(random, edgesMs));
  }
}
