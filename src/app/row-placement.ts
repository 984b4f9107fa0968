/**
 * Where the rows of a task's stores belong when the application gets other partition counts. Pure; called by
 * repartition-state.ts for each record of a changelog.
 */
import { readSortableInteger, sortableInteger } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import { partitionForKey } from '../base/murmur2.ts';
import type { SourceNode, StoreSpec } from '../graph/node.ts';
import { resolveTopic, type Subtopology } from '../graph/subtopology.ts';
import { observedClock, removedClock } from '../task/expiry.ts';
import { clockKey, inputClock, writtenClock } from '../task/timer-index.ts';

/** The bytes of the record's key in a row's; undefined: the row is the task's own. */
type KeyOf = (rowKey: Buffer) => Buffer | undefined;

export interface Placement {
  readonly partitionOf: (rowKey: Buffer, partitions: number) => number | undefined;
  /** A task's own row for a new task. Arguments: `values` by the old partition that had it. */
  readonly merge: (
    rowKey: Buffer,
    values: ReadonlyMap<number, Buffer>,
    newPartition: number,
  ) => Buffer | undefined;
}

/** Errors: TOPOLOGY_INVALID, naming the store that cannot be moved and why. */
export function placementOf(spec: StoreSpec, subtopology: Subtopology): Placement {
  const { placement, kind, name } = spec;
  if (spec.restoredFrom !== undefined)
    throw refused(
      name,
      `it is restored from ${spec.restoredFrom.topic}, whose old records stay where they are`,
    );
  if (placement === undefined)
    throw refused(name, 'nothing says which task a row of it belongs to (StoreSpec.placement)');
  const custom = placement === 'record-key' ? undefined : placement;
  requireOneKey(name, custom?.keySerde.name ?? spec.keySerde.name, subtopology.sources);
  if (custom !== undefined)
    return { ...byKey(custom.keyOf), merge: (_row, values) => custom.merge([...values.values()]) };
  if (kind === 'versioned') throw refused(name, 'it is versioned');
  const keyOf: KeyOf = kind === 'key-value' ? (row) => row : windowedKeyOf(spec);
  return { ...byKey(keyOf), merge: () => undefined };
}

/** How the names of clocks begin that belong to an input or a store. */
const formerClocks = [inputClock(''), writtenClock(''), observedClock(''), removedClock('')];

/** Of the store of timers and clocks. `kept`: topics that stay as they are; `filled`: partitions that have rows of a store. */
export function taskStorePlacement(
  subtopology: Subtopology,
  applicationId: string,
  kept: ReadonlySet<string>,
  oldPartitions: number,
  filled: ReadonlyMap<string, ReadonlySet<number>>,
): Placement {
  const special = subtopology.processors.find(({ timerKeySerde }) => timerKeySerde !== undefined);
  const inputs = subtopology.sources.flatMap(({ topics }) =>
    topics.map((topic) => resolveTopic(topic, applicationId)),
  );
  const isRow = (row: Buffer, name: string): boolean => row.equals(clockKey(name));
  return {
    ...byKey((row) => {
      if (row[0] !== 0x74) return undefined;
      if (special !== undefined) throw refused(special.name, 'its timers have keys of their own');
      const nameAt = 12 + row.readUInt16BE(10);
      return row.subarray(nameAt + 2 + row.readUInt16BE(nameAt));
    }),
    merge: (row, values, newPartition) => {
      const numbers = [...values.values()].map((bytes) => readSortableInteger(bytes));
      const input = inputs.find((topic) => isRow(row, inputClock(topic)));
      // How far an input is read is a matter of its partition, which goes on where it was.
      if (input !== undefined) return kept.has(input) ? values.get(newPartition) : undefined;
      const least = numbers.length < oldPartitions ? undefined : sortableInteger(Math.min(...numbers));
      for (const { name } of subtopology.stores) {
        if (isRow(row, writtenClock(name)))
          return filled.get(name)?.has(newPartition) === true ? sortableInteger(1) : undefined;
        if (isRow(row, observedClock(name))) return sortableInteger(Math.max(...numbers));
        if (isRow(row, removedClock(name))) return least;
      }
      // What is promised for one partition is not for another one.
      if (isRow(row, 'watermark')) return least;
      if (isRow(row, 'stream') || isRow(row, 'sequence')) return sortableInteger(Math.max(...numbers));
      // Of an input or a store that the topology had and has no more: nobody reads it.
      if (formerClocks.some((clock) => row.subarray(0, clockKey(clock).length).equals(clockKey(clock))))
        return undefined;
      throw refused(row.toString('utf8', 1), 'it is no row of a task that is known here');
    },
  };
}

/** The layouts of task/timed-rows.ts and task/segmented-window-store.ts. */
function windowedKeyOf({ kind, expiry, retentionMs, retainDuplicates }: StoreSpec): KeyOf {
  if (expiry === 'segments') return (row) => row.subarray(12, 12 + row.readUInt32BE(8));
  const tailBytes = kind === 'session' || retainDuplicates === true ? 8 : 4;
  if (expiry === 'operator' || retentionMs === Number.POSITIVE_INFINITY)
    return (row) => row.subarray(0, row.length - 8 - tailBytes);
  return (row) =>
    row[0] === 0 ? row.subarray(1, row.length - 8 - tailBytes) : row.subarray(9, row.length - tailBytes);
}

function byKey(keyOf: KeyOf): Pick<Placement, 'partitionOf'> {
  return {
    partitionOf: (row, partitions) => {
      const key = keyOf(row);
      return key === undefined ? undefined : partitionForKey(key, partitions);
    },
  };
}

/** The bytes of a store's keys decide, and only those of the same serde are the topic's. */
function requireOneKey(store: string, serde: string, sources: readonly SourceNode[]): void {
  const other = sources.find(({ keySerde }) => keySerde.name !== serde);
  if (other === undefined) return;
  throw refused(
    store,
    `its keys are written by ${serde} and those of ${other.name} by ${other.keySerde.name}`,
  );
}

function refused(store: string, why: string): StreamsError {
  return new StreamsError(
    'TOPOLOGY_INVALID',
    `the rows of ${store} cannot be moved to other partitions: ${why}`,
    {
      context: { store },
      hint: 'use another application id, or start over',
    },
  );
}
