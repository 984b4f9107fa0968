/**
 * Consumer groups of the embedded broker: each shares out the partitions of one topic among its members,
 * sticky and balanced (embedded-assignor.ts) and cooperatively: a partition is granted to its next owner
 * only when the old one has acknowledged that it is revoked, has left, or was removed.
 *
 * Nothing runs by itself: members that were not polled for their session are removed by the next call that
 * anybody makes on the group.
 */
import { assert } from '../base/assert.ts';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { GroupEvent, GroupMember, GroupOptions, PartitionOffset } from './broker-port.ts';
import { balance } from './embedded-assignor.ts';
import type { GroupOffset } from './embedded-offsets.ts';

/**
 * - `live`: in the group;
 * - `lost`: removed while it was silent; joins again when it has acknowledged that;
 * - `fenced`: another member of its instance id took over, for good;
 * - `left`: closed.
 */
type MemberState = 'live' | 'lost' | 'fenced' | 'left';

/** Stores offsets outside a transaction. */
type CommitOffsets = (offsets: readonly GroupOffset[]) => Promise<void>;

export class EmbeddedGroupMember implements GroupMember {
  readonly groupId: string;
  readonly instanceId: string | undefined;
  readonly sessionTimeoutMs: number;
  readonly #group: Group;
  readonly #clock: Clock;
  readonly #commitOffsets: CommitOffsets;
  readonly #closed: (member: EmbeddedGroupMember) => void;
  #state: MemberState = 'live';
  #generation = 0;
  #lastSeenMs: number;
  #waiting: AbortController | undefined;
  /** What it was told that it owns, and has not given back. */
  readonly #known = new Set<number>();
  readonly #toAssign = new Set<number>();
  readonly #toRevoke = new Set<number>();
  /** It has to be told that it lost everything. */
  #toLose = false;
  /** It waits for its first share since it joined, be it none. */
  #toGreet = true;
  #unanswered: GroupEvent[] = [];
  /** Events from before it lost everything: their answers no longer matter. */
  readonly #overtaken = new WeakSet<GroupEvent>();

  constructor(
    group: Group,
    options: GroupOptions,
    clock: Clock,
    commitOffsets: CommitOffsets,
    closed: (member: EmbeddedGroupMember) => void,
  ) {
    this.groupId = options.groupId;
    this.instanceId = options.instanceId;
    this.sessionTimeoutMs = options.sessionTimeoutMs;
    this.#group = group;
    this.#clock = clock;
    this.#commitOffsets = commitOffsets;
    this.#closed = closed;
    this.#lastSeenMs = clock.nowMs();
  }

  /** Grows whenever its partitions change. */
  get generation(): number {
    return this.#generation;
  }

