/** The registry contract on the embedded registry: in memory, and on a backend. */
import { describe } from 'mocha';
import { openEmbeddedRegistry } from '../../src/registry/embedded-registry.ts';
import { openMemoryBackend } from '../../src/store/memory-backend.ts';
import { registryContract } from './registry-contract.ts';

describe('registry contract: embedded, in memory', () => {
  registryContract(() => openEmbeddedRegistry());
});

describe('registry contract: embedded, on a backend', () => {
  registryContract(async () => openEmbeddedRegistry({ backend: await openMemoryBackend() }));
});
