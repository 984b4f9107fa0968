/**
 * Words of a topic, each asked of a service outside that takes its time, then counted per key: every answer that is
 * lost, doubled or out of order shows in the committed answers. For worker processes on a real Kafka. Pure but for
 * the service, which waits.
 */
import { longSerde, StreamsBuilder, stringSerde, type Topology } from '#streams';
import { wallClock } from '../../src/base/wall-clock.ts';

export interface AskingTopics {
  readonly words: string;
  readonly answers: string;
  readonly counts: string;
}

/** The service needs so long for a word that begins with `slow`: longer than a session of 6 s. */
export const slowMs = 9_000;
const strings = { keySerde: stringSerde, valueSerde: stringSerde };

/** 0 to 250 ms, in no order. */
function pauseMs(word: string): number {
  if (word.startsWith('slow')) return slowMs;
  return (Number(word.replace(/\D/g, '')) * 7_919) % 251;
}

async function ask(word: string): Promise<string> {
  await wallClock.sleep(pauseMs(word));
  return word.toUpperCase();
}

export function askingTopology({ words, answers, counts }: AskingTopics): Topology {
  const builder = new StreamsBuilder();
  const answered = builder.stream<string, string>(words, strings).mapValuesAsync(ask, { named: 'ask' });
  answered.to(answers, strings);
  answered
    .groupByKey()
    .count({ materialized: { name: 'answered' } })
    .toStream()
    .to(counts, { keySerde: stringSerde, valueSerde: longSerde });
  return builder.build();
}
