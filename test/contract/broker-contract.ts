/**
 * What every Broker promises, as one suite: run by embedded-broker.test.ts and by the tests on a real Kafka.
 * A new adapter calls `brokerContract` with what it supports.
 *
 * Everything asynchronous is waited for with a deadline, since a real broker takes its time; each test uses
 * topics, groups and transactional ids of its own, since a real broker keeps them.
 */
import { after, before, describe } from 'mocha';
import { adminContract } from './broker-contract-admin.ts';
import { consumerContract } from './broker-contract-consumer.ts';
import { groupContract } from './broker-contract-groups.ts';
import { type BrokerAdapter, BrokerBench } from './broker-contract-support.ts';
import { transactionContract } from './broker-contract-transactions.ts';

export type { BrokerAdapter, BrokerSupports } from './broker-contract-support.ts';

export function brokerContract(adapter: BrokerAdapter): void {
  describe(`broker contract: ${adapter.name}`, () => {
    let bench: BrokerBench;
    before(async () => {
      bench = new BrokerBench(await adapter.open(), adapter);
    });
    after(() => bench?.broker.close());

    const current = (): BrokerBench => bench;
    adminContract(current, adapter.supports);
    consumerContract(current);
    transactionContract(current, adapter.supports);
    groupContract(current, adapter.supports);
  });
}
