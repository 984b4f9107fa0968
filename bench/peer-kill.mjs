// Exactly once through kill -9, judged from outside: bench/peer-workload.mjs is killed midway and started again
// with the same APP_ID and STATE_DIR, and sink.py of ../shared/bench/peers counts lost, doubled and stray.
//
//   npm run build && node scripts/kafka.mjs start --port 19092
//   KAFKA_BROKERS=127.0.0.1:19092 node bench/peer-kill.mjs [--rounds 10] [--orders 33334] [--kills 1] [--seed 1]
//
// env: KAFKA_BROKERS, PYTHON (one that has confluent-kafka). A dead member keeps its tasks for the session
// time-out, which the broker sets: scripts/kafka.mjs sets 6 s. Prints a JSON line a round and a sum at the end.
// Each round asserts that the kill came midway: after the first committed record, before the last.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { assert, openKafkaBroker, seededRandom, silentTelemetry, wallClock } from '#streams';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '10' },
    orders: { type: 'string', default: '33334' },
    kills: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    peers: { type: 'string', default: here('../../shared/bench/peers') },
  },
});
const partitions = 4;
const inputs = ['purchases', 'inventory', 'shipments'];
const brokers = process.env.KAFKA_BROKERS ?? '127.0.0.1:9092';
const python = process.env.PYTHON ?? 'python3';
const random = seededRandom(Number(values.seed));

/** Runs a program to its end; the last JSON line that it printed. */
async function judged(args, env) {
  const child = spawn(python, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((settle) => child.on('close', settle));
  let last;
  for await (const line of createInterface({ input: child.stdout }))
    if (line.startsWith('{')) last = JSON.parse(line);
  assert((await ended) === 0, `${args[0]} failed`);
  return last;
}

/** The workload, with what it logs of its restores. */
function startPeer(env) {
  const child = spawn(process.execPath, [here('peer-workload.mjs')], {
    env: { UV_THREADPOOL_SIZE: '16', ...process.env, ...env, EXPECT: '0', LOG: 'info' },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const peer = { child, restored: 0, running: 0, ended: undefined };
  peer.ended = new Promise((settle) => child.on('exit', (code, signal) => settle({ code, signal })));
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (!line.startsWith('{')) return;
    const { msg, restored, level, facility } = JSON.parse(line);
    if (msg === 'task runs') {
      peer.restored += restored;
      peer.running += 1;
    }
    // A setting that only some of the clients know is none of our business here.
    if (level !== 'info' && facility !== 'CONFWARN') process.stderr.write(`${line}\n`);
  });
  return peer;
}

async function round(broker, number) {
  const name = `kill-${process.pid}-${number}`;
  const folder = mkdtempSync(join(tmpdir(), 'millrace-kill-'));
  const env = {
    KAFKA_BROKERS: brokers,
    PREFIX: `${name}.`,
    APP_ID: name,
    STATE_DIR: folder,
    ORDERS: values.orders,
    PARTITIONS: String(partitions),
  };
  const { admin } = broker;
  const places = inputs.flatMap((topic) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic: `${name}.${topic}`, partition })),
  );
  /** Committed input records. An answer that has to wait for an open transaction is asked for again. */
  const committed = async () => {
    const offsets = await admin.committedOffsets(name, places).catch(() => undefined);
    return offsets?.reduce((sum, offset) => sum + (offset ?? 0), 0);
  };
  const until = async (peer, enough) => {
    for (;;) {
      const count = await committed();
      if (count !== undefined && enough(count)) return count;
      assert(peer.child.exitCode === null, 'the workload ended by itself');
      await sleep(20);
    }
  };
  const kills = [];
  await judged([join(values.peers, 'load.py')], env);
  const total = (await admin.endOffsets(places, 'read_committed')).reduce((sum, end) => sum + end, 0);
  let peer = startPeer(env);
  for (let kill = 0; kill < Number(values.kills); kill++) {
    const aim = total * (kill + 0.1 + 0.6 * random.next()) * (1 / Number(values.kills));
    await until(peer, (count) => count >= Math.max(1, aim));
    // Anywhere in a commit cycle, not just after one.
    await sleep(150 * random.next());
    peer.child.kill('SIGKILL');
    assert((await peer.ended).signal === 'SIGKILL', 'the workload was not killed');
    const killedMs = performance.now();
    // An open transaction is not waited for: its offsets are not committed.
    const at = (await committed()) ?? aim;
    assert(at > 0 && at < total, 'the kill did not come midway', { at, total });
    peer = startPeer(env);
    await until(peer, (count) => count > at);
    const pauseS = Math.round((performance.now() - killedMs) / 100) / 10;
    kills.push({ atShare: Math.round((at / total) * 100) / 100, pauseS, restoredRecords: peer.restored });
  }
  await until(peer, (count) => count === total);
  peer.child.kill('SIGTERM');
  assert((await peer.ended).code === 0, 'the workload did not stop cleanly');
  const { commands, lost, doubled, stray } = await judged([join(values.peers, 'sink.py')], env);
  rmSync(folder, { recursive: true, force: true });
  const result = { round: number, events: total, kills, commands, lost, doubled, stray };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  return result;
}

async function main() {
  const broker = await openKafkaBroker({
    brokers,
    clientId: 'peer-kill',
    clock: wallClock,
    log: silentTelemetry.log,
  });
  const sum = { rounds: 0, kills: 0, events: 0, commands: 0, lost: 0, doubled: 0, stray: 0 };
  for (let number = 1; number <= Number(values.rounds); number++) {
    const result = await round(broker, number);
    sum.rounds += 1;
    sum.kills += result.kills.length;
    for (const field of ['events', 'commands', 'lost', 'doubled', 'stray']) sum[field] += result[field];
  }
  await broker.close();
  process.stdout.write(`${JSON.stringify(sum)}\n`);
  assert(sum.lost + sum.doubled + sum.stray === 0, 'the workload was not exactly once');
}

await main();
process.exit();
