/**
 * Comparisons of what a struck cluster left behind with what an undisturbed one did, as sentences; an empty list is
 * a pass. They know bytes, and nothing of the operators that made them.
 */
import type { CommittedRecord } from '#streams/testing';
import type { DslOutcome } from './dsl-program.ts';

/** A record as text; two are equal when these are. */
export function recordText({ key, value, timestamp, headers }: CommittedRecord): string {
  const noted = headers.map((header) => `${header.key}:${header.value?.toString('latin1')}`).join(',');
  return `${text(key)}=${text(value)}@${timestamp}${noted === '' ? '' : ` [${noted}]`}`;
}

export function text(bytes: Buffer | null): string {
  return bytes === null ? 'null' : bytes.toString('latin1');
}

export function recordsOf(outcome: DslOutcome, topic: string): readonly CommittedRecord[] {
  return outcome.records.get(topic) ?? [];
}

/** Record by record in each partition. Those without key lie in no order: whoever writes them chose a partition. */
export function sameRecords(topic: string, outcome: DslOutcome, undisturbed: DslOutcome): string[] {
  const [got, wanted] = [outcome, undisturbed].map((each) => partitionsOf(recordsOf(each, topic)));
  const found: string[] = [];
  for (const partition of new Set([...(got?.keys() ?? []), ...(wanted?.keys() ?? [])])) {
    const difference = firstDifference(got?.get(partition) ?? [], wanted?.get(partition) ?? []);
    if (difference !== undefined) found.push(`${topic}/${partition}: ${difference}`);
  }
  return found;
}

/** The same records, however often and in whatever partition each is, in any order. */
export function sameRecordsUnordered(topic: string, got: readonly string[], wanted: readonly string[]) {
  const difference = firstDifference([...got].sort(), [...wanted].sort());
  return difference === undefined ? [] : [`${topic}, sorted: ${difference}`];
}

function partitionsOf(records: readonly CommittedRecord[]): Map<string, string[]> {
  const lists = new Map<string, string[]>();
  for (const record of records) {
    const list = record.key === null ? 'keyless' : String(record.partition);
    lists.set(list, [...(lists.get(list) ?? []), recordText(record)]);
  }
  lists.get('keyless')?.sort();
  return lists;
}

/** What of a row is determined, as text; undefined when nothing of it is. */
type Shown = (store: string, key: Buffer, value: Buffer) => string | undefined;

export function sameStores(
  outcome: DslOutcome,
  undisturbed: DslOutcome,
  shown: Shown = (_store, _key, value) => text(value),
): string[] {
  const found: string[] = [];
  for (const [store, wanted] of undisturbed.stores) {
    const [left, right] = [outcome.stores.get(store) ?? [], wanted].map((entries) =>
      entries.flatMap(({ key, value }) => {
        const row = shown(store, key, value);
        return row === undefined ? [] : [`${text(key)}=${row}`];
      }),
    );
    const difference = firstDifference(left ?? [], right ?? []);
    if (difference !== undefined) found.push(`store ${store}: ${difference}`);
  }
  return found;
}

function firstDifference(got: readonly string[], wanted: readonly string[]): string | undefined {
  const length = Math.max(got.length, wanted.length);
  for (let at = 0; at < length; at++) {
    if (got[at] === wanted[at]) continue;
    const shown = (line: string | undefined): string =>
      line === undefined ? 'nothing' : JSON.stringify(line);
    return `number ${at} of ${got.length} is ${shown(got[at])}; undisturbed, ${shown(wanted[at])} of ${wanted.length}`;
  }
  return undefined;
}

/** The last value of each key; deleted rows are not there. */
export function finalRows(records: readonly CommittedRecord[]): Map<string, string> {
  const rows = new Map<string, string>();
  for (const { key, value } of records) {
    if (key === null) continue;
    if (value === null) rows.delete(text(key));
    else rows.set(text(key), text(value));
  }
  return rows;
}

export function sameRows(
  what: string,
  got: ReadonlyMap<string, string>,
  wanted: ReadonlyMap<string, string>,
) {
  const lines = [got, wanted].map((rows) => [...rows].map(([key, value]) => `${key}=${value}`).sort());
  const difference = firstDifference(lines[0] ?? [], lines[1] ?? []);
  return difference === undefined ? [] : [`${what}, rows: ${difference}`];
}
