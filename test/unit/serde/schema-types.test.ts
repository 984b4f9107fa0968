import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'mocha';
import { loadSchemas } from '../../../src/registry/schema-files.ts';
import { topicRecords } from '../../../topology/schema-types.ts';

describe('the generated types', () => {
  it('are what the generator makes of schemas/ today', () => {
    const run = spawnSync(process.execPath, ['scripts/generate-types.mjs', '--check'], { encoding: 'utf8' });
    assert.equal(run.status, 0, run.stderr);
  });

  it('list the records of each topic as the schemas folder does', async () => {
    const { topics } = await loadSchemas('schemas');
    assert.deepEqual(
      Object.fromEntries(topics.map(({ topic, records }) => [topic, records])),
      Object.fromEntries(Object.entries(topicRecords).map(([topic, records]) => [topic, [...records]])),
    );
  });
});
