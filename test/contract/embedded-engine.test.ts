/** The engine's contract on the embedded broker, in memory. */
import { wallClock } from '../../src/base/wall-clock.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import { engineContract } from './engine-contract.ts';

let names = 0;

for (const processingGuarantee of ['exactly_once_v2', 'at_least_once'] as const) {
  engineContract({
    name: 'the embedded broker',
    open: () => openEmbeddedBroker({ backend: undefined, clock: wallClock }),
    uniqueName: (prefix) => `${prefix}-${++names}`,
    deadlineMs: 20_000,
    processingGuarantee,
    commitIntervalMs: 5,
  });
}
