/**
 * Durable keyed timers and clocks of one task. They live in the task's own store (`<n>-task`, changelogged
 * like any other), so they are committed, aborted, restored and moved with the state they belong to; this
 * index is the copy in memory that knows what is due next.
 *
 * Key layout in the store:
 *   'c' <name>                                             a clock or counter; value: 8 bytes
 *   't' <clock u8> <due 8> <node u16+…> <name u16+…> <key>    a timer; value: 1 byte
 * Due time first, so that a later version can read only what is due soon.
 */

import { must } from '../base/assert.ts';
import { mapKey, readSortableInteger, sortableInteger } from '../base/bytes.ts';
import type { TimerClock } from '../graph/processor.ts';
import type { Generations } from '../store/generations.ts';

const clockCodes: readonly TimerClock[] = ['wall', 'stream', 'watermark'];

/** The clock that holds the applied offset of an input. */
export function inputClock(topic: string): string {
  return `input/${topic}`;
}

/** Set once a store has been written: its changelog can never be empty again. */
export function writtenClock(store: string): string {
  return `written/${store}`;
}

/** A clock's key in the task's store. */
export function clockKey(name: string): Buffer {
  return Buffer.concat([Buffer.from('c'), Buffer.from(name)]);
}

export interface StoredTimer {
  readonly node: string;
  readonly name: string;
  readonly key: Buffer;
  readonly clock: TimerClock;
  readonly dueMs: number;
}

function sized(text: Buffer): Buffer {
  const length = Buffer.allocUnsafe(2);
  length.writeUInt16BE(text.length);
  return Buffer.concat([length, text]);
}

function encodeTimer(timer: StoredTimer): Buffer {
  return Buffer.concat([
    Buffer.from('t'),
    Buffer.from([clockCodes.indexOf(timer.clock)]),
    sortableInteger(timer.dueMs),
    sized(Buffer.from(timer.node)),
    sized(Buffer.from(timer.name)),
    timer.key,
  ]);
}

function decodeTimer(bytes: Buffer): StoredTimer {
  const clock = must(clockCodes[bytes[1] as number], 'a stored timer names a clock that does not exist');
  const nodeLength = bytes.readUInt16BE(10);
  const nameAt = 12 + nodeLength;
  const nameLength = bytes.readUInt16BE(nameAt);
  return {
    clock,
    dueMs: readSortableInteger(bytes, 2),
    node: bytes.toString('utf8', 12, nameAt),
    name: bytes.toString('utf8', nameAt + 2, nameAt + 2 + nameLength),
    key: Buffer.from(bytes.subarray(nameAt + 2 + nameLength)),
  };
}

/** Of a key in the task's store: what stays when its timer is moved; undefined for a clock. */
export function timerOfKey(key: Buffer): string | undefined {
  return key[0] === 0x74 ? mapKey(key.subarray(10)) : undefined;
}

function identity(timer: { node: string; name: string; key: Buffer }): string {
  return `${timer.node}/${timer.name}/${mapKey(timer.key)}`;
}

/** Earliest first; ties by identity, so that the same timers always fire in the same order. */
class DueHeap {
  #items: StoredTimer[] = [];

  static before(a: StoredTimer, b: StoredTimer): boolean {
    return a.dueMs !== b.dueMs ? a.dueMs < b.dueMs : identity(a) < identity(b);
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): StoredTimer | undefined {
    return this.#items[0];
  }

  push(timer: StoredTimer): void {
    const items = this.#items;
    let at = items.push(timer) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!DueHeap.before(items[at] as StoredTimer, items[up] as StoredTimer)) return;
      [items[at], items[up]] = [items[up] as StoredTimer, items[at] as StoredTimer];
      at = up;
    }
  }

  pop(): StoredTimer | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return top;
    items[0] = last;
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      let least = at;
      if (left < items.length && DueHeap.before(items[left] as StoredTimer, items[least] as StoredTimer))
        least = left;
      if (
        left + 1 < items.length &&
        DueHeap.before(items[left + 1] as StoredTimer, items[least] as StoredTimer)
      )
        least = left + 1;
      if (least === at) return top;
      [items[at], items[least]] = [items[least] as StoredTimer, items[at] as StoredTimer];
      at = least;
    }
  }
}

export class TimerIndex {
  readonly #generations: Generations;
  readonly #live = new Map<string, StoredTimer>();
  readonly #heaps = new Map<TimerClock, DueHeap>();
  readonly #clocks = new Map<string, number>();
  #undo: (() => void)[] = [];

  constructor(generations: Generations) {
    this.#generations = generations;
    for (const clock of clockCodes) this.#heaps.set(clock, new DueHeap());
  }

