/**
 * Async steps over one input topic. The service gives the same for the same value, however long it takes, however
 * often it fails before and whoever asks, and results are applied in input order; so every output, and the rows of the
 * aggregate below, are determined. How often it was called is not: at least once for each value, and always under
 * one idempotency key, which is why the service remembers its callers.
 */
import {
  type Clock,
  deadLetterTopic,
  type KStream,
  type Random,
  StreamsBuilder,
  seededRandom,
  stringSerde,
} from '#streams';
import { oneIn, pick } from '../oracle/generate-inputs.ts';
import { recordsOf, sameRecords, sameStores, text } from './dsl-checkers.ts';
import { type DslOutcome, type DslProgram, drawInputs, outTopic, someKeys, strings } from './dsl-program.ts';

const timeoutMs = 300;
/** A value of which the service wants to know nothing. */
const refused = '!';

/** Outside of all processes: it outlives them, as a real one would. */
class Service {
  readonly #seed: number;
  /** Of each value the calls of each idempotency key. */
  readonly calls = new Map<string, Map<string, number>>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** Fails a call or two of some values, hangs at the first one of others, refuses some for good. */
  async ask(
    value: string,
    call: { readonly idempotencyKey: string; readonly signal: AbortSignal },
    clock: Clock,
  ) {
    const byKey = this.calls.get(value) ?? new Map<string, number>();
    this.calls.set(value, byKey);
    const before = [...byKey.values()].reduce((sum, times) => sum + times, 0);
    byKey.set(call.idempotencyKey, (byKey.get(call.idempotencyKey) ?? 0) + 1);
    const ownSeed = [...value].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, this.#seed);
    const random = seededRandom(ownSeed);
    const failures = oneIn(random, 6) ? 1 + random.integer(2) : 0;
    const hangs = oneIn(random, 25);
    await clock.sleep(hangs && before === 0 ? 2 * timeoutMs : random.integer(15), call.signal);
    if (value.endsWith(refused)) throw new Error('the service refuses it');
    if (before < failures) throw new Error('the service is busy');
    return `${value}?`;
  }
}

export function asyncProgram(random: Random): DslProgram {
  const partitions = 1 + random.integer(3);
  const service = new Service(random.integer(2 ** 31));
  const steps = pick(random, [['ask'], ['ask'], ['ask', 'tell']]);
  const options = {
    concurrencyMax: pick(random, [1, 2, 4, 16]),
    timeoutMs,
    retries: 6,
    backoffMs: 5,
    backoffMsMax: 20,
    order: pick(random, ['key', 'none'] as const),
    onFailure: pick(random, ['skip', 'dead-letter'] as const),
  };
  const inputs = drawInputs(random, {
    topics: [
      {
        name: 'input',
        keys: someKeys(random),
        value: (n) => (oneIn(random, 20) ? `v${n}${refused}` : `v${n}`),
      },
    ],
    edgesMs: [5, 10, 100],
    count: 160,
    topicOf: (name) => name,
    partitionsOf: () => partitions,
  });
  return {
    family: 'async steps',
    topics: ['input', outTopic, 'totals'].map((name) => ({ name, partitions })),
    inputs,
    topology: (clock) => {
      const builder = new StreamsBuilder();
      let stream: KStream<string, string> = builder.stream<string, string>('input', strings);
      for (const named of steps)
        stream = stream.mapValuesAsync((value, _key, call) => service.ask(value, call, clock), {
          ...options,
          named,
          keySerde: stringSerde,
        });
      stream.to(outTopic, strings);
      stream
        .groupByKey(strings)
        .aggregate<string>(
          () => '0',
          (_key, value, all) => `${Number(all.split(' ')[0]) + 1} ${value}`,
          { materialized: { ...strings, name: 'totals-store' } },
        )
        .toStream()
        .to('totals', strings);
      return builder.build();
    },
    judge: (outcome, undisturbed) => [
      ...appliedOnce(outcome, steps),
      ...[outTopic, 'totals'].flatMap((topic) => sameRecords(topic, outcome, undisturbed)),
      ...sameDeadLetters(outcome, undisturbed),
      ...sameStores(outcome, undisturbed),
      ...calledRightly(service, outcome, steps),
    ],
  };
}

/** Each value that was not refused, once, in the order of its partition. */
function appliedOnce(outcome: DslOutcome, steps: readonly string[]): string[] {
  const lines = (topic: string, suffix: string): string =>
    recordsOf(outcome, topic)
      .filter(({ value }) => !text(value).endsWith(refused))
      .map(({ partition, value, timestamp }) => `${partition} ${text(value)}${suffix}@${timestamp}`)
      .join(', ');
  const [got, wanted] = [lines(outTopic, ''), lines('input', '?'.repeat(steps.length))];
  return got === wanted ? [] : [`results are ${got}; what was asked, ${wanted}`];
}

/** Their headers tell how often it was tried. */
function sameDeadLetters(outcome: DslOutcome, undisturbed: DslOutcome): string[] {
  const [got, wanted] = [outcome, undisturbed].map((each) =>
    recordsOf(each, deadLetterTopic('input'))
      .map(({ partition, value }) => `${partition} ${text(value)}`)
      .join(', '),
  );
  return got === wanted ? [] : [`dead letters are ${got}; undisturbed, ${wanted}`];
}

/** By the application's own words: docs/semantics.md, async steps. */
function calledRightly(service: Service, outcome: DslOutcome, steps: readonly string[]): string[] {
  const found: string[] = [];
  for (const { value, partition, offset } of recordsOf(outcome, 'input')) {
    if (value === null) continue;
    for (const [index, step] of steps.entries()) {
      const asked = `${text(value)}${'?'.repeat(index)}`;
      const keys = [...(service.calls.get(asked)?.keys() ?? [])];
      // What the first step was refused never comes to the second one.
      if (asked.endsWith(`${refused}?`) || (index > 0 && text(value).endsWith(refused))) continue;
      const wanted = `dsl/${step}/input/${partition}/${offset}`;
      if (keys.length !== 1 || keys[0] !== wanted)
        found.push(`${asked} was asked as ${keys.join(' and ') || 'nothing'}, it is ${wanted}`);
    }
  }
  return found;
}
