/**
 * The rules of the stream-stream join over plain lists, read again at every record: what the operator, with
 * its stores and bounded reads, is compared with. A variant of it with Kafka Streams' own bookkeeping of
 * when to look for expired records gives what Kafka Streams 4.3.1 gives.
 */
import type { JoinWindows } from '../../../src/dsl/options.ts';

export type JoinHow = 'inner' | 'left' | 'outer';

export interface ModelRecord {
  readonly side: 'left' | 'right';
  readonly key: string | null;
  readonly value: string | null;
  readonly at: number;
}

type Stored = ModelRecord & { readonly key: string; readonly value: string };

/** Shape of the results: as `Rig.read`. */
export function joinModel(
  how: JoinHow,
  { beforeMs, afterMs, graceMs }: JoinWindows,
): (record: ModelRecord) => string[] {
  const preserved = { left: how !== 'inner', right: how === 'outer' };
  const ahead = { left: afterMs, right: beforeMs };
  const back = { left: beforeMs, right: afterMs };
  const stored = { left: [] as Stored[], right: [] as Stored[] };
  let pending: Stored[] = [];
  let timeMs = -1;

  const show = ({ side, key, value }: ModelRecord, partner: string | null, at: number): string =>
    `${key}=${side === 'left' ? `${value}+${partner}` : `${partner}+${value}`}@${at}`;
  const isOver = (record: Stored): boolean => record.at + ahead[record.side] + graceMs < timeMs;

  return (record) => {
    const { side, key, value, at } = record;
    const other = side === 'left' ? 'right' : 'left';
    timeMs = Math.max(timeMs, at);
    if (value === null) return [];
    if (key === null) return preserved[side] ? [show(record, null, at)] : [];
    const own: Stored = { side, key, value, at };
    stored[side].push(own);
    const results: string[] = [];
    if (at === timeMs) {
      const over = pending.filter(isOver).sort(byTimeSideKey);
      pending = pending.filter((entry) => !over.includes(entry));
      results.push(...over.map((entry) => show(entry, null, entry.at)));
    }
    const newestMs = Math.max(-1, ...stored[other].map((entry) => entry.at));
    const fromMs = Math.max(0, at - back[side]);
    const toMs = Math.max(0, at + ahead[side]);
    const partners = stored[other]
      .filter((entry) => entry.key === key && entry.at >= fromMs && entry.at <= toMs)
      .filter((entry) => entry.at > newestMs - (beforeMs + afterMs + graceMs))
      .sort((a, b) => a.at - b.at);
    for (const partner of partners) {
      pending = pending.filter(
        (entry) => !(entry.side === other && entry.key === key && entry.at === partner.at),
      );
      results.push(show(record, partner.value, Math.max(at, partner.at)));
    }
    if (partners.length > 0 || !preserved[side]) return results;
    if (toMs < timeMs) results.push(show(record, null, at));
    else pending.push(own);
    return results;
  };
}

function byTimeSideKey(a: Stored, b: Stored): number {
  if (a.at !== b.at) return a.at - b.at;
  if (a.side !== b.side) return a.side === 'right' ? -1 : 1;
  return Buffer.compare(Buffer.from(a.key), Buffer.from(b.key));
}