  /** Milliseconds of session that are left; infinite while it is being polled. */
  get sessionLeftMs(): number {
    if (this.#waiting !== undefined) return Number.POSITIVE_INFINITY;
    return this.#lastSeenMs + this.sessionTimeoutMs - this.#clock.nowMs();
  }

  /** Errors: MEMBER_FENCED. */
  async poll(waitMs: number): Promise<GroupEvent[]> {
    const deadlineMs = this.#clock.nowMs() + waitMs;
    for (;;) {
      if (this.#state === 'left') return [];
      this.#group.expire();
      this.#rejoin();
      this.#lastSeenMs = this.#clock.nowMs();
      const events = this.#takeEvents();
      if (events.length > 0) return events;
      if (this.#state === 'fenced' && this.#unanswered.length === 0) throw this.#fenced();
      const leftMs = deadlineMs - this.#clock.nowMs();
      if (leftMs <= 0) return [];
      await this.#wait(Math.min(leftMs, this.#group.nextExpiryMs()));
      this.#lastSeenMs = this.#clock.nowMs();
    }
  }

  async acknowledge(event: GroupEvent): Promise<void> {
    if (this.#state === 'left') return;
    if (this.#overtaken.delete(event)) {
      if (event.type === 'revoked') for (const partition of event.partitions) this.#known.delete(partition);
      return;
    }
    assert(this.#unanswered[0] === event, 'a group event was acknowledged twice or out of order');
    this.#unanswered.shift();
    if (event.type === 'assigned') return;
    for (const partition of event.partitions) this.#known.delete(partition);
    if (event.type === 'revoked') this.#group.release(this, event.partitions);
    else this.#rejoin();
  }

  async commitOffsets(offsets: readonly PartitionOffset[]): Promise<void> {
    this.checkMembership();
    if (offsets.length === 0) return;
    await this.#commitOffsets(offsets.map((offset) => ({ ...offset, groupId: this.groupId })));
  }

  /** A static member stays in the group, silent, until its session ends or it comes again. */
  async close(): Promise<void> {
    if (this.#state === 'left') return;
    const wasLive = this.#state === 'live';
    this.#state = 'left';
    this.#waiting?.abort();
    this.#closed(this);
    if (wasLive && this.instanceId === undefined) this.#group.remove(this);
  }

  /** Errors: MEMBER_FENCED unless it is in the group and knows of every loss. */
  checkMembership(): void {
    this.#group.expire();
    if (this.#state !== 'live') throw this.#fenced();
  }

  // What follows is called by the group alone.

  grant(partition: number): void {
    this.#generation += 1;
    this.#toAssign.add(partition);
    this.#waiting?.abort();
  }

  /** True when it never heard of the partition, which is then free at once. */
  withdraw(partition: number): boolean {
    this.#generation += 1;
    if (this.#toAssign.delete(partition)) return true;
    this.#toRevoke.add(partition);
    this.#waiting?.abort();
    return false;
  }

  /** Takes a revocation back if it was not told yet. */
  keep(partition: number): boolean {
    return this.#toRevoke.delete(partition);
  }

  /** The group gave its place away. */
  expel(state: 'lost' | 'fenced'): void {
    if (this.#state === 'left') return;
    this.#state = state;
    this.#generation += 1;
    this.#toAssign.clear();
    this.#toRevoke.clear();
    for (const event of this.#unanswered) this.#overtaken.add(event);
    this.#unanswered = [];
    this.#toLose = true;
    this.#toGreet = true;
    this.#waiting?.abort();
  }

  #takeEvents(): GroupEvent[] {
    const events: GroupEvent[] = [];
    if (this.#toLose) {
      this.#toLose = false;
      if (this.#known.size > 0) events.push({ type: 'lost', partitions: sorted(this.#known) });
      else this.#rejoin();
    }
    if (this.#toRevoke.size > 0) events.push({ type: 'revoked', partitions: sorted(this.#toRevoke) });
    if (this.#toAssign.size > 0 || (this.#toGreet && this.#state === 'live')) {
      events.push({ type: 'assigned', partitions: sorted(this.#toAssign) });
      this.#toGreet = false;
    }
    for (const partition of this.#toAssign) this.#known.add(partition);
    this.#toRevoke.clear();
    this.#toAssign.clear();
    this.#unanswered.push(...events);
    return events;
  }

  #rejoin(): void {
    if (this.#state !== 'lost' || this.#toLose || this.#unanswered.length > 0) return;
    if (!this.#group.mayRejoin(this)) {
      this.#state = 'fenced';
      return;
    }
    this.#state = 'live';
    this.#lastSeenMs = this.#clock.nowMs();
    this.#group.add(this);
  }

  async #wait(waitMs: number): Promise<void> {
    this.#waiting = new AbortController();
    try {
      await this.#clock.sleep(waitMs, this.#waiting.signal);
    } finally {
      this.#waiting = undefined;
    }
  }

  #fenced(): StreamsError {
    const why = this.#state === 'left' ? 'it was closed' : 'its session ended or another took its place';
    return new StreamsError('MEMBER_FENCED', `the member is not in the group ${this.groupId}: ${why}`);
  }
}

export class Group {
  readonly topic: string;
  #members: EmbeddedGroupMember[] = [];
  /** Who has the partition: granted, and neither given back nor taken away. */
  readonly #owner: (EmbeddedGroupMember | undefined)[];
  /** Who shall have it. */
  #target: (EmbeddedGroupMember | undefined)[];
  /** The owner was or will be asked to give it back. */
  readonly #revoking = new Set<number>();
  /** The newest member of each instance id. */
  readonly #instances = new Map<string, EmbeddedGroupMember>();

  constructor(topic: string, partitions: number) {
    this.topic = topic;
    this.#owner = new Array<EmbeddedGroupMember | undefined>(partitions).fill(undefined);
    this.#target = [...this.#owner];
  }

  /** False when another member of its instance id has come since. */
  mayRejoin(member: EmbeddedGroupMember): boolean {
    return member.instanceId === undefined || this.#instances.get(member.instanceId) === member;
  }

  /** Of its topic, when it came to be. */
  get partitions(): number {
    return this.#owner.length;
  }

  get empty(): boolean {
    return this.#members.length === 0;
  }

  /** Takes a member in; one with the instance id of another takes its place and partitions. */
  add(member: EmbeddedGroupMember): void {
    this.expire();
    const { instanceId } = member;
    if (instanceId !== undefined) this.#instances.set(instanceId, member);
    const older =
      instanceId === undefined ? undefined : this.#members.find((other) => other.instanceId === instanceId);
    if (older === undefined) {
      this.#members.push(member);
    } else {
      this.#members = this.#members.map((other) => (other === older ? member : other));
      this.#target = this.#target.map((owner) => (owner === older ? member : owner));
      for (const [partition, owner] of this.#owner.entries()) if (owner === older) this.#free(partition);
      older.expel('fenced');
    }
    this.#rebalance();
  }

  /** The member left: what it has is free. */
  remove(member: EmbeddedGroupMember): void {
    this.#members = this.#members.filter((other) => other !== member);
    for (const [partition, owner] of this.#owner.entries()) if (owner === member) this.#free(partition);
    this.#rebalance();
  }

  /** The member has given partitions back. */
  release(member: EmbeddedGroupMember, partitions: readonly number[]): void {
    for (const partition of partitions) if (this.#owner[partition] === member) this.#free(partition);
    this.#reconcile();
  }

  /** Removes members that were not polled for their session. */
  expire(): void {
    for (const member of this.#members) {
      if (member.sessionLeftMs >= 0) continue;
      member.expel('lost');
      this.remove(member);
    }
  }

  nextExpiryMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const member of this.#members) next = Math.min(next, member.sessionLeftMs);
    // One past the session's last millisecond, when the member is out.
    return next + 1;
  }

  #free(partition: number): void {
    this.#owner[partition] = undefined;
    this.#revoking.delete(partition);
  }

  #rebalance(): void {
    this.#target = balance(this.#target, this.#members);
    this.#reconcile();
  }

  /** Grants what is free, asks for the rest. */
  #reconcile(): void {
    for (const [partition, target] of this.#target.entries()) {
      const owner = this.#owner[partition];
      if (owner !== undefined && owner !== target && !this.#revoking.has(partition)) {
        if (owner.withdraw(partition)) this.#free(partition);
        else this.#revoking.add(partition);
      } else if (owner !== undefined && owner === target && this.#revoking.has(partition)) {
        if (owner.keep(partition)) this.#revoking.delete(partition);
      }
      if (this.#owner[partition] === undefined && target !== undefined) {
        this.#owner[partition] = target;
        target.grant(partition);
      }
    }
  }
}

/** All groups by id. Their offsets are not kept here. */
export class GroupRegistry {
  readonly #groups = new Map<string, Group>();
  readonly #clock: Clock;
  readonly #commitOffsets: CommitOffsets;

  constructor(clock: Clock, commitOffsets: CommitOffsets) {
    this.#clock = clock;
    this.#commitOffsets = commitOffsets;
  }

  /** Errors: SETTING_INVALID when the group shares out another topic. */
  join(
    options: GroupOptions,
    partitions: number,
    closed: (member: EmbeddedGroupMember) => void,
  ): EmbeddedGroupMember {
    let group = this.#groups.get(options.groupId);
    group?.expire();
    if (group === undefined || (group.empty && isOther(group, options.topic, partitions))) {
      group = new Group(options.topic, partitions);
      this.#groups.set(options.groupId, group);
    }
    if (group.topic !== options.topic) {
      const sentence = `the group ${options.groupId} shares out the topic ${group.topic}, not ${options.topic}`;
      throw new StreamsError('SETTING_INVALID', sentence);
    }
    const member = new EmbeddedGroupMember(group, options, this.#clock, this.#commitOffsets, closed);
    group.add(member);
    return member;
  }
}

/** Its topic is another one, or was made anew. */
function isOther(group: Group, topic: string, partitions: number): boolean {
  return group.topic !== topic || group.partitions !== partitions;
}

function sorted(partitions: Iterable<number>): number[] {
  return [...partitions].sort((a, b) => a - b);
}