  /** Takes committed entries at the start of a task and after an abort. */
  async load(pages: AsyncIterable<readonly { key: Buffer; value: Buffer }[]>): Promise<void> {
    this.#live.clear();
    this.#clocks.clear();
    this.#undo = [];
    for (const clock of clockCodes) this.#heaps.set(clock, new DueHeap());
    for await (const page of pages) {
      for (const { key, value } of page) {
        if (key[0] === 0x63) this.#clocks.set(key.toString('utf8', 1), readSortableInteger(value));
        else this.#add(decodeTimer(key));
      }
    }
  }

  schedule(timer: StoredTimer): void {
    const earlier = this.#live.get(identity(timer));
    if (earlier !== undefined) {
      if (earlier.dueMs === timer.dueMs && earlier.clock === timer.clock) return;
      this.#remove(earlier);
    }
    this.#write(encodeTimer(timer), Buffer.from([1]));
    this.#sweep(timer.clock);
    this.#add(timer);
    this.#undo.push(() => this.#live.delete(identity(timer)));
  }

  cancel(timer: { node: string; name: string; key: Buffer }): void {
    const earlier = this.#live.get(identity(timer));
    if (earlier !== undefined) this.#remove(earlier);
  }

  /** The next timer of this clock that is due at `nowMs`; the caller processes and cancels it. */
  due(clock: TimerClock, nowMs: number): StoredTimer | undefined {
    const heap = must(this.#heaps.get(clock), 'every clock has a heap');
    for (let top = heap.peek(); top !== undefined; top = heap.peek()) {
      // Entries of cancelled or moved timers are left in the heap and passed over here.
      if (this.#live.get(identity(top)) !== top) heap.pop();
      else return top.dueMs <= nowMs ? top : undefined;
    }
    return undefined;
  }

  /** Up to `countMax` due timers, still scheduled: so that the state they read can be loaded at once. */
  peekDue(clock: TimerClock, nowMs: number, countMax: number): StoredTimer[] {
    const heap = must(this.#heaps.get(clock), 'every clock has a heap');
    // A set, since a rolled-back cancellation leaves a timer in the heap twice.
    const due = new Set<StoredTimer>();
    for (
      let timer = this.due(clock, nowMs);
      timer !== undefined && due.size < countMax;
      timer = this.due(clock, nowMs)
    ) {
      due.add(timer);
      heap.pop();
    }
    for (const timer of due) heap.push(timer);
    return [...due];
  }

  /** Still scheduled as it was: neither fired, cancelled nor moved. */
  isLive(timer: StoredTimer): boolean {
    return this.#live.get(identity(timer)) === timer;
  }

  get count(): number {
    return this.#live.size;
  }

  clock(name: string): number | undefined {
    return this.#clocks.get(name);
  }

  setClock(name: string, value: number): void {
    const earlier = this.#clocks.get(name);
    if (earlier === value) return;
    // Written first: what is no integer must throw before anything has changed.
    this.#write(clockKey(name), sortableInteger(value));
    this.#clocks.set(name, value);
    this.#undo.push(() => {
      if (earlier === undefined) this.#clocks.delete(name);
      else this.#clocks.set(name, earlier);
    });
  }

  savepoint(): number {
    return this.#undo.length;
  }

  /** The store's changes are rolled back by the task's state; this mirrors it in memory. */
  rollback(savepoint: number): void {
    while (this.#undo.length > savepoint) this.#undo.pop()?.();
  }

  sealed(): void {
    this.#undo = [];
  }

  /** Entries in the heaps, those of cancelled and moved timers included. */
  get heapCount(): number {
    let count = 0;
    for (const heap of this.#heaps.values()) count += heap.size;
    return count;
  }

  /** A timer that is moved with every record leaves an entry each time: they go when they are the majority. */
  #sweep(clock: TimerClock): void {
    const heap = must(this.#heaps.get(clock), 'every clock has a heap');
    if (heap.size <= 2 * this.#live.size + 1_000) return;
    const fresh = new DueHeap();
    for (const timer of this.#live.values()) if (timer.clock === clock) fresh.push(timer);
    this.#heaps.set(clock, fresh);
  }

  #write(key: Buffer, value: Buffer | null): void {
    this.#generations.write(mapKey(key), value, undefined);
  }

  #add(timer: StoredTimer): void {
    this.#live.set(identity(timer), timer);
    must(this.#heaps.get(timer.clock), 'every clock has a heap').push(timer);
  }

  #remove(timer: StoredTimer): void {
    this.#live.delete(identity(timer));
    this.#write(encodeTimer(timer), null);
    // Pushed again on rollback: its entry in the heap may have been dropped as dead in the meantime.
    this.#undo.push(() => this.#add(timer));
  }
}
