/**
 * A few hundred random programs, the same ones in every run, must give what Kafka Streams itself gives. For
 * more of them, and for others: npm run differential.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import { differencesOf } from '../vectors/run-vectors.ts';
import { compare, vectorOf } from './differential.ts';
import { generateCase, kindNames } from './generate-case.ts';
import { KafkaStreams } from './kafka-streams.ts';

const casesPerKind = 30;

describe('random programs give what Kafka Streams gives', () => {
  let kafkaStreams: KafkaStreams;
  before(() => {
    kafkaStreams = new KafkaStreams();
  });
  after(() => kafkaStreams.close());

  for (const kind of kindNames) {
    it(`${kind}: ${casesPerKind} programs with their inputs`, async () => {
      const { differences } = await compare(kafkaStreams, { first: 1, count: casesPerKind, kinds: [kind] });
      assert.deepEqual(
        differences.map(({ question, lines }) => [question.name, ...lines]),
        [],
        `run: npm run differential -- --kind ${kind} --cases ${casesPerKind}`,
      );
    });
  }

  it('the comparison sees a record too many or too few, and a value or a timestamp that is not right', async () => {
    const question = {
      name: 'changed',
      kind: 'stream-aggregate',
      keyType: 'string',
      aggregate: 'count',
      inputs: [{ topic: 'input', key: 'a', value: 'v', timestamp: 5 }],
    } as const;
    const [answer] = await kafkaStreams.ask([question]);
    assert.ok(answer);
    const vector = vectorOf(question, answer);
    const right = { key: 'a', value: 1, timestamp: 5 };
    assert.deepEqual(vector.expected, [[right]]);
    assert.deepEqual(await differencesOf(vector), []);
    const wrong = [[], [right, right], [{ ...right, value: 2 }], [{ ...right, timestamp: 6 }]];
    for (const outputs of wrong) {
      const lines = await differencesOf({ ...vector, expected: [outputs] });
      assert.equal(lines[0], 'input 0: input "a"="v"@5', JSON.stringify(outputs));
    }
  });

  it('three aggregates and a join in a chain, the key changing between them, with commits per record and every 7', async () => {
    const rows = ['t0', 't1', 't2'].map((key) => ({
      topic: 'right',
      key,
      value: `row-${key}`,
      timestamp: 0,
    }));
    const inputs = Array.from({ length: 60 }, (_, n) => {
      const timestamp = 100 + n * 3 - (n % 5) * 4;
      return { topic: 'input', key: `k${n % 4}`, value: 'v'.repeat(1 + (n % 3)), timestamp };
    });
    const question = {
      name: 'chain',
      kind: 'chain',
      keyType: 'string',
      windows: { type: 'tumbling', sizeMs: 20, graceMs: 10 },
      inputs: [...rows, ...inputs],
    } as const;
    const [answer] = await kafkaStreams.ask([question]);
    assert.ok(answer);
    const outputs = vectorOf(question, answer).expected.flat();
    assert.equal(outputs.length, inputs.length);
    assert.equal(new Set(outputs.map(({ key }) => key)).size, 4);
    assert.ok(outputs.some(({ value }) => String(value).endsWith(':row-t1')));
    assert.ok(outputs.some(({ value }) => String(value).endsWith(':null')));
    assert.deepEqual(await differencesOf(vectorOf(question, answer), ['each']), []);
    assert.deepEqual(await differencesOf(vectorOf(question, answer), ['sevenths']), []);
  });

  it('a seed gives the same case again, and another seed another', () => {
    assert.deepEqual(generateCase(7), generateCase(7));
    assert.notDeepEqual(generateCase(7).inputs, generateCase(8).inputs);
  });
});
