/**
 * Join results recorded from Kafka Streams 4.3.1, replayed on our operators: every case of the shared data
 * that this DSL can express. The data lies beside the project; a clone alone has the rules as cases of their
 * own in the other files of this folder.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, it } from 'mocha';
import type { KStream, KTable } from '../../../src/dsl/api.ts';
import { StreamsBuilder } from '../../../src/dsl/streams-builder.ts';
import { integerSerde, longSerde, type Serde, stringSerde } from '../../../src/serde/serde.ts';
import { TopologyTestDriver } from '../../../src/testing/topology-test-driver.ts';

type Key = number | string;
interface VectorRecord {
  readonly key: Key | null;
  readonly value: string | null;
  readonly timestamp: number;
}
type JoinName = 'inner' | 'left' | 'outer';
interface Vector {
  readonly name: string;
  readonly kind: string;
  readonly keyType: 'int64' | 'int32' | 'string';
  readonly separator: string;
  readonly join: JoinName;
  readonly thenJoin?: JoinName;
  readonly window?: { readonly beforeMs: number; readonly afterMs: number; readonly graceMs: number };
  readonly repartition?: boolean;
  readonly joinGraceMs?: number;
  readonly leftStore?: { readonly type: string };
  readonly rightStore?: { readonly type: string };
  readonly inputs?: readonly (VectorRecord & { readonly topic: string })[];
  readonly inputsRef?: string;
  readonly expected: readonly (readonly VectorRecord[])[];
}

const file = resolve('..', 'shared', 'kafka-streams-vectors', 'joins.json');
const keySerdes = { int64: longSerde, int32: integerSerde, string: stringSerde };

function streamJoin(
  how: JoinName,
  a: KStream<Key, string>,
  b: KStream<Key, string>,
  joiner: (left: string | null, right: string | null) => string,
  windows: NonNullable<Vector['window']>,
  keySerde: Serde<Key>,
): KStream<Key, string> {
  const joined = { keySerde, valueSerde: stringSerde, otherValueSerde: stringSerde };
  if (how === 'inner') return a.join(b, joiner, windows, joined);
  return how === 'left' ? a.leftJoin(b, joiner, windows, joined) : a.outerJoin(b, joiner, windows, joined);
}

function tableJoin(
  how: JoinName,
  a: KTable<Key, string>,
  b: KTable<Key, string>,
  joiner: (left: string | null, right: string | null) => string,
): KTable<Key, string> {
  if (how === 'inner') return a.join(b, joiner);
  return how === 'left' ? a.leftJoin(b, joiner) : a.outerJoin(b, joiner);
}

function resultOf(vector: Vector, builder: StreamsBuilder): KStream<Key, string | null> {
  const keySerde = keySerdes[vector.keyType] as unknown as Serde<Key>;
  const serdes = { keySerde, valueSerde: stringSerde };
  const joiner = (left: string | null, right: string | null) => `${left}${vector.separator}${right}`;
  if (vector.kind === 'table-table') {
    const [left, right] = [builder.table('left', serdes), builder.table('right', serdes)];
    const first = tableJoin(vector.join, left, right, joiner);
    return (
      vector.thenJoin === undefined ? first : tableJoin(vector.thenJoin, first, right, joiner)
    ).toStream();
  }
  const left = builder.stream('left', serdes);
  if (vector.kind === 'stream-table') {
    const right = builder.table('right', serdes);
    return vector.join === 'inner' ? left.join(right, joiner) : left.leftJoin(right, joiner);
  }
  const right = vector.kind === 'stream-stream-self' ? left : builder.stream('right', serdes);
  const rekey = (stream: KStream<Key, string>): KStream<Key, string> =>
    vector.repartition === true ? stream.map((key, value) => [key, value]) : stream;
  const windows = vector.window!;
  const first = streamJoin(vector.join, rekey(left), rekey(right), joiner, windows, keySerde);
  if (vector.thenJoin === undefined) return first;
  return streamJoin(vector.thenJoin, first, right, joiner, windows, keySerde);
}

function isInReach(vector: Vector): boolean {
  if (!['stream-stream', 'stream-stream-self', 'stream-table', 'table-table'].includes(vector.kind))
    return false;
  const versioned = [vector.leftStore, vector.rightStore].some((store) => store?.type === 'versioned');
  return !versioned && vector.joinGraceMs === undefined;
}

assert.ok(process.env.CI_RUN !== '1' || existsSync(file), `${file} is not there: CI must replay it`);

if (existsSync(file)) {
  const data = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly inputSets: Readonly<Record<string, NonNullable<Vector['inputs']>>>;
    readonly cases: readonly Vector[];
  };
  describe('joins give what Kafka Streams gives', () => {
    for (const vector of data.cases.filter(isInReach)) {
      it(`${vector.kind}: ${vector.name}`, async () => {
        const keySerde = keySerdes[vector.keyType] as unknown as Serde<Key>;
        const builder = new StreamsBuilder();
        resultOf(vector, builder).to('output', { keySerde, valueSerde: stringSerde });
        const driver = new TopologyTestDriver(builder.build());
        await driver.open();
        const output = driver.createOutputTopic('output', keySerde, stringSerde);
        const inputs = vector.inputs ?? data.inputSets[vector.inputsRef!]!;
        for (const [index, { topic, key, value, timestamp }] of inputs.entries()) {
          await driver.createInputTopic(topic, keySerde, stringSerde).pipe(key, value, timestamp);
          const results = output.readAll().map(({ key, value, timestamp }) => ({ key, value, timestamp }));
          assert.deepEqual(
            results,
            vector.expected[index],
            `input ${index}: ${topic} ${key} ${value} @${timestamp}`,
          );
        }
        await driver.close();
      });
    }
  });
}
