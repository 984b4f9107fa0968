/** What makes a transactional producer untrustworthy, and what does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { RetryWatch } from '../../../src/broker/kafka-retry-watch.ts';

const statistics = (counters: Record<string, object>): string => JSON.stringify({ brokers: counters });
const coordinator = (disconnects: number, timeouts = 0, source = 'logical') =>
  statistics({ one: { source, disconnects, req_timeouts: timeouts, txretries: 7 } });

describe('the watch for repeated requests', () => {
  const started = (text?: string): RetryWatch => {
    const watch = new RetryWatch();
    if (text !== undefined) watch.noteStatistics(text);
    watch.start();
    return watch;
  };

  it('suspects nothing while counters stand still and answers are retriable errors', () => {
    const watch = started(coordinator(2));
    watch.noteStatistics(coordinator(2));
    watch.noteCall('commit', 40);
    watch.noteLog({ severity: 6, fac: 'TXNRETRY', message: 'concurrent transactions' });
    assert.equal(watch.suspicion, undefined);
  });

  it('suspects a lost connection and a timed-out request in the statistics', () => {
    for (const text of [coordinator(3), coordinator(2, 1)]) {
      const watch = started(coordinator(2));
      watch.noteStatistics(text);
      assert.match(watch.suspicion ?? '', /1 connections lost or requests timed out/);
    }
  });

  it('suspects at once what the log, an error, a slow or a failed call tells', () => {
    const causes: ((watch: RetryWatch) => void)[] = [
      (watch) => watch.noteLog({ severity: 4, fac: 'FAIL', message: 'Disconnected' }),
      (watch) => watch.noteLog({ severity: 4, fac: 'REQTMOUT', message: '1 request timed out' }),
      (watch) => watch.noteError('all brokers down'),
      (watch) => watch.noteCall('commit', 1_001),
      (watch) => watch.noteFailure('commit', 'timed out'),
    ];
    for (const cause of causes) {
      const watch = started();
      cause(watch);
      assert.notEqual(watch.suspicion, undefined);
    }
  });

  it('does not count what happened before the producer was initialised, nor the first contact', () => {
    const watch = new RetryWatch();
    watch.noteLog({ severity: 3, fac: 'FAIL', message: 'Connection refused' });
    watch.noteStatistics(coordinator(5));
    watch.start();
    watch.noteStatistics(
      statistics({
        one: { source: 'logical', disconnects: 5 },
        two: { source: 'configured', disconnects: 1 },
      }),
    );
    assert.equal(watch.suspicion, undefined);
  });

  it('takes the first statistics as its starting point when they come late', () => {
    const watch = started();
    watch.noteStatistics(coordinator(4));
    assert.equal(watch.suspicion, undefined);
    watch.noteStatistics(coordinator(5));
    assert.notEqual(watch.suspicion, undefined);
  });
});
