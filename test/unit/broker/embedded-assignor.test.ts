/** The group assignor, as properties: complete, balanced, and moving no more than that takes. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { balance } from '../../../src/broker/embedded-assignor.ts';

function counts(target: readonly (string | undefined)[], members: readonly string[]): number[] {
  return members.map((member) => target.filter((owner) => owner === member).length);
}

/** The fewest partitions that must change hands: what the shares cannot keep. */
function leastMoves(current: readonly (string | undefined)[], members: readonly string[]): number {
  const owned = counts(current, members).sort((a, b) => b - a);
  const smaller = Math.floor(current.length / members.length);
  const larger = current.length % members.length;
  const kept = owned.reduce((sum, count, i) => sum + Math.min(count, i < larger ? smaller + 1 : smaller), 0);
  return current.length - kept;
}

describe('embedded broker: the group assignor', () => {
  const members = fc
    .integer({ min: 1, max: 9 })
    .map((count) => Array.from({ length: count }, (_, i) => `m${i}`));
  const owners = fc.array(
    fc.option(
      fc.integer({ min: 0, max: 11 }).map((i) => `m${i}`),
      { nil: undefined },
    ),
    {
      maxLength: 40,
    },
  );

  it('gives every partition to a member, evenly, with the fewest moves', () => {
    fc.assert(
      fc.property(owners, members, (current, group) => {
        const target = balance(current, group);
        assert.ok(target.every((owner) => owner !== undefined && group.includes(owner)));
        const each = counts(target, group);
        assert.ok(Math.max(...each) - Math.min(...each) <= 1);
        const moved = target.filter((owner, partition) => owner !== current[partition]).length;
        assert.equal(moved, leastMoves(current, group));
      }),
    );
  });

  it('changes nothing when it is asked again', () => {
    fc.assert(
      fc.property(owners, members, (current, group) => {
        const target = balance(current, group);
        assert.deepEqual(balance(target, group), target);
      }),
    );
  });

  it('leaves partitions without an owner when there is no member', () => {
    assert.deepEqual(balance(['gone', undefined], []), [undefined, undefined]);
  });

  it('gives a third member a third, and takes it back evenly when it leaves', () => {
    const two = balance(new Array<string | undefined>(12).fill(undefined), ['a', 'b']);
    const three = balance(two, ['a', 'b', 'c']);
    assert.equal(three.filter((owner, p) => owner !== two[p]).length, 4);
    const again = balance(three, ['a', 'b']);
    assert.equal(again.filter((owner, p) => owner !== three[p]).length, 4);
  });
});
