// Two programs on the common workload of ../shared/bench/peers, in turn (A B A B …) in one sitting, and the
// medians of their ratios. A pair's two runs follow each other, so that a busy machine burdens both.
//
//   npm run build
//   (cd STREAMS_PEER && mvn -q package dependency:copy-dependencies -DoutputDirectory=target/lib)
//   KAFKA_BROKERS=127.0.0.1:19092 node bench/pairs.mjs --streams-peer STREAMS_PEER [--pairs 5] [--orders 400000]
//
// STREAMS_PEER: a copy of ../shared/bench/peers/kafka-streams. Instead of it: --a COMMAND [--a-name NAME].
// env: KAFKA_BROKERS, PYTHON (one that has confluent-kafka), COMMIT_MS. Each run is run.sh's: fresh topics,
// load, program, judgement by sink.py. Prints a JSON line a run, and one with the medians at the end.
// Fails when the judge finds a lost, doubled or stray command.
import { spawn } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values } = parseArgs({
  options: {
    'streams-peer': { type: 'string' },
    a: { type: 'string' },
    'a-name': { type: 'string' },
    b: { type: 'string', default: `${process.execPath} ${here('peer-workload.mjs')}` },
    'b-name': { type: 'string', default: 'millrace' },
    peers: { type: 'string', default: here('../../shared/bench/peers') },
    pairs: { type: 'string', default: '5' },
    orders: { type: 'string', default: '400000' },
  },
});

function kafkaStreams(folder) {
  const at = (path) => resolve(folder, path);
  return `java -Xmx700m -cp ${at('target/streams-peer-1.jar')}:${at('target/lib')}/* rig.Peer`;
}

/** One measured run: what the program said of itself and what the judge said of it. */
async function run(name, command) {
  const loadBefore = loadavg()[0];
  const began = process.hrtime.bigint();
  const child = spawn(resolve(values.peers, 'run.sh'), [name, ...command.split(' ')], {
    env: { UV_THREADPOOL_SIZE: '16', ...process.env, ORDERS: values.orders },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise((settle) => child.on('close', settle));
  const found = {};
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('{')) Object.assign(found, JSON.parse(line));
  }
  const code = await ended;
  if (code !== 0) throw new Error(`${name} ended with ${code}`);
  const result = {
    name,
    records: found.records,
    rps: found.rps,
    append_rps: found.append_rps,
    cpu_s: found.cpu_s,
    cpu_us_per_record: Math.round((found.cpu_s / found.records) * 1e7) / 10,
    rss_mb: found.rss_mb,
    lost: found.lost,
    doubled: found.doubled,
    stray: found.stray,
    load_before: loadBefore,
    load_after: loadavg()[0],
    wall_s: Math.round(Number(process.hrtime.bigint() - began) / 1e9),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  if (found.lost + found.doubled + found.stray !== 0) throw new Error(`${name} was not exactly once`);
  return result;
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const value = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return Math.round(value * 1000) / 1000;
}

const a = values.a ?? (values['streams-peer'] && kafkaStreams(values['streams-peer']));
if (a === undefined) throw new Error('name the program A: --streams-peer DIR or --a COMMAND');
const nameOfA = values['a-name'] ?? (values.a === undefined ? 'kafka-streams' : 'a');
const pairs = [];
for (let at = 0; at < Number(values.pairs); at++) {
  pairs.push({ a: await run(nameOfA, a), b: await run(values['b-name'], values.b) });
}
const ratios = (field) => pairs.map((pair) => Math.round((pair.b[field] / pair.a[field]) * 1000) / 1000);
const summary = {
  pairs: pairs.length,
  records: pairs[0]?.a.records,
  machine: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}`,
  ratio: `${values['b-name']} / ${nameOfA}`,
};
for (const field of ['rps', 'append_rps', 'cpu_us_per_record', 'rss_mb']) {
  summary[field] = {
    ratio: median(ratios(field)),
    ratios: ratios(field),
    a: median(pairs.map((pair) => pair.a[field])),
    b: median(pairs.map((pair) => pair.b[field])),
  };
}
process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
