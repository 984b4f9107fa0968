/**
 * Who gets which partition of a group's topic: sticky and balanced. Pure; called by embedded-groups.ts
 * whenever a member comes or goes.
 */

/**
 * The new owner of each partition.
 *
 * Counts differ by one at most, and no more partitions move than that takes: each member keeps what it has
 * up to its share, and the larger shares go to those who have most.
 * Arguments: `current[p]` is partition p's owner so far; owners that are no members any more lose all.
 * Order: ties go to the member that comes first.
 */
export function balance<M>(current: readonly (M | undefined)[], members: readonly M[]): (M | undefined)[] {
  const target: (M | undefined)[] = current.map(() => undefined);
  if (members.length === 0) return target;
  const owned = new Map<M, number[]>(members.map((member) => [member, []]));
  for (const [partition, owner] of current.entries()) {
    if (owner !== undefined) owned.get(owner)?.push(partition);
  }
  const smaller = Math.floor(current.length / members.length);
  let largerLeft = current.length % members.length;
  const byCount = [...members].sort((a, b) => (owned.get(b)?.length ?? 0) - (owned.get(a)?.length ?? 0));
  const wanting: { member: M; count: number }[] = [];
  for (const member of byCount) {
    const share = smaller + (largerLeft > 0 ? 1 : 0);
    if (largerLeft > 0) largerLeft -= 1;
    const kept = (owned.get(member) ?? []).slice(0, share);
    for (const partition of kept) target[partition] = member;
    if (kept.length < share) wanting.push({ member, count: share - kept.length });
  }
  for (const [partition, owner] of target.entries()) {
    if (owner !== undefined) continue;
    const next = wanting[0];
    if (next === undefined) break;
    target[partition] = next.member;
    next.count -= 1;
    if (next.count === 0) wanting.shift();
  }
  return target;
}
