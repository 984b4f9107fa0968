/**
 * F5: the network between an instance and its broker is cut, and nobody is told. The quick one; those with three
 * brokers are in f05-network.slow.int.test.ts.
 */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import { ClientNetwork } from '../support/client-network.ts';
import { testKafka } from '../support/kafka.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { othersTakeOver, throughCut } from '../support/network-cuts.ts';

describe('F5: the network is cut', function () {
  this.timeout(300_000);
  let run: LedgerRun | undefined;
  let network: ClientNetwork | undefined;
  afterEach(async () => {
    await run?.close();
    await network?.close();
  });

  it('others take over, what arrives late from the one that was cut off is refused, and it works on', async () => {
    network = await ClientNetwork.open(testKafka());
    run = await LedgerRun.open({ brokers: testKafka(), seed: 505 });
    run.add('w1', { plan: { brokers: network.bootstrap } });
    run.add('w2');
    run.load.start(300);
    await run.ready();
    const ledger = run;
    await throughCut(run, { name: 'w1', network }, {}, () => othersTakeOver(ledger, 'w1'));
    const verdict = await run.finish();
    run.assertClean(verdict);
    assert.deepEqual(run.ownEndings, [], run.story);
  });
});
