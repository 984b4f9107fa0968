/**
 * `millrace repartition` as an operator meets it: the shop's topics have got more partitions, `run` refuses them and
 * says what to type, and afterwards the orders go on where they were. On a Kafka of its own, for the names of
 * the shop's topics are fixed.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'mocha';
import type { KafkaCluster } from '../../scripts/kafka.mjs';
import { dashboardOf, getJson, newFolder, type RunningCli, runCli, startCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { openTestKafka } from '../support/kafka.ts';
import { placeOrder } from '../support/place-order.ts';
import { startCluster, stopCluster } from '../support/test-cluster.ts';

const deadlineMs = 120_000;

describe('millrace repartition', function () {
  this.timeout(10 * 60_000);
  let cluster: KafkaCluster;
  const running: RunningCli[] = [];
  before(async () => {
    cluster = await startCluster();
  });
  after(async () => {
    for (const { child } of running) child.kill('SIGKILL');
    await stopCluster(cluster);
  });

  const environment = (partitions: number): Record<string, string> => {
    const { MILLRACE_TEST_REGISTRY: registry } = process.env;
    assert.ok(registry !== undefined, 'run it with npm test, which starts a registry');
    return {
      MILLRACE_BROKERS: cluster.bootstrap,
      MILLRACE_REGISTRY_URL: registry,
      MILLRACE_APPLICATION_ID: 'growing',
      MILLRACE_PARTITIONS: String(partitions),
      MILLRACE_CREATE_TOPICS: 'true',
      MILLRACE_REGISTER_SCHEMAS: 'true',
      MILLRACE_TIMER_PROFILE: 'demo',
      MILLRACE_HTTP_PORT: '0',
    };
  };

  /** Runs the shop and its participants, lets `use` work with the shop's address, and stops both. */
  async function whileRunning(partitions: number, use: (url: string) => Promise<void>): Promise<void> {
    const both = ['run', 'participants'].map((command) =>
      startCli([command], { env: { ...environment(partitions), MILLRACE_STATE_DIR: newFolder() } }),
    );
    running.push(...both);
    try {
      const urls = await Promise.all(both.map(dashboardOf));
      for (const url of urls) {
        await eventually(async () => (await fetch(`${url}/readyz`)).status === 200, {
          timeoutMs: deadlineMs,
          what: 'the shop and the participants are ready',
        });
      }
      await use(urls[0] as string);
    } finally {
      for (const { child } of both) child.kill('SIGTERM');
    }
    for (const { result } of both) {
      const { code, stderr } = await result;
      assert.equal(code, 0, stderr);
    }
  }

  const place = (orderId: string): Promise<void> =>
    placeOrder({
      brokers: cluster.bootstrap,
      registry: environment(1).MILLRACE_REGISTRY_URL as string,
      orderId,
    });

  const phaseOf = async (url: string, orderId: string): Promise<string | undefined> =>
    (await getJson<{ phase: string }>(`${url}/api/orders/${orderId}`))?.phase;

  async function untilDelivered(url: string, orderId: string): Promise<void> {
    let phase: string | undefined;
    const isDelivered = async () => {
      phase = await phaseOf(url, orderId);
      return phase === 'DELIVERED' || phase === 'CLOSED';
    };
    await eventually(isDelivered, { timeoutMs: deadlineMs, what: `${orderId} is delivered` }).catch(
      (error: Error) => {
        throw new Error(`${error.message}; it is ${phase}`);
      },
    );
  }

  it('is what run names when the topics have grown, and brings the orders along', async () => {
    const orders = Array.from({ length: 8 }, (_, n) => `order-${n}`);
    await whileRunning(2, async (url) => {
      for (const orderId of orders) await place(orderId);
      for (const orderId of orders) await untilDelivered(url, orderId);
      // Nobody writes any more but the shop and its participants to each other, until that has ended, too.
      for (const args of [['repartition'], ['repartition', '--participants']]) {
        await eventually(
          async () => {
            const { code, stdout, stderr } = await runCli([...args, '--check'], { env: environment(2) });
            assert.ok(code === 0 || /-\d+: \d+ records are not processed/.test(stdout), stderr);
            return code === 0;
          },
          { timeoutMs: deadlineMs, what: 'everything to be processed' },
        );
      }
    });

    const broker = await openTestKafka({ brokers: cluster.bootstrap });
    try {
      const names = await broker.admin.listTopics();
      const shop = names.filter((name) => !/^(__|growing-)/.test(name) && !name.endsWith('.dlq'));
      assert.ok(shop.includes('purchase.events'));
      for (const name of shop) await broker.admin.growTopic(name, 3);
    } finally {
      await broker.close();
    }

    const asBefore = await runCli(['run'], { env: environment(2) });
    assert.equal(asBefore.code, 1, asBefore.stderr);
    assert.match(asBefore.stderr, /has 3 partitions.*MILLRACE_PARTITIONS.*millrace repartition/);
    for (const command of ['run', 'participants']) {
      const refused = await runCli([command], { env: environment(3) });
      assert.equal(refused.code, 1, refused.stderr);
      assert.match(refused.stderr, /TOPIC_MISMATCH: .*growing-.* has 2 partitions.*millrace repartition/);
    }

    for (const args of [['repartition'], ['repartition', '--participants']]) {
      const moved = await runCli(args, { env: environment(3) });
      assert.equal(moved.code, 0, moved.stderr);
      assert.match(moved.stdout, /^growing-.*-changelog: 2 -> 3 partitions, [1-9]\d* rows$/m);
      const again = await runCli(args, { env: environment(3) });
      assert.equal(again.code, 0, again.stderr);
      assert.equal(again.stdout, 'all state lies where it belongs\n');
    }

    await whileRunning(3, async (url) => {
      for (const orderId of orders) await untilDelivered(url, orderId);
      await place('order-after');
      await untilDelivered(url, 'order-after');
    });
  });
});
