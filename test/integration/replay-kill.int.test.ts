/** A replay on the embedded broker that is killed again and again, and the same one undisturbed. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { seededRandom } from '../../src/base/seeded-random.ts';
import { generatedFolder } from '../support/olist-folder.ts';
import { killedReplay, outcomeOf, replay } from '../support/replay.ts';

describe('a replay on the embedded broker that is killed at ten random moments', () => {
  it('ends with the same phases and commands as an undisturbed one, none doubled, none lost', async function () {
    this.timeout(10 * 60_000);
    const { path } = await generatedFolder(2_500, 9);
    const undisturbed = await replay(['--olist', path]);
    const random = seededRandom(20_171_124);
    const { summary, kills } = await killedReplay({
      args: ['--olist', path],
      kills: 10,
      // From its first writes to some way into the work.
      nextKillMs: () => 700 + random.integer(1_500),
    });
    assert.equal(kills, 10, 'it came to its end before it was killed often enough');
    assert.equal(summary.duplicateCommands, 0);
    assert.deepEqual(outcomeOf(summary), outcomeOf(undisturbed));
  });
});
