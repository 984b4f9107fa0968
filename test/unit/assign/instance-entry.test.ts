/** Goal: everybody who reads the instances topic comes to the same view, whoever died or speaks nonsense. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  decodeEntry,
  encodeEntry,
  type InstanceEntry,
  InstanceView,
} from '../../../src/assign/instance-entry.ts';

function entry(owned: readonly string[], standby: readonly string[] = []): InstanceEntry {
  return { instanceId: 'pod-0', host: 'node-1', tags: { zone: 'a' }, owned, standby, timeMs: 5 };
}

describe('the view of all instances', () => {
  it('is made of entries that survive the way through the topic', () => {
    const dynamic = { ...entry(['0_1'], ['0_2']), instanceId: undefined, host: undefined };
    for (const each of [entry(['0_1'], ['0_2']), dynamic])
      assert.deepEqual(decodeEntry(encodeEntry(each)), each);
  });

  it('passes over what is no entry', () => {
    const good = JSON.parse(encodeEntry(entry([])).toString()) as Record<string, unknown>;
    for (const bad of [
      'nonsense',
      'null',
      '7',
      '{}',
      JSON.stringify({ ...good, version: 2 }),
      JSON.stringify({ ...good, owned: 'all' }),
      JSON.stringify({ ...good, standby: [1] }),
      JSON.stringify({ ...good, tags: null }),
    ])
      assert.equal(decodeEntry(Buffer.from(bad)), undefined, bad);
  });

  it('forgets who left, and who was silent too long by the clock of the reader', () => {
    const view = new InstanceView(300);
    view.take('a', entry(['0_0']), 1_000, 0);
    view.take('b', entry(['0_1']), 1_000, 0);
    view.take('c', entry(['0_2']), 1_000, 250);
    assert.equal(view.expire(1_040), false);
    assert.equal(view.expire(1_051), true, 'c was old when it was read');
    view.take('a', undefined, 1_060, 0);
    assert.deepEqual(
      view.instances().map(({ name }) => name),
      ['b'],
    );
    view.take('b', entry(['0_1']), 1_200, -99_999);
    assert.equal(view.expire(1_500), false, 'a writer whose clock is ahead gets no more time than others');
    assert.equal(view.expire(1_501), true);
    assert.deepEqual(view.owners(), new Map());
  });

  it('believes the later of two that claim a task', () => {
    const view = new InstanceView(300);
    view.take('b', entry(['0_0', '0_1'], ['0_3']), 0, 0);
    view.take('a', entry(['0_0'], ['0_3']), 1, 0);
    assert.deepEqual(
      view.owners(),
      new Map([
        ['0_0', 'a'],
        ['0_1', 'b'],
      ]),
    );
    assert.deepEqual(view.standbys(), new Map([['0_3', ['a', 'b']]]));
  });
});
