/**
 * The same programs on the same topics of a real broker, in Kafka Streams and in two instances of ours, of which one
 * is killed (-9) in the middle of a transaction: what both have committed must be the same, to the bytes, the
 * timestamps and the partitions. Why it is determined says kafka-programs.ts.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { eventually } from '../support/eventually.ts';
import type { RawRecord } from '../support/topic-records.ts';
import { JavaProgram } from './java-program.ts';
import { type ProgramInput, type ProgramName, programWaves } from './kafka-programs.ts';
import { ProgramRun, partitions } from './program-run.ts';

/** What the killed instance does: comes back with its volume, without it, or not at all. */
type Return = 'with its volume' | 'without its volume' | 'never';

describe('two instances and a kill -9 commit what Kafka Streams commits', function () {
  this.timeout(150_000);
  let java: JavaProgram;
  let run: ProgramRun | undefined;
  before(() => {
    java = new JavaProgram('OnBroker');
  });
  afterEach(async () => {
    await run?.close();
    run = undefined;
  });
  after(() => java.close());

  /** The outputs of both: [Kafka Streams', ours]. */
  async function outputs(name: ProgramName, comesBack: Return): Promise<[RawRecord[], RawRecord[]]> {
    run = await ProgramRun.open(java, name);
    await run.startBoth();
    const [first, ...others] = programWaves(name, seededRandom(11), partitions);
    await killedMidway(run, first as ProgramInput[], comesBack);
    await run.rest();
    for (const wave of others) {
      await run.write(wave);
      await run.rest();
    }
    assert.ok((await run.aborted()) > 0, 'the kill left aborted records behind');
    return [await run.output(run.theirs), await run.output(run.ours)];
  }

  it('windowed count: every update of every window, in the same order', async () => {
    const [theirs, ours] = await outputs('windowed-count', 'with its volume');
    assert.ok(theirs.length > 2_000, `${theirs.length} updates`);
    assert.deepEqual(byPartition(ours), byPartition(theirs));
  });

  it('left join of two streams: the same results for each key', async () => {
    const [theirs, ours] = await outputs('left-join', 'never');
    const unmatched = theirs.filter(({ value }) => String(value).endsWith('+null')).length;
    assert.ok(
      unmatched > 100 && theirs.length - unmatched > 100,
      `${unmatched} of ${theirs.length} unmatched`,
    );
    assert.deepEqual(byPartition(ours).map(sorted), byPartition(theirs).map(sorted));
  });

  it('foreign-key join: the same last row for each key', async () => {
    const [theirs, ours] = await outputs('foreign-key-join', 'without its volume');
    const rows = lastRows(theirs);
    assert.ok(rows.length > 80, `${rows.length} rows`);
    assert.deepEqual(lastRows(ours), rows);
  });
});

/**
 * Writes the inputs, the first half of them until it is committed. In its next transaction, when outputs and offsets
 * are in it and the commit is not asked for, one of the instances kills itself.
 */
async function killedMidway(
  run: ProgramRun,
  inputs: readonly ProgramInput[],
  comesBack: Return,
): Promise<void> {
  const half = inputs.length / 2;
  await run.write(inputs.slice(0, half));
  await eventually(async () => (await run.progress()).committed === half, {
    timeoutMs: 30_000,
    what: 'the first half to be committed',
  });
  const victim = run.worker('one');
  victim.hitAt('offsets', 'SIGKILL');
  await run.write(inputs.slice(half));
  assert.ok(await victim.hit('SIGKILL', 30_000), 'the kill has happened');
  const { committed, written } = await run.progress();
  assert.ok(committed >= half && committed < written, `${committed} of ${written} inputs are committed`);
  if (comesBack !== 'never') run.start('one', { wipe: comesBack === 'without its volume' });
}

/** Shape: for each partition, its records as texts in the order of the log. */
function byPartition(records: readonly RawRecord[]): string[][] {
  return Array.from({ length: partitions }, (_, partition) =>
    records.filter((record) => record.partition === partition).map(textOf),
  );
}

function textOf({ key, value, timestamp }: RawRecord): string {
  // As bytes one to one, for windowed keys and counts are no texts.
  return `${key?.toString('latin1')} = ${value?.toString('latin1')} @${timestamp}`;
}

function sorted(texts: readonly string[]): string[] {
  return [...texts].sort();
}

/** What the topic says as a table, with the partition of each row. */
function lastRows(records: readonly RawRecord[]): string[] {
  const rows = new Map<string, string>();
  for (const { key, value, partition, timestamp } of records) {
    const name = `${partition}: ${key}`;
    if (value === null) rows.delete(name);
    else rows.set(name, `${name} = ${value} @${timestamp}`);
  }
  return sorted([...rows.values()]);
}
