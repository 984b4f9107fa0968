/** The program as its users start it: results, refusals, exit codes, and that it goes on where it was. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { dashboardOf, getJson, newFolder, runCli, startCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { generatedFolder } from '../support/olist-folder.ts';
import { placeOrder } from '../support/place-order.ts';

const minutes = 60_000;

interface Overview {
  readonly ready: boolean;
  readonly orders: { readonly total: number; readonly byPhase: Record<string, number> };
  readonly recent: readonly { readonly orderId: string; readonly phase: string }[];
}

describe('millrace demo', function () {
  this.timeout(3 * minutes);

  it('runs orders to their end, writes its summary, and goes on from there', async () => {
    const dataDir = newFolder();
    const file = join(newFolder(), 'summary.json');
    const args = ['demo', '--once', '--rate', '50', '--port', '0', '--data-dir', dataDir, '--summary', file];
    const first = await runCli([...args, '--orders', '12']);
    assert.equal(first.code, 0, first.stderr);
    const summary = JSON.parse(readFileSync(file, 'utf8'));
    assert.deepEqual([summary.input, summary.orders, summary.ended], ['demo', 12, 12]);
    assert.equal(summary.duplicateCommands, 0);
    assert.ok(summary.commands.ReserveStock >= 12);
    const second = await runCli([...args, '--orders', '18']);
    assert.equal(second.code, 0, second.stderr);
    const later = JSON.parse(readFileSync(file, 'utf8'));
    assert.deepEqual([later.orders, later.ended, later.duplicateCommands], [18, 18, 0]);
    assert.match(second.stdout, /18 orders, 18 of them ended/);
  });

  it('shows orders, one order, metrics and health while it runs, and stops in good order on SIGTERM', async () => {
    const dataDir = newFolder();
    const running = startCli(['demo', '--rate', '20', '--port', '0', '--data-dir', dataDir]);
    const url = await dashboardOf(running);
    const overview = await eventually(
      async () => {
        const answer = await getJson<Overview>(`${url}/api/overview`);
        return (answer?.orders.byPhase.DELIVERED ?? 0) > 0 ? answer : undefined;
      },
      { timeoutMs: 60_000, what: 'an order is delivered' },
    );
    assert.equal(overview.ready, true);
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    assert.match(await (await fetch(`${url}/metrics`)).text(), /millrace_records_processed_total\{/);
    assert.match(await (await fetch(url)).text(), /<html/i);
    const orderId = overview.recent.at(-1)?.orderId ?? '';
    const shown = await runCli(['order', orderId, '--url', url]);
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, new RegExp(`^${orderId}  [A-Z]+`));
    assert.match(shown.stdout, /event OrderPlaced \(row 2\) PENDING > RESERVING/);
    const unknown = await runCli(['order', 'no-such-order', '--url', url]);
    assert.equal(unknown.code, 1);
    running.child.kill('SIGTERM');
    // It bounds its own shutdown; one that hangs is found by this test's deadline.
    const { code, stderr } = await running.result;
    assert.equal(code, 0, stderr);
  });

  it('refuses a port in use', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code, stderr } = await runCli(['demo', '--port', String(port), '--data-dir', newFolder()]);
    server.close();
    assert.equal(code, 4, stderr);
    assert.match(stderr, new RegExp(`PORT_IN_USE: .*${port}`));
  });

  it('refuses a data directory in use, and the other process goes on', async () => {
    const dataDir = newFolder();
    const running = startCli(['demo', '--rate', '10', '--port', '0', '--data-dir', dataDir]);
    const url = await dashboardOf(running);
    const total = async () => (await getJson<Overview>(`${url}/api/overview`))?.orders.total ?? 0;
    await eventually(async () => (await total()) > 0, { timeoutMs: 60_000, what: 'orders are placed' });
    const { code, stderr } = await runCli(['demo', '--once', '--port', '0', '--data-dir', dataDir]);
    assert.equal(code, 4, stderr);
    assert.match(stderr, /STORE_LOCKED/);
    const before = await total();
    await eventually(async () => (await total()) > before, { what: 'the first one still takes orders' });
    running.child.kill('SIGTERM');
    assert.equal((await running.result).code, 0);
  });

  it('refuses a data directory of another seed', async () => {
    const dataDir = newFolder();
    const args = ['demo', '--once', '--orders', '2', '--port', '0', '--data-dir', dataDir];
    assert.equal((await runCli(args)).code, 0);
    const { code, stderr } = await runCli([...args, '--seed', '2']);
    assert.equal(code, 2);
    assert.match(stderr, /holds a demo of seed 1; start it with --seed 1/);
  });
});

describe('millrace replay', function () {
  this.timeout(3 * minutes);

  it('leaves no data behind unless it is told to keep it', async () => {
    const { path } = await generatedFolder(60, 1);
    const cwd = newFolder();
    const { code, stdout, stderr } = await runCli(['replay', '--olist', path], { cwd });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /of 60 orders reached the status/);
    assert.deepEqual(readdirSync(join(cwd, '.millrace')), []);
  });

  it('says that it was stopped, and goes on with the same data', async () => {
    const { path } = await generatedFolder(800, 2);
    const dataDir = newFolder();
    const args = ['replay', '--olist', path, '--data-dir', dataDir];
    const running = startCli(args);
    await eventually(() => existsSync(join(dataDir, 'state')), {
      timeoutMs: 30_000,
      what: 'the topology has begun',
    });
    running.child.kill('SIGINT');
    const { code, stderr } = await running.result;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /the same command goes on from here/);
    const other = await runCli([...args, '--duplicate', '0.5']);
    assert.equal(other.code, 2);
    assert.match(other.stderr, /a replay of other orders or options/);
    const rest = await runCli(args);
    assert.equal(rest.code, 0, rest.stderr);
    assert.match(rest.stdout, /0 of them twice/);
    const again = await runCli([...args, '--duplicate', '0.5', '--reset']);
    assert.equal(again.code, 0, again.stderr);
  });

  it('refuses input that cannot be right before it sends anything', async () => {
    const { path } = await generatedFolder(20, 3);
    const missing = await runCli(['replay', '--olist', join(path, 'nowhere')]);
    assert.deepEqual([missing.code, /INPUT_MISSING/.test(missing.stderr)], [2, true], missing.stderr);
    writeFileSync(join(path, 'sellers.csv'), 'seller\nx\n');
    writeFileSync(join(path, 'sellers.csv.gz'), 'no gzip');
    const torn = await runCli(['replay', '--olist', path]);
    assert.deepEqual([torn.code, /sellers\.csv\.gz/.test(torn.stderr)], [2, true], torn.stderr);
  });

  it('says which server does not answer', async () => {
    const { path } = await generatedFolder(20, 3);
    const kafka = ['--kafka', '127.0.0.1:9', '--registry', 'http://127.0.0.1:9'];
    const noBroker = await runCli(['replay', '--olist', path, ...kafka]);
    assert.equal(noBroker.code, 3, noBroker.stderr);
    assert.match(noBroker.stderr, /BROKER_UNAVAILABLE: .*127\.0\.0\.1:9/);
    const brokers = process.env.MILLRACE_TEST_KAFKA;
    assert.ok(brokers !== undefined, 'run it with npm test, which starts Kafka');
    const noRegistry = await runCli([
      'replay',
      '--olist',
      path,
      '--kafka',
      brokers,
      '--registry',
      'http://127.0.0.1:9',
    ]);
    assert.equal(noRegistry.code, 3, noRegistry.stderr);
    assert.match(noRegistry.stderr, /REGISTRY_UNAVAILABLE: .*127\.0\.0\.1:9/);
  });

  it('needs a registry with Kafka', async () => {
    const { path } = await generatedFolder(5, 3);
    const { code, stderr } = await runCli(['replay', '--olist', path, '--kafka', '127.0.0.1:9']);
    assert.equal(code, 2);
    assert.match(stderr, /--kafka needs a schema registry; add --registry/);
  });
});

describe('millrace run and participants', function () {
  this.timeout(5 * minutes);

  it('refuse a setting that is missing or wrong, by its name and bounds', async () => {
    const missing = await runCli(['run'], { env: { MILLRACE_BROKERS: '' } });
    assert.equal(missing.code, 2);
    assert.match(missing.stderr, /SETTING_INVALID: MILLRACE_BROKERS is not set/);
    const env = {
      MILLRACE_BROKERS: 'x:1',
      MILLRACE_REGISTRY_URL: 'http://x',
      MILLRACE_COMMIT_INTERVAL_MS: '1',
    };
    const wrong = await runCli(['participants'], { env });
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /MILLRACE_COMMIT_INTERVAL_MS is "1".*5 to 60000 ms/);
  });

  it('take an order from purchase to delivery on Kafka, each in a process of its own', async function () {
    // Two processes register every schema and create every topic at the same moment, on two cores.
    this.timeout(5 * 60_000);
    const { MILLRACE_TEST_KAFKA: brokers, MILLRACE_TEST_REGISTRY: registry } = process.env;
    assert.ok(brokers !== undefined && registry !== undefined, 'run it with npm test, which starts Kafka');
    const env = {
      MILLRACE_BROKERS: brokers,
      MILLRACE_REGISTRY_URL: registry,
      MILLRACE_APPLICATION_ID: `run-${process.pid}`,
      MILLRACE_CREATE_TOPICS: 'true',
      MILLRACE_REGISTER_SCHEMAS: 'true',
      MILLRACE_TIMER_PROFILE: 'demo',
      MILLRACE_HTTP_PORT: '0',
    };
    const shop = startCli(['run'], { env });
    const participants = startCli(['participants'], { env });
    try {
      const url = await dashboardOf(shop);
      await eventually(async () => (await fetch(`${url}/readyz`)).status === 200, {
        timeoutMs: 90_000,
        what: 'the shop is ready',
      });
      const other = await dashboardOf(participants);
      await eventually(async () => (await fetch(`${other}/readyz`)).status === 200, {
        timeoutMs: 90_000,
        what: 'the participants are ready',
      });
      const orderId = `run-order-${process.pid}`;
      await placeOrder({ brokers, registry, orderId });
      await eventually(
        async () => {
          const order = await getJson<{ phase: string }>(`${url}/api/orders/${orderId}`);
          return order?.phase === 'DELIVERED' || order?.phase === 'CLOSED';
        },
        { timeoutMs: 90_000, what: 'the order is delivered' },
      );
    } finally {
      shop.child.kill('SIGTERM');
      participants.child.kill('SIGTERM');
    }
    const results = await Promise.all([shop.result, participants.result]);
    for (const { code, stderr } of results) assert.equal(code, 0, stderr);
  });
});

describe('millrace', () => {
  it('explains itself: commands, options, settings and exit codes', async () => {
    const help = await runCli(['--help']);
    assert.equal(help.code, 0);
    for (const word of ['demo', 'replay', 'run', 'participants', 'topology', 'order', 'Exit codes:']) {
      assert.ok(help.stdout.includes(word), word);
    }
    const run = await runCli(['run', '--help']);
    assert.match(run.stdout, /MILLRACE_BROKERS/);
    const replay = await runCli(['replay', '--help']);
    for (const option of [
      '--olist',
      '--orders',
      '--shuffle',
      '--duplicate',
      '--oversell',
      '--kafka',
      '--summary',
    ]) {
      assert.ok(replay.stdout.includes(option), option);
    }
  });

  it('refuses what it does not know with code 2 and one sentence', async () => {
    for (const args of [
      ['nonsense'],
      ['demo', '--rat', '5'],
      ['demo', '--rate', 'fast'],
      ['order'],
      ['replay'],
    ]) {
      const { code, stderr, stdout } = await runCli(args);
      assert.equal(code, 2, args.join(' '));
      assert.match(stderr, /^error: .+/, args.join(' '));
      assert.equal(stdout, '');
    }
  });

  it('prints the topology as text, for Graphviz, and as JSON', async () => {
    const text = await runCli(['topology']);
    assert.match(text.stdout, /^Topologies:\n\s+Sub-topology: 0/);
    assert.match(text.stdout, /Processor: order \(stores: \[orders\]\)/);
    const dot = await runCli(['topology', '--format', 'dot']);
    assert.match(dot.stdout, /^digraph topology \{/);
    const json = JSON.parse((await runCli(['topology', '--format', 'json'])).stdout);
    assert.equal(json.subtopologies.length, 3);
  });

  it('says that no instance answers', async () => {
    const { code, stderr } = await runCli(['order', 'x', '--url', 'http://127.0.0.1:9']);
    assert.equal(code, 3);
    assert.match(stderr, /INSTANCE_UNREACHABLE: no instance answers/);
  });

  it('end in good order when the memory budget is used up, to be started again', async () => {
    const { MILLRACE_TEST_KAFKA: brokers, MILLRACE_TEST_REGISTRY: registry } = process.env;
    assert.ok(brokers !== undefined && registry !== undefined, 'run it with npm test, which starts Kafka');
    const { code, stderr } = await runCli(['run'], {
      env: {
        MILLRACE_BROKERS: brokers,
        MILLRACE_REGISTRY_URL: registry,
        MILLRACE_APPLICATION_ID: `budget-${process.pid}`,
        MILLRACE_CREATE_TOPICS: 'true',
        MILLRACE_REGISTER_SCHEMAS: 'true',
        MILLRACE_HTTP_PORT: '0',
        MILLRACE_STATE_DIR: newFolder(),
        MILLRACE_MEMORY_BUDGET_MB: '1',
      },
    });
    assert.equal(code, 5, stderr);
    assert.match(stderr, /memory budget is used up/);
  });
});
