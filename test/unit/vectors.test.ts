/**
 * Results recorded from Kafka Streams 4.3.1, replayed on our operators. The data lies beside the project; a
 * clone alone has the rules as cases of their own in dsl/.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { sharedJson } from '../support/shared-folder.ts';
import { differencesOf } from '../vectors/run-vectors.ts';
import { casesOf } from '../vectors/vector-case.ts';

for (const name of ['joins', 'windows']) {
  const data = sharedJson('kafka-streams-vectors', `${name}.json`);
  if (data === undefined) continue;
  describe(`${name} give what Kafka Streams gives`, () => {
    for (const vector of casesOf(data)) {
      it(`${vector.kind}: ${vector.name}`, async () => {
        assert.deepEqual(await differencesOf(vector), []);
      });
    }
  });
}
