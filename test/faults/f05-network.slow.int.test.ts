/**
 * F5, at length: an instance is cut off from a cluster of three brokers, from one of them, from the coordinator of
 * its group or of its transactions, and in one direction only. Taken by `npm run faults`.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'mocha';
import type { KafkaCluster } from '../../scripts/kafka.mjs';
import { ClientNetwork, coordinatorRequests } from '../support/client-network.ts';
import { eventually } from '../support/eventually.ts';
import { LedgerRun } from '../support/ledger-run.ts';
import { commitsStandStill, othersGoOn, othersTakeOver, throughCut } from '../support/network-cuts.ts';
import { startCluster, stopCluster } from '../support/test-cluster.ts';

describe('F5, at length: the network is cut', function () {
  this.timeout(10 * 60_000);
  let cluster: KafkaCluster;
  let run: LedgerRun | undefined;
  let network: ClientNetwork | undefined;
  before(async () => {
    cluster = await startCluster({ brokers: 3 });
  });
  after(() => stopCluster(cluster));
  afterEach(async () => {
    await run?.close();
    await network?.close();
    run = undefined;
    network = undefined;
  });

  const open = async (seed: number): Promise<{ run: LedgerRun; network: ClientNetwork }> => {
    network = await ClientNetwork.open(cluster.bootstrap);
    run = await LedgerRun.open({ brokers: cluster.bootstrap, seed, restMs: 180_000 });
    run.add('w1', { plan: { brokers: network.bootstrap } });
    for (const name of ['w2', 'w3']) run.add(name);
    run.load.start(200);
    await run.ready(120_000);
    return { run, network };
  };
  const judge = async (run: LedgerRun): Promise<void> => {
    const verdict = await run.finish();
    run.assertClean(verdict);
    assert.deepEqual(run.ownEndings, [], run.story);
    console.log(`      ${verdict.entries} entries, ${verdict.aborted} aborted`);
  };
  /** Known from the first request that goes to it. */
  const carrier = async (network: ClientNetwork, kind: keyof typeof coordinatorRequests): Promise<number> => {
    const found = await eventually(
      () => {
        const broker = network.carrierOf(coordinatorRequests[kind]);
        return broker === undefined ? undefined : { broker };
      },
      { timeoutMs: 60_000, what: `a request to the coordinator of the ${kind}` },
    );
    return found.broker;
  };

  it('from every broker: others take over, and what comes late is refused', async () => {
    const { run, network } = await open(511);
    await throughCut(run, { name: 'w1', network }, {}, () => othersTakeOver(run, 'w1'));
    await judge(run);
  });

  it('from the coordinator of its group alone: it loses its tasks and comes back', async () => {
    const { run, network } = await open(512);
    const brokers = [await carrier(network, 'group')];
    await throughCut(run, { name: 'w1', network }, { brokers }, () => othersTakeOver(run, 'w1'));
    await judge(run);
  });

  it('from the coordinator of its transactions alone: it commits nothing meanwhile, and goes on', async () => {
    const { run, network } = await open(513);
    const brokers = [await carrier(network, 'transaction')];
    await throughCut(run, { name: 'w1', network }, { brokers }, async () => {
      await commitsStandStill(run, 'w1');
      await othersGoOn(run, 'w1', 500);
    });
    await judge(run);
  });

  it('from one broker after the other: the others go on, and nothing is lost or doubled', async () => {
    const { run, network } = await open(514);
    for (const index of [0, 1, 2]) {
      await throughCut(run, { name: 'w1', network }, { brokers: [index] }, () =>
        othersGoOn(run, 'w1', 1_500),
      );
    }
    await judge(run);
  });

  for (const direction of ['requests', 'answers'] as const) {
    it(`in one direction, that of the ${direction}: others take over, and nothing is lost or doubled`, async () => {
      const { run, network } = await open(direction === 'requests' ? 515 : 516);
      await throughCut(run, { name: 'w1', network }, { directions: [direction] }, () =>
        othersTakeOver(run, 'w1'),
      );
      await judge(run);
    });
  }
});
