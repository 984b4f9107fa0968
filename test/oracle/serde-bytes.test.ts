/**
 * Our primitive serdes make the bytes that Kafka's make, and a key goes to the partition where Kafka's producer, and
 * Kafka Streams for windowed keys, puts it. Asked of the originals (test/oracle/java/WireBytes.java).
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { partitionForKey } from '../../src/base/murmur2.ts';
import { seededRandom } from '../../src/base/seeded-random.ts';
import {
  sessionWindowedSerde,
  timeWindowedSerde,
  type Windowed,
  type WindowedSerde,
  windowedPartitioner,
} from '../../src/dsl/windows.ts';
import {
  bigintSerde,
  booleanSerde,
  bytesSerde,
  doubleSerde,
  floatSerde,
  integerSerde,
  longSerde,
  type Serde,
  shortSerde,
  stringSerde,
  uuidSerde,
  voidSerde,
} from '../../src/serde/serde.ts';
import { JavaProgram } from './java-program.ts';

interface WireAnswer {
  readonly bytes: readonly (string | null)[];
  /** For each value, for each of the counts; empty for a value without bytes. */
  readonly partitions: readonly (readonly number[])[];
  readonly error?: string;
}

const partitionCounts = [1, 2, 3, 4, 6, 7, 12, 50, 64, 100, 1000];
const random = seededRandom(5);
const whole = (limit: number) => Math.floor(random.next() * 2 * limit) - limit;
const some = <T>(make: () => T): T[] => Array.from({ length: 200 }, make);

const shorts = [0, -0, 1, -1, 255, 256, -32_768, 32_767, ...some(() => whole(32_768))];
const integers = [...shorts, 65_536, -(2 ** 31), 2 ** 31 - 1, ...some(() => whole(2 ** 31))];
const longs = [...integers, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, ...some(() => whole(2 ** 53))];
const bigints = [2n ** 63n - 1n, -(2n ** 63n), ...longs.map(BigInt)];
const floats = [
  0,
  -0,
  1.5,
  -1.5,
  0.1,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  3.4e38,
];
const doubles = [
  ...floats,
  Number.MIN_VALUE,
  -Number.MAX_VALUE,
  Number.EPSILON,
  2 ** 53,
  ...some(random.next),
];
const characters = ['a', 'Z', '0', ' ', '\0', '\n', 'é', 'ß', '߿', 'ࠀ', '€', '\ufeff', '\uffff', '😀', '𐍈'];
const broken = ['\ud83d', '\ude00x', 'x\ud83dx', '\ude00\ud83d'];
const aString = () =>
  Array.from({ length: random.integer(20) }, () => characters[random.integer(characters.length)]).join('');
const strings = ['', ...characters, ...broken, 'x'.repeat(300), ...some(aString)];
const buffers = strings.map((text) => Buffer.from(text, 'utf16le'));
const uuids = ['00000000-0000-0000-0000-000000000000', 'ffffffff-FFFF-ffff-FFFF-ffffffffffff'];

/** Java reads numbers as text; -0 would lose its sign in `String`. */
function textOf(value: unknown): unknown {
  if (value === null) return null;
  return Object.is(value, -0) ? '-0' : String(value);
}

/** `name`: the serde in Java; `text`: a value as Java reads it. */
interface Compared<T> {
  readonly name: string;
  readonly serde: Serde<T>;
  readonly values: readonly T[];
  readonly text?: (value: T) => unknown;
}

const integral = (value: number): unknown => String(value + 0);
const hex = (value: Buffer): unknown => value.toString('hex');
const plain = [
  { name: 'string', serde: stringSerde, values: strings } satisfies Compared<string>,
  { name: 'byte array', serde: bytesSerde, values: buffers, text: hex } satisfies Compared<Buffer>,
  { name: 'bytes', serde: bytesSerde, values: buffers, text: hex } satisfies Compared<Buffer>,
  { name: 'byte buffer', serde: bytesSerde, values: buffers, text: hex } satisfies Compared<Buffer>,
  { name: 'short', serde: shortSerde, values: shorts, text: integral } satisfies Compared<number>,
  { name: 'integer', serde: integerSerde, values: integers, text: integral } satisfies Compared<number>,
  { name: 'long', serde: longSerde, values: longs, text: integral } satisfies Compared<number>,
  { name: 'long', serde: bigintSerde, values: bigints } satisfies Compared<bigint>,
  { name: 'float', serde: floatSerde, values: floats } satisfies Compared<number>,
  { name: 'double', serde: doubleSerde, values: doubles } satisfies Compared<number>,
  { name: 'boolean', serde: booleanSerde, values: [true, false] } satisfies Compared<boolean>,
  { name: 'uuid', serde: uuidSerde, values: uuids } satisfies Compared<string>,
  { name: 'void', serde: voidSerde, values: [] } satisfies Compared<never>,
] as unknown as readonly Compared<unknown>[];

const spans = [
  { startMs: 0, endMs: 10 },
  { startMs: 1_700_000_000_000, endMs: 1_700_000_000_010 },
];
const windowed = [
  timeWindowedSerde(stringSerde, 10),
  timeWindowedSerde(integerSerde, 10),
  sessionWindowedSerde(stringSerde),
  sessionWindowedSerde(longSerde),
] as unknown as readonly WindowedSerde<unknown>[];

describe('bytes and partitions are those of Java', () => {
  let java: JavaProgram;
  before(() => {
    java = new JavaProgram('WireBytes');
  });
  after(() => java.close());

  async function ask(serde: string, values: readonly unknown[]): Promise<WireAnswer> {
    java.write({ serde, values, partitionCounts });
    const answer = await java.read<WireAnswer>();
    assert.equal(answer.error, undefined);
    assert.equal(answer.bytes.length, values.length);
    return answer;
  }

  for (const { name, serde, values, text = textOf } of plain) {
    it(`${serde.name} as Java's ${name}: ${values.length} values and null`, async () => {
      const all = [...values, null];
      const texts = all.map((value) => (value === null ? null : text(value)));
      const { bytes, partitions } = await ask(name, texts);
      for (const [index, value] of all.entries()) {
        const own = serde.serialize(value, 'topic');
        const what = `${JSON.stringify(texts[index])} of ${serde.name}`;
        assert.equal(own?.toString('hex') ?? null, bytes[index], what);
        const chosen = own === null ? [] : partitionCounts.map((count) => partitionForKey(own, count));
        assert.deepEqual(chosen, partitions[index], what);
      }
    });
  }

  for (const serde of windowed) {
    it(`${serde.name}: its bytes, and the partition of the key in it`, async () => {
      const inner = serde.inner.name === 'string' ? strings : shorts;
      const keys = inner.flatMap((key) => spans.map((window): Windowed<unknown> => ({ key, window })));
      const texts = keys.map(({ key, window }) => ({
        key: typeof key === 'number' ? integral(key) : key,
        ...window,
      }));
      const { bytes, partitions } = await ask(serde.name, texts);
      const partitioner = windowedPartitioner(serde);
      assert.ok(partitioner);
      for (const [index, key] of keys.entries()) {
        const what = JSON.stringify(texts[index]);
        assert.equal(serde.serialize(key, 'topic')?.toString('hex'), bytes[index], what);
        const chosen: unknown[] = partitionCounts.map((count) => partitioner('topic', key, null, count));
        assert.deepEqual(chosen, partitions[index], what);
      }
    });
  }
});
