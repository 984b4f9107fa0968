/** The engine's contract on a real Kafka. */
import { openTestKafka, uniqueName } from '../support/kafka.ts';
import { engineContract } from './engine-contract.ts';

engineContract({
  name: 'a real Kafka',
  open: () => openTestKafka(),
  uniqueName,
  deadlineMs: 45_000,
  commitIntervalMs: 50,
});
