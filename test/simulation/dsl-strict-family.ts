/**
 * Strict joins of two topics. In which order a task meets the records of its two inputs is up to fetches, but all of
 * them come within a second or two of the join's time and the grace is a minute, so none is late. Then what a strict
 * join promises says all: every pair once, and every other record of a preserved side once, alone. When the inputs
 * have gone silent only the wall clock moves the join's time on, by its durable idle timer, so the last records wait
 * for that. Order and window clock are not determined. Compared with the definition itself, as sorted lists.
 */
import { type Random, StreamsBuilder, stringSerde } from '#streams';
import type { CommittedRecord, SimulationInput } from '#streams/testing';
import { oneIn, pick } from '../oracle/generate-inputs.ts';
import { recordsOf, recordText, sameRecordsUnordered, text } from './dsl-checkers.ts';
import { type DslProgram, inputOf, outTopic, someKeys, strings } from './dsl-program.ts';

const graceMs = 60_000;

export function strictProgram(random: Random): DslProgram {
  const partitions = 1 + random.integer(3);
  const isOuter = oneIn(random, 2);
  const windows = {
    beforeMs: pick(random, [0, 5, 20, 100]),
    afterMs: pick(random, [0, 5, 20, 100]),
    graceMs,
  };
  const inputs = drawStrictInputs(random, partitions);
  const wanted = definition(inputs, windows, isOuter);
  const pair = (left: string | null, right: string | null): string => `${left}+${right}`;
  return {
    family: 'strict joins',
    topics: ['left', 'right', outTopic].map((name) => ({ name, partitions })),
    inputs,
    topology: () => {
      const builder = new StreamsBuilder();
      const left = builder.stream<string, string>('left', strings);
      const right = builder.stream<string, string>('right', strings);
      const joined = {
        ...strings,
        otherValueSerde: stringSerde,
        unmatched: 'strict',
        idleMs: 5_000,
      } as const;
      const result = isOuter
        ? left.outerJoin(right, pair, windows, joined)
        : left.leftJoin(right, pair, windows, joined);
      result.to(outTopic, strings);
      return builder.build();
    },
    awaited: async (view) => {
      const left = wanted.length - (await view.records(outTopic)).length;
      return left > 0 ? `${left} of ${wanted.length} results of the strict join are missing` : undefined;
    },
    judge: (outcome) => sameRecordsUnordered(outTopic, recordsOf(outcome, outTopic).map(recordText), wanted),
  };
}

function drawStrictInputs(random: Random, partitions: number): SimulationInput[] {
  const keys = someKeys(random);
  const count = 160;
  const overMs = 1_500;
  return Array.from({ length: count }, (_, n) => {
    const side = oneIn(random, 2) ? 'left' : 'right';
    const atMs = Math.floor((n * overMs) / count);
    return {
      ...inputOf(side, pick(random, keys), `${side[0]}${n}`, partitions),
      atMs,
      timestamp: 1_000_000 + atMs + random.integer(400) - 200,
    };
  });
}

/** Every pair within the window, and every record of a preserved side that is in none. */
function definition(
  inputs: readonly SimulationInput[],
  { beforeMs, afterMs }: { readonly beforeMs: number; readonly afterMs: number },
  isOuter: boolean,
): string[] {
  const result = (key: Buffer | null, value: string, timestamp: number): string =>
    recordText({ key, value: Buffer.from(value), timestamp, headers: [] } as unknown as CommittedRecord);
  const [left, right] = ['left', 'right'].map((side) => inputs.filter(({ topic }) => topic === side));
  const results: string[] = [];
  const matched = new Set<SimulationInput>();
  for (const one of left ?? []) {
    for (const other of right ?? []) {
      const aheadMs = (other.timestamp ?? 0) - (one.timestamp ?? 0);
      if (aheadMs < -beforeMs || aheadMs > afterMs || text(one.key) !== text(other.key)) continue;
      matched.add(one).add(other);
      const timestamp = Math.max(one.timestamp ?? 0, other.timestamp ?? 0);
      results.push(result(one.key, `${text(one.value)}+${text(other.value)}`, timestamp));
    }
  }
  for (const each of [...(left ?? []), ...(isOuter ? (right ?? []) : [])]) {
    if (matched.has(each)) continue;
    const value = each.topic === 'left' ? `${text(each.value)}+null` : `null+${text(each.value)}`;
    results.push(result(each.key, value, each.timestamp ?? 0));
  }
  return results;
}
