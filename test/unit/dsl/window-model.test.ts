/**
 * Goal: windowed aggregates are what the definition of their windows says. Method: random records, some late,
 * against models of a few lines that keep every record and know nothing of stores, clocks or ranges.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import type { EmitStrategy } from '../../../src/dsl/windowed-options.ts';
import { sessionWindows, slidingWindows, timeWindows } from '../../../src/dsl/windows.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { Rig, strings } from './support.ts';

interface Input {
  readonly key: string;
  readonly value: string;
  readonly timestamp: number;
}

const inputs = fc.array(
  fc.record({
    key: fc.constantFrom('a', 'aa', 'b'),
    value: fc.constantFrom('x', 'y', 'z'),
    timestamp: fc.integer({ min: 20, max: 120 }),
  }),
  { maxLength: 40 },
);

type Windows =
  | ReturnType<typeof timeWindows>
  | ReturnType<typeof slidingWindows>
  | ReturnType<typeof sessionWindows>;

/** What each input brings out. Values are concatenated, so that order and repetition show. */
async function outputsOf(
  windows: Windows,
  emit: EmitStrategy,
  records: readonly Input[],
  retentionMs?: number,
): Promise<string[][]> {
  const builder = new StreamsBuilder();
  const group = builder.stream<string, string>('in', strings).groupByKey();
  const concat = (one: string, other: string): string => `${one}${other}`;
  const table =
    windows.type === 'session'
      ? group
          .windowedBy(windows)
          .emitStrategy(emit)
          .reduce(concat, retentionMs === undefined ? {} : { materialized: { retentionMs } })
      : group.windowedBy(windows).emitStrategy(emit).reduce(concat);
  table
    .toStream()
    .map(({ key, window }, value) => [`${key}[${window.startMs}..${window.endMs}]`, value])
    .to('out', { keySerde: stringSerde, valueSerde: stringSerde });
  const rig = await Rig.open(builder.build());
  const outputs: string[][] = [];
  for (const { key, value, timestamp } of records) {
    await rig.pipe('in', key, value, timestamp);
    outputs.push(rig.read('out'));
  }
  await rig.close();
  return outputs;
}

interface Row {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly value: string;
  readonly timestamp: number;
}

function text({ key, start, end, value, timestamp }: Row): string {
  return `${key}[${start}..${end}]=${value}@${timestamp}`;
}

/** Each window is the records of its key and span that came in time, in order of arrival. */
function timeModel(windows: ReturnType<typeof timeWindows>, emit: EmitStrategy, records: readonly Input[]) {
  const { sizeMs, advanceMs, graceMs } = windows;
  const rows = new Map<string, Row>();
  let time = -1;
  return records.map(({ key, value, timestamp }) => {
    time = Math.max(time, timestamp);
    const changed: Row[] = [];
    for (let start = 0; start <= timestamp; start += advanceMs) {
      const end = start + sizeMs;
      if (timestamp >= end || end <= time - graceMs) continue;
      const old = rows.get(`${key} ${start}`);
      const row = {
        key,
        start,
        end,
        value: `${old?.value ?? ''}${value}`,
        timestamp: Math.max(timestamp, old?.timestamp ?? -1),
      };
      rows.set(`${key} ${start}`, row);
      changed.push(row);
    }
    if (emit === 'onWindowUpdate') return changed.map(text);
    const closed = [...rows].filter(([, { end }]) => end <= time - graceMs);
    for (const [id] of closed) rows.delete(id);
    return closed
      .map(([, row]) => row)
      .sort((a, b) => a.start - b.start || (a.key < b.key ? -1 : 1))
      .map(text);
  });
}

