/** The registry contract on a real server, whose base URL is in MILLRACE_TEST_REGISTRY. */
import assert from 'node:assert/strict';
import { before, describe } from 'mocha';
import { wallClock } from '../../src/base/wall-clock.ts';
import { openHttpRegistry } from '../../src/registry/http-registry.ts';
import { registryContract } from './registry-contract.ts';

describe('registry contract: a server over HTTP', () => {
  const url = process.env.MILLRACE_TEST_REGISTRY ?? '';

  before(() => {
    assert.notEqual(
      url,
      '',
      'MILLRACE_TEST_REGISTRY has to hold the base URL of a registry; `npm test` starts one',
    );
  });

  registryContract(() => openHttpRegistry({ url, clock: wallClock }));
});
