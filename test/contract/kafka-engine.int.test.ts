/** The engine's contract on a real Kafka. */
import { openTestKafka, uniqueName } from '../support/kafka.ts';
import { engineContract } from './engine-contract.ts';

for (const processingGuarantee of ['exactly_once_v2', 'at_least_once'] as const) {
  engineContract({
    name: 'a real Kafka',
    open: () => openTestKafka(),
    uniqueName,
    deadlineMs: 45_000,
    processingGuarantee,
    commitIntervalMs: 50,
  });
}
