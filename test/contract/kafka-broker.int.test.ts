/** The broker contract on a real Kafka, once with each of its group protocols. */
import { openTestKafka, uniqueName } from '../support/kafka.ts';
import { brokerContract } from './broker-contract.ts';

for (const groupProtocol of ['consumer', 'classic'] as const) {
  brokerContract({
    name: `a real Kafka with the ${groupProtocol} group protocol`,
    open: () => openTestKafka({ groupProtocol }),
    uniqueName,
    supports: {
      topicIds: true,
      // The coordinator bumps the epoch when it ends an overdue transaction.
      fencesAfterTimeout: true,
      removesSilentMembers: false,
      // The new protocol refuses the newcomer, the classic one puts the older member out.
      instanceTakeOver: groupProtocol === 'classic',
      endsSettleLater: true,
      prefetchesInOrder: true,
      sessionTimeoutMs: 6_000,
      deadlineMs: 30_000,
    },
  });
}
