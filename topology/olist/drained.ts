/**
 * Whether everything that was sent has been worked off: every input of every group is read to its end. Used by
 * the driver of a replay before it moves the watermark.
 *
 * The committed offsets are read first and the ends after them. When they are equal, every input had been read
 * before the ends were taken, so nothing can have been under way that would still write. The ends are those
 * of the log and not the last stable ones: a transaction's offsets can be there before its records are stable.
 */
import type { Broker, TopicPartition } from '#streams';
import { partitionsOf } from '../topic-reader.ts';

export interface GroupInputs {
  readonly groupId: string;
  readonly topics: readonly string[];
}

export class InputLag {
  readonly #broker: Broker;
  readonly #inputs: readonly { readonly groupId: string; readonly partitions: readonly TopicPartition[] }[];

  private constructor(
    broker: Broker,
    inputs: readonly { readonly groupId: string; readonly partitions: readonly TopicPartition[] }[],
  ) {
    this.#broker = broker;
    this.#inputs = inputs;
  }

  /** The topics must be there. */
  static async open(broker: Broker, groups: readonly GroupInputs[]): Promise<InputLag> {
    const inputs = await Promise.all(
      groups.map(async ({ groupId, topics }) => ({
        groupId,
        partitions: await partitionsOf(broker, topics),
      })),
    );
    return new InputLag(broker, inputs);
  }

  /** Offsets between what the groups have committed and the ends of their inputs; 0 = all is worked off. */
  async read(): Promise<number> {
    const { admin } = this.#broker;
    const committed = await Promise.all(
      this.#inputs.map(({ groupId, partitions }) => admin.committedOffsets(groupId, partitions)),
    );
    const ends = await Promise.all(
      this.#inputs.map(({ partitions }) => admin.endOffsets(partitions, 'read_uncommitted')),
    );
    let lag = 0;
    for (const [group, offsets] of committed.entries()) {
      for (const [index, offset] of offsets.entries()) {
        lag += Math.max(0, (ends[group]?.[index] ?? 0) - (offset ?? 0));
      }
    }
    return lag;
  }
}
