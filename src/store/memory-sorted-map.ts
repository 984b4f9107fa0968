/**
 * A sorted map from string keys to buffers, for memory-backend.ts: blocks of sorted keys, found by binary
 * search, so that a million keys with random inserts stay fast (a splice moves one block, not the map).
 *
 * A snapshot costs nothing: it keeps the list of blocks, and a block older than the newest snapshot is
 * copied before its first change. Never compares anything but strings of one character a byte.
 */

interface Block {
  /** The map's epoch when the block was made: an older one may be shared with a snapshot. */
  readonly epoch: number;
  readonly keys: string[];
  readonly values: Buffer[];
}

const blockEntriesMax = 512;

/** A view that later changes do not touch. Order of entries: ascending by key. */
export class SortedSnapshot {
  readonly #blocks: readonly Block[];

  constructor(blocks: readonly Block[]) {
    this.#blocks = blocks;
  }

  /** Entries from `from` (inclusive) to `to` (exclusive), ascending. */
  *ascending(from: string, to: string | undefined): Generator<[string, Buffer]> {
    const first = blockAt(this.#blocks, from);
    for (let b = first; b < this.#blocks.length; b++) {
      const { keys, values } = this.#blocks[b] as Block;
      for (let i = b === first ? lowerBound(keys, from) : 0; i < keys.length; i++) {
        const key = keys[i] as string;
        if (to !== undefined && key >= to) return;
        yield [key, values[i] as Buffer];
      }
    }
  }

  /** The same entries, descending. */
  *descending(from: string, to: string | undefined): Generator<[string, Buffer]> {
    const last = to === undefined ? this.#blocks.length - 1 : blockAt(this.#blocks, to);
    for (let b = last; b >= 0; b--) {
      const { keys, values } = this.#blocks[b] as Block;
      const end = b === last && to !== undefined ? lowerBound(keys, to) : keys.length;
      for (let i = end - 1; i >= 0; i--) {
        const key = keys[i] as string;
        if (key < from) return;
        yield [key, values[i] as Buffer];
      }
    }
  }
}

export class SortedMap {
  #blocks: Block[] = [{ epoch: 0, keys: [], values: [] }];
  #epoch = 0;
  #bytes = 0;

  /** Bytes of keys and values. */
  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): Buffer | undefined {
    const { keys, values } = this.#blocks[blockAt(this.#blocks, key)] as Block;
    const i = lowerBound(keys, key);
    return keys[i] === key ? values[i] : undefined;
  }

  /** Sets or, with null, deletes; returns what was there. */
  set(key: string, value: Buffer | null): Buffer | undefined {
    const b = blockAt(this.#blocks, key);
    const i = lowerBound((this.#blocks[b] as Block).keys, key);
    const before = (this.#blocks[b] as Block).keys[i] === key ? this.#blocks[b]?.values[i] : undefined;
    if (before === undefined && value === null) return undefined;
    const block = this.#writable(b);
    if (before !== undefined) this.#bytes -= key.length + before.length;
    if (value !== null) this.#bytes += key.length + value.length;
    if (value === null) {
      block.keys.splice(i, 1);
      block.values.splice(i, 1);
      if (block.keys.length === 0 && this.#blocks.length > 1) this.#blocks.splice(b, 1);
    } else if (before !== undefined) {
      block.values[i] = value;
    } else {
      block.keys.splice(i, 0, key);
      block.values.splice(i, 0, value);
      if (block.keys.length > blockEntriesMax) this.#split(b, block, i);
    }
    return before;
  }

  snapshot(): SortedSnapshot {
    this.#epoch += 1;
    return new SortedSnapshot([...this.#blocks]);
  }

  #writable(b: number): Block {
    const block = this.#blocks[b] as Block;
    if (block.epoch === this.#epoch) return block;
    const copy = { epoch: this.#epoch, keys: block.keys.slice(), values: block.values.slice() };
    this.#blocks[b] = copy;
    return copy;
  }

  #split(b: number, block: Block, insertedAt: number): void {
    // Keys that come in order fill a block and start the next; halving it would leave every block half empty.
    const inOrder = insertedAt === block.keys.length - 1;
    const at = inOrder ? block.keys.length - 1 : block.keys.length >> 1;
    const right: Block = {
      epoch: this.#epoch,
      keys: block.keys.splice(at),
      values: block.values.splice(at),
    };
    this.#blocks.splice(b + 1, 0, right);
  }
}

/** The index of the block that holds the key or would. */
function blockAt(blocks: readonly Block[], key: string): number {
  let low = 0;
  let high = blocks.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (((blocks[middle] as Block).keys[0] as string) <= key) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The index of the first key that is not smaller. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((keys[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
