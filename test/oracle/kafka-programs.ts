/**
 * Three programs of the DSL that also exist in Java (test/oracle/java/BrokerPrograms.java), and the inputs on which
 * both must come to the same end, however two instances, a kill and the timing of reads cut the work. Used by the
 * comparison on a real broker (kafka-programs.int.test.ts) and by its worker processes. Pure.
 *
 * What makes the results determined:
 * - Inputs come in waves; the next is written when both runtimes have committed all of the one before.
 * - windowed count: one topic, so each task sees one order, late records included. Every update is determined.
 * - left join: two topics, and which of them is read first nobody says. A record whose window is over (grace or not)
 *   comes out alone at once when its partner has not come yet, and joins it later all the same. So within a wave
 *   no record is older than its window, counted from the newest; the next wave ends the windows of all that
 *   is unmatched, with a record on both sides of every partition. What is late on purpose meets only records of
 *   earlier waves. Determined is which results come out, not their order.
 * - foreign-key join: which side of a row changed last, so far as the join saw it, decides what comes out in between
 *   and the last row's timestamp. Determined is the last row's value; the last wave, one change of each row of the
 *   right side alone, determines the timestamps too.
 */
import {
  longSerde,
  StreamsBuilder,
  stringSerde,
  type Topology,
  timeWindowedSerde,
  timeWindows,
} from '#streams';
import type { Random } from '../../src/base/clock-port.ts';
import { partitionForKey } from '../../src/base/murmur2.ts';
import { pick } from './generate-inputs.ts';

export const programNames = ['windowed-count', 'left-join', 'foreign-key-join'] as const;
export type ProgramName = (typeof programNames)[number];

/** A program on its topics. `right`: of the joins. */
export interface KafkaProgram {
  readonly name: ProgramName;
  readonly left: string;
  readonly right: string;
  readonly output: string;
}

export interface ProgramInput {
  readonly side: 'left' | 'right';
  readonly key: string;
  readonly value: string | null;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

export const windowSizeMs = 10_000;
const windowGraceMs = 5_000;
const joinWindow = { beforeMs: 10_000, afterMs: 30_000, graceMs: 20_000 };
const strings = { keySerde: stringSerde, valueSerde: stringSerde };
const startMs = 1_700_000_000_000;

export function kafkaTopology(program: KafkaProgram): Topology {
  const builder = new StreamsBuilder();
  if (program.name === 'windowed-count') windowedCount(builder, program);
  else if (program.name === 'left-join') leftJoin(builder, program);
  else foreignKeyJoin(builder, program);
  return builder.build();
}

function windowedCount(builder: StreamsBuilder, { left, output }: KafkaProgram): void {
  builder
    .stream<string, string>(left, strings)
    .groupByKey()
    .windowedBy(timeWindows({ sizeMs: windowSizeMs, graceMs: windowGraceMs }))
    .count()
    .toStream()
    .to(output, { keySerde: timeWindowedSerde(stringSerde, windowSizeMs), valueSerde: longSerde });
}

function leftJoin(builder: StreamsBuilder, { left, right, output }: KafkaProgram): void {
  builder
    .stream<string, string>(left, strings)
    .leftJoin(builder.stream<string, string>(right, strings), (l, r) => `${l}+${r}`, joinWindow)
    .to(output, strings);
}

function foreignKeyJoin(builder: StreamsBuilder, { left, right, output }: KafkaProgram): void {
  builder
    .table<string, string>(left, strings)
    .leftJoin(builder.table<string, string>(right, strings), (l, r) => `(${l},${r})`, {
      foreignKeyExtractor: (value) => value.split('|')[1] || null,
    })
    .toStream()
    .to(output, strings);
}

/** The waves of a program's inputs. `partitions`: of its topics. */
export function programWaves(name: ProgramName, random: Random, partitions: number): ProgramInput[][] {
  if (name === 'windowed-count') return [visits(random, 4_000)];
  if (name === 'left-join') return joinWaves(random, partitions);
  return [rows(random, 3_000, 0), rows(random, 1_000, 3_000), everyCustomer(4_000)];
}

function keysOf(letter: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${letter}-${n}`);
}

/** Stream time walks on; one in ten is older than its window's grace for sure, some of the others too. */
function visits(random: Random, count: number): ProgramInput[] {
  const keys = keysOf('visitor', 40);
  return Array.from({ length: count }, (_, n) => {
    const ageMs = random.integer(10) === 0 ? 60_000 : random.integer(20_000);
    return input('left', pick(random, keys), `v${n}`, startMs + 90_000 + n * 25 - ageMs);
  });
}

function joinWaves(random: Random, partitions: number): ProgramInput[][] {
  const early = pairs(random, 3_000, startMs);
  const again = pairs(random, 1_000, startMs + 170_000);
  // Older than window and grace. Keys of one side each: two that meet would make the result depend on who is first.
  const late = keysOf('order', 200).map((key, n) => {
    const side = n % 2 === 0 ? 'left' : 'right';
    return input(side, key, `late-${n}`, startMs + random.integer(joinWindow.afterMs));
  });
  return [
    early,
    closing(partitions, startMs + 200_000),
    [...again, ...late],
    closing(partitions, startMs + 500_000),
    closing(partitions, startMs + 900_000),
  ];
}

/** About two for each key, within the time of one window. */
function pairs(random: Random, count: number, fromMs: number): ProgramInput[] {
  const keys = keysOf('order', count / 2);
  return Array.from({ length: count }, (_, n) => {
    const side = random.integer(2) === 0 ? 'left' : 'right';
    const timestamp = fromMs + random.integer(joinWindow.afterMs);
    return input(side, pick(random, keys), `${side[0]}${fromMs}-${n}`, timestamp);
  });
}

/** A record on both sides of every partition, of keys that nobody else has. */
function closing(partitions: number, timestamp: number): ProgramInput[] {
  return Array.from({ length: partitions }, (_, partition) =>
    (['left', 'right'] as const).map((side) =>
      input(
        side,
        keyOfPartition(`closing-${side}-${timestamp}`, partition, partitions),
        'closing',
        timestamp,
      ),
    ),
  ).flat();
}

function keyOfPartition(prefix: string, partition: number, partitions: number): string {
  for (let n = 0; ; n++) {
    const key = `${prefix}-${n}`;
    if (partitionForKey(Buffer.from(key), partitions) === partition) return key;
  }
}

const [orders, customers] = [keysOf('order', 150), keysOf('customer', 30)];

/** Changes of both tables, deletions and rows without a foreign key among them. No two values of a row are equal. */
function rows(random: Random, count: number, first: number): ProgramInput[] {
  return Array.from({ length: count }, (_, i) => {
    const n = first + i;
    const isDeletion = random.integer(6) === 0;
    const timestamp = startMs + n * 10 - random.integer(1_000);
    if (random.integer(4) === 0)
      return input('right', pick(random, customers), isDeletion ? null : `c${n}`, timestamp);
    const customer = random.integer(8) === 0 ? '' : pick(random, customers);
    return input('left', pick(random, orders), isDeletion ? null : `o${n}|${customer}`, timestamp);
  });
}

function everyCustomer(first: number): ProgramInput[] {
  return customers.map((customer, i) => {
    const n = first + i;
    return input('right', customer, i % 5 === 0 ? null : `c${n}`, startMs + n * 10);
  });
}

function input(
  side: ProgramInput['side'],
  key: string,
  value: string | null,
  timestamp: number,
): ProgramInput {
  return { side, key, value, timestamp };
}
