/**
 * The committed offsets of all groups, and which of them a pending transaction is about to change.
 * `stable` is what the broker's `committedOffsets` answers with: never an offset that may still change.
 */
import { partitionKey, type TopicPartition } from '../base/record.ts';
import type { PartitionOffset } from './broker-port.ts';

export interface GroupOffset extends PartitionOffset {
  readonly groupId: string;
}

export class OffsetStore {
  readonly #groups = new Map<string, Map<string, GroupOffset>>();
  /** How many open transactions hold an offset of this group and partition. */
  readonly #pending = new Map<string, number>();
  readonly #waiters = new Set<() => void>();

  /** In the order of the partitions, or 'pending' while a transaction that sends one of them is open. */
  stable(groupId: string, partitions: readonly TopicPartition[]): (number | undefined)[] | 'pending' {
    const keys = partitions.map(({ topic, partition }) => partitionKey(topic, partition));
    if (keys.some((key) => this.#pending.has(pendingKey(groupId, key)))) return 'pending';
    const offsets = this.#groups.get(groupId);
    return keys.map((key) => offsets?.get(key)?.offset);
  }

  set(offset: GroupOffset): void {
    const offsets = this.#groups.get(offset.groupId) ?? new Map<string, GroupOffset>();
    this.#groups.set(offset.groupId, offsets);
    offsets.set(partitionKey(offset.topic, offset.partition), offset);
  }

  addPending({ groupId, topic, partition }: GroupOffset): void {
    const key = pendingKey(groupId, partitionKey(topic, partition));
    this.#pending.set(key, (this.#pending.get(key) ?? 0) + 1);
  }

  removePending(offsets: Iterable<GroupOffset>): void {
    for (const { groupId, topic, partition } of offsets) {
      const key = pendingKey(groupId, partitionKey(topic, partition));
      const left = (this.#pending.get(key) ?? 1) - 1;
      if (left > 0) this.#pending.set(key, left);
      else this.#pending.delete(key);
    }
    for (const wake of this.#waiters) wake();
  }

  /** Forgets what groups committed for a deleted topic, and says what it was. */
  dropTopic(topic: string): GroupOffset[] {
    const dropped: GroupOffset[] = [];
    for (const offsets of this.#groups.values()) {
      for (const [key, offset] of offsets) {
        if (offset.topic !== topic) continue;
        offsets.delete(key);
        dropped.push(offset);
      }
    }
    return dropped;
  }

  /** Calls `wake` whenever a pending offset is settled, until it is removed. */
  addWaiter(wake: () => void): void {
    this.#waiters.add(wake);
  }

  removeWaiter(wake: () => void): void {
    this.#waiters.delete(wake);
  }
}

function pendingKey(groupId: string, key: string): string {
  return `${groupId}\n${key}`;
}
