/**
 * Results recorded from Kafka Streams 4.3.1, replayed on our operators. The data lies beside the project; a
 * clone alone has the rules as cases of their own in dsl/.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { sharedJson } from '../support/shared-folder.ts';
import { differencesOf } from '../vectors/run-vectors.ts';
import { casesOf, NotBuilt, type VectorCase } from '../vectors/vector-case.ts';

/** Cases that are not built yet. Whoever builds one takes its line out; at the end the list is empty. */
const unbuilt: readonly ((vector: VectorCase) => boolean)[] = [];

for (const name of ['joins', 'windows']) {
  const data = sharedJson('kafka-streams-vectors', `${name}.json`);
  if (data === undefined) continue;
  describe(`${name} give what Kafka Streams gives`, () => {
    for (const vector of casesOf(data)) {
      it(`${vector.kind}: ${vector.name}`, async () => {
        const differences = differencesOf(vector);
        if (unbuilt.some((matches) => matches(vector))) {
          await assert.rejects(
            differences,
            NotBuilt,
            'it is built: take it off the list of those that are not',
          );
          return;
        }
        assert.deepEqual(await differences, []);
      });
    }
  });
}
