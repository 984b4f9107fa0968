/**
 * Looks over the shoulder of every process of a simulation: a task is written for only by who holds its token,
 * and a group's offsets never go back. Knows the plan of each application, and nothing of the engine's insides.
 */
import { partitionKey } from '../../base/record.ts';
import type { PartitionOffset } from '../../broker/broker-port.ts';

export class OwnershipWatch {
  readonly violations: string[] = [];
  /** The token of each input partition of each group. */
  readonly #tokenOf = new Map<string, Map<string, number>>();
  readonly #held = new Map<string, Set<number>>();
  readonly #committed = new Map<string, number>();

  plan(
    groupId: string,
    tasks: readonly { readonly inputs: readonly { topic: string; partition: number }[] }[],
  ) {
    const tokens = new Map<string, number>();
    for (const [token, { inputs }] of tasks.entries())
      for (const { topic, partition } of inputs) tokens.set(partitionKey(topic, partition), token);
    this.#tokenOf.set(groupId, tokens);
  }

  violation(sentence: string): void {
    this.violations.push(sentence);
  }

  assigned(process: string, groupId: string, tokens: readonly number[]): void {
    const held = this.#heldBy(process, groupId);
    for (const token of tokens) {
      if (held.has(token)) this.violation(`${process} was given token ${token} of ${groupId} twice`);
      held.add(token);
    }
  }

  givenBack(process: string, groupId: string, tokens: readonly number[]): void {
    const held = this.#heldBy(process, groupId);
    for (const token of tokens) held.delete(token);
  }

  /** The process has left the group, or has died. */
  closed(process: string, groupId: string): void {
    this.#held.delete(`${process} ${groupId}`);
  }

  /** Offsets were accepted into a transaction. */
  sent(process: string, groupId: string, offsets: readonly PartitionOffset[]): void {
    const held = this.#heldBy(process, groupId);
    for (const { topic, partition } of offsets) {
      const token = this.#tokenOf.get(groupId)?.get(partitionKey(topic, partition));
      if (token === undefined || held.has(token)) continue;
      this.violation(
        `${process} commits for ${partitionKey(topic, partition)} after it gave task ${token} back`,
      );
    }
  }

  committed(process: string, groupId: string, offsets: readonly PartitionOffset[]): void {
    for (const { topic, partition, offset } of offsets) {
      const key = `${groupId} ${partitionKey(topic, partition)}`;
      const before = this.#committed.get(key) ?? 0;
      if (offset < before)
        this.violation(
          `${process} took the offset of ${partitionKey(topic, partition)} back from ${before} to ${offset}`,
        );
      this.#committed.set(key, offset);
    }
  }

  #heldBy(process: string, groupId: string): Set<number> {
    const key = `${process} ${groupId}`;
    const held = this.#held.get(key) ?? new Set<number>();
    this.#held.set(key, held);
    return held;
  }
}