/** Sessions as a list; a record takes those within the gap that are kept out and puts their union in. */
function sessionModel(
  windows: ReturnType<typeof sessionWindows>,
  emit: EmitStrategy,
  records: readonly Input[],
  retentionMs: number,
) {
  const { gapMs, graceMs } = windows;
  let sessions: Row[] = [];
  /** Of `sessions`, those that came out as final. */
  const final = new Set<Row>();
  let time = -1;
  return records.map(({ key, value, timestamp }) => {
    time = Math.max(time, timestamp);
    const closed = time - graceMs - gapMs;
    const near = sessions
      .filter((other) => other.key === key && other.end >= time - retentionMs)
      .filter(({ start, end }) => end >= timestamp - gapMs && start <= timestamp + gapMs)
      .sort((a, b) => a.end - b.end);
    const start = Math.min(timestamp, ...near.map((other) => other.start));
    const end = Math.max(timestamp, ...near.map((other) => other.end));
    const out: string[] = [];
    if (end >= closed) {
      const merged = near.map((other) => other.value).join('');
      const row = { key, start, end, value: `${merged}${value}`, timestamp: end };
      sessions = [...sessions.filter((other) => !near.includes(other)), row];
      if (start !== end)
        out.push(...near.map((other) => `${key}[${other.start}..${other.end}]=null@${other.end}`));
      out.push(text(row));
    }
    if (emit === 'onWindowUpdate') return out;
    const over = sessions.filter((other) => other.end < closed && !final.has(other));
    for (const other of over) final.add(other);
    return over.sort((a, b) => a.end - b.end || a.start - b.start || (a.key < b.key ? -1 : 1)).map(text);
  });
}

/** All windows that end at a record or begin after one, and what lies in them. */
function slidingModel(differenceMs: number, records: readonly Input[]): string[] {
  const windows = new Set<string>();
  for (const { key, timestamp } of records) {
    for (const start of [timestamp - differenceMs, timestamp + 1]) {
      const held = records
        .filter((other) => other.key === key)
        .filter((other) => other.timestamp >= start && other.timestamp <= start + differenceMs);
      if (held.length === 0) continue;
      const values = held.map((other) => other.value).sort();
      windows.add(`${key}[${start}..${start + differenceMs}]=${values.join('')}`);
    }
  }
  return [...windows].sort();
}

const grace = fc.constantFrom(0, 1, 15, 100);
const emit = fc.constantFrom<EmitStrategy>('onWindowUpdate', 'onWindowClose');

describe('windowed aggregates are what the definition of their windows says', () => {
  it('time windows', async () => {
    const sizes = fc.constantFrom({ sizeMs: 10 }, { sizeMs: 10, advanceMs: 3 }, { sizeMs: 7, advanceMs: 7 });
    await fc.assert(
      fc.asyncProperty(sizes, grace, emit, inputs, async (size, graceMs, strategy, records) => {
        const windows = timeWindows({ ...size, graceMs });
        const expected = timeModel(windows, strategy, records);
        assert.deepEqual(await outputsOf(windows, strategy, records), expected);
      }),
      { numRuns: 80 },
    );
  });

  it('sessions', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0, 1, 5, 12),
        grace,
        emit,
        fc.constantFrom(undefined, 0, 20),
        inputs,
        async (gapMs, graceMs, strategy, longerMs, records) => {
          const windows = sessionWindows({ gapMs, graceMs });
          const keptMs = gapMs + graceMs + (longerMs ?? 0);
          const expected = sessionModel(windows, strategy, records, keptMs);
          const retentionMs = longerMs === undefined ? undefined : keptMs;
          assert.deepEqual(await outputsOf(windows, strategy, records, retentionMs), expected);
        },
      ),
      { numRuns: 80 },
    );
  });

  it('sliding windows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(1, 5, 20), inputs, async (timeDifferenceMs, records) => {
        const windows = slidingWindows({ timeDifferenceMs, graceMs: 1_000 });
        const last = new Map<string, string>();
        for (const line of (await outputsOf(windows, 'onWindowUpdate', records)).flat()) {
          const [key = '', rest = ''] = line.split('=');
          last.set(key, (rest.split('@')[0] ?? '').split('').sort().join(''));
        }
        const found = [...last].map(([key, values]) => `${key}=${values}`).sort();
        assert.deepEqual(found, slidingModel(timeDifferenceMs, records));
      }),
      { numRuns: 80 },
    );
  });
});
