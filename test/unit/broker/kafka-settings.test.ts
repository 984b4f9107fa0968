/** Goal: what correctness rests on is not up to a user's properties. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { consumerSettings, memberSettings, producerSettings } from '../../../src/broker/kafka-settings.ts';

const properties = {
  'log.connection.close': 'false',
  log_level: '0',
  'statistics.interval.ms': '60000',
  'enable.idempotence': 'false',
  'transaction.timeout.ms': '1',
  'transactional.id': 'another',
  'isolation.level': 'read_uncommitted',
  'enable.auto.commit': 'true',
  'group.id': 'another',
  'security.protocol': 'SSL',
};
const basics = { brokers: 'kafka:9092', properties };

describe('settings of the Kafka client', () => {
  it('keep a transactional producer’s witnesses and its idempotence, whatever the properties say', () => {
    const settings = producerSettings(basics, 'client', {
      transactionalId: 'tx',
      transactionTimeoutMs: 10_000,
      canCompress: true,
    });
    assert.equal(settings['log.connection.close'], true);
    assert.equal(settings.log_level, 6);
    assert.equal(settings['statistics.interval.ms'], 100);
    assert.equal(settings['enable.idempotence'], true);
    assert.equal(settings['transactional.id'], 'tx');
    assert.equal(settings['transaction.timeout.ms'], 10_000);
    assert.equal(settings['security.protocol'], 'SSL');
  });

  it('keep a producer without transactions idempotent', () => {
    const options = { transactionalId: undefined, transactionTimeoutMs: 10_000, canCompress: true };
    assert.equal(producerSettings(basics, 'client', options)['enable.idempotence'], true);
  });

  it('keep readers to their isolation, and offsets to the runtime', () => {
    const consumer = consumerSettings(basics, 'client', 'read_committed');
    assert.equal(consumer['isolation.level'], 'read_committed');
    assert.equal(consumer['enable.auto.commit'], false);
    const member = memberSettings(basics, 'client', {
      groupId: 'group',
      instanceId: undefined,
      sessionTimeoutMs: 6_000,
      protocol: 'consumer',
    });
    assert.equal(member['group.id'], 'group');
    assert.equal(member['enable.auto.commit'], false);
  });
});
