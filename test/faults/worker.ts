/**
 * One instance of the ledger (or of a program of the DSL, or of one that asks a service) as a process of its own: what
 * the fault tests, and the comparison with Kafka Streams, start, kill, stop and continue. Started by test/support/worker-process.ts with a plan; obeys the orders that come by message, and tells
 * when it has failed. SIGTERM stops it cleanly.
 *
 * It can be told to hit itself with a signal at a named step of its next commit: a kill from outside would
 * hardly ever meet the milliseconds that matter.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { StreamsApp } from '../../src/app/streams-app.ts';
import type { KeyValueBackend } from '../../src/base/backend-port.ts';
import { asStreamsError } from '../../src/base/errors.ts';
import { type LogFields, type Logger, silentTelemetry } from '../../src/base/telemetry-port.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { openKafkaBroker } from '../../src/broker/kafka-broker.ts';
import type { Topology } from '../../src/graph/topology.ts';
import { createPinoLogger } from '../../src/observe/pino-logger.ts';
import { openRocksDbBackend } from '../../src/store/rocksdb-backend.ts';
import { type KafkaProgram, kafkaTopology } from '../oracle/kafka-programs.ts';
import { type AskingTopics, askingTopology } from '../support/asking-topology.ts';
import { type BrokerHooks, type CommitPoint, hookedBackend, hookedBroker } from '../support/hooked-broker.ts';
import { type LedgerNames, ledgerTopology } from '../support/ledger-topology.ts';
import { dumpBackend, type StoreDump } from '../support/state-dump.ts';

export interface WorkerPlan {
  /** Shape: `host:port,…`. */
  readonly brokers: string;
  readonly applicationId: string;
  readonly runs:
    | { readonly ledger: LedgerNames }
    | { readonly program: KafkaProgram }
    | { readonly asking: AskingTopics };
  /** Static membership when given. */
  readonly instanceId: string | undefined;
  readonly transactionalId: string;
  /** Its volume: survives the process. */
  readonly stateDir: string;
  readonly logFile: string;
  readonly commitIntervalMs: number;
  readonly sessionTimeoutMs: number;
  readonly transactionTimeoutMs: number;
  readonly groupProtocol: 'auto' | 'classic' | 'consumer';
  /** False: the producer never says that a request may have been repeated. Default true. */
  readonly guard?: boolean;
  /** Default 0. */
  readonly numStandbyReplicas?: number;
  /** More settings of the Kafka client. */
  readonly properties: Readonly<Record<string, string>>;
}

export type WorkerOrder =
  /** The next transaction is given up and aborted. */
  | { readonly order: 'abort' }
  | { readonly order: 'status' | 'dump'; readonly id: number }
  /** The signal at the next commit's point, after `skip` times of passing it. */
  | {
      readonly order: 'hit';
      readonly point: CommitPoint;
      readonly signal: NodeJS.Signals;
      readonly skip: number;
    };

export interface WorkerStatus {
  readonly state: string;
  readonly ready: boolean;
  readonly tasks: readonly string[];
  readonly restoring: readonly string[];
  /** Tasks that it follows; `lag` in changelog offsets, undefined until it has been asked for. */
  readonly standbys: readonly { readonly taskId: string; readonly lag: number | undefined }[];
  readonly commits: number;
  readonly aborts: number;
  readonly recordsProcessed: number;
  /** Changelog records replayed since the process began. */
  readonly restored: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly files: number;
}

export type WorkerNews =
  | { readonly news: 'started' }
  | { readonly news: 'failed'; readonly code: string; readonly message: string }
  | { readonly news: 'hitting'; readonly point: CommitPoint; readonly signal: string }
  | { readonly news: 'status'; readonly id: number; readonly status: WorkerStatus }
  | { readonly news: 'dump'; readonly id: number; readonly tasks: Readonly<Record<string, StoreDump>> };

function tell(news: WorkerNews): Promise<void> {
  return new Promise((resolve) => {
    // The parent may be gone: then there is nobody to tell.
    if (process.send === undefined || !process.connected) resolve();
    else process.send(news, () => resolve());
  });
}

class Hit {
  #pending: { point: CommitPoint; signal: NodeJS.Signals; skip: number } | undefined;
  #hasCommitted = false;

  order(point: CommitPoint, signal: NodeJS.Signals, skip: number): void {
    this.#pending = { point, signal, skip };
    this.#hasCommitted = false;
  }

  get isPending(): boolean {
    return this.#pending !== undefined;
  }

  /** Synchronous: when the signal is SIGKILL or SIGSTOP not one more line is run. */
  at(point: CommitPoint): void {
    const pending = this.#pending;
    if (point === 'committed') this.#hasCommitted = true;
    // A restore writes stores too; only a write that follows a commit is the step that was meant.
    if (pending?.point !== point || (point === 'stored' && !this.#hasCommitted)) return;
    if (pending.skip-- > 0) return;
    this.#pending = undefined;
    void tell({ news: 'hitting', point, signal: pending.signal });
    process.kill(process.pid, pending.signal);
  }
}

/** Passes lines on, and sums up what the engine says it replayed: the figure that an operator sees. */
class RestoreCountingLogger implements Logger {
  readonly #inner: Logger;
  readonly #count: { restored: number };

  constructor(inner: Logger, count: { restored: number }) {
    this.#inner = inner;
    this.#count = count;
  }

  error(message: string, fields?: LogFields, error?: unknown): void {
    this.#inner.error(message, fields, error);
  }

  warn(message: string, fields?: LogFields, error?: unknown): void {
    this.#inner.warn(message, fields, error);
  }

  info(message: string, fields?: LogFields): void {
    if (message === 'task runs') this.#count.restored += Number(fields?.restored ?? 0);
    this.#inner.info(message, fields);
  }

  debug(message: string, fields?: LogFields): void {
    this.#inner.debug(message, fields);
  }

  child(fields: LogFields): Logger {
    return new RestoreCountingLogger(this.#inner.child(fields), this.#count);
  }
}

function topologyOf(runs: WorkerPlan['runs']): Topology {
  if ('ledger' in runs) return ledgerTopology(runs.ledger);
  return 'asking' in runs ? askingTopology(runs.asking) : kafkaTopology(runs.program);
}

async function main(plan: WorkerPlan): Promise<void> {
  mkdirSync(plan.stateDir, { recursive: true });
  const count = { restored: 0 };
  const log = new RestoreCountingLogger(
    createPinoLogger({ level: 'debug', destination: plan.logFile, fields: { pid: process.pid } }),
    count,
  );
  const telemetry = { ...silentTelemetry, log };
  const hit = new Hit();
  let aborts = 0;
  const hooks: BrokerHooks = {
    at: (point) => hit.at(point),
    guard: plan.guard ?? true,
    flushes: () => hit.isPending || aborts > 0,
    aborts: () => aborts > 0 && aborts-- > 0,
  };
  const broker = await openKafkaBroker({
    brokers: plan.brokers,
    clientId: plan.transactionalId,
    clock: wallClock,
    log,
    groupProtocol: plan.groupProtocol,
    properties: plan.properties,
  });
  const backends = new Map<string, KeyValueBackend>();
  const folder = (taskId: string) => join(plan.stateDir, taskId);
  const app = new StreamsApp({
    topology: topologyOf(plan.runs),
    settings: {
      applicationId: plan.applicationId,
      transactionalId: plan.transactionalId,
      ...(plan.instanceId === undefined ? {} : { instanceId: plan.instanceId }),
      commitIntervalMs: plan.commitIntervalMs,
      sessionTimeoutMs: plan.sessionTimeoutMs,
      transactionTimeoutMs: plan.transactionTimeoutMs,
      numStandbyReplicas: plan.numStandbyReplicas ?? 0,
    },
    broker: hookedBroker(broker, hooks),
    openTaskBackend: async (taskId) => {
      const backend = hookedBackend(await openRocksDbBackend(folder(taskId)), hooks);
      backends.set(taskId, backend);
      return backend;
    },
    destroyTaskBackend: (taskId) => rm(folder(taskId), { recursive: true, force: true }),
    clock: wallClock,
    telemetry,
  });
  const end = async (code: number): Promise<void> => {
    await app.stop();
    await broker.close();
    process.exit(code);
  };
  process.once('SIGTERM', () => void end(0));
  process.on('message', (order: WorkerOrder) => {
    if (order.order === 'abort') aborts++;
    else if (order.order === 'hit') hit.order(order.point, order.signal, order.skip);
    else if (order.order === 'status')
      void tell({ news: 'status', id: order.id, status: statusOf(app, count.restored) });
    else
      dump(app, backends)
        // A store that is closed meanwhile moves to another worker: the parent asks again.
        .catch(() => ({}))
        .then((tasks) => tell({ news: 'dump', id: order.id, tasks }));
  });
  // A worker must not outlive its test; `exit` would wait for the Kafka client's threads, perhaps for ever.
  process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  await app.start();
  await tell({ news: 'started' });
  const failure = await app.failure;
  await tell({ news: 'failed', code: failure.code, message: failure.message });
  await end(3);
}

async function dump(
  app: StreamsApp,
  backends: ReadonlyMap<string, KeyValueBackend>,
): Promise<Record<string, StoreDump>> {
  const tasks: Record<string, StoreDump> = {};
  for (const { taskId } of app.status().tasks) {
    const backend = backends.get(taskId);
    if (backend !== undefined) tasks[taskId] = await dumpBackend(backend);
  }
  return tasks;
}

function statusOf(app: StreamsApp, restored: number): WorkerStatus {
  const status = app.status();
  return {
    state: status.state,
    ready: status.ready,
    tasks: status.tasks.map(({ taskId }) => taskId),
    restoring: status.restoring.map(({ taskId }) => taskId),
    standbys: status.standbys.map(({ taskId, lag }) => ({ taskId, lag })),
    commits: status.commits,
    aborts: status.aborts,
    recordsProcessed: status.recordsProcessed,
    restored,
    residentBytes: process.memoryUsage.rss(),
    heapBytes: process.memoryUsage().heapUsed,
    files: readdirSync('/proc/self/fd').length,
  };
}

const plan = process.argv[2];
if (plan !== undefined) {
  main(JSON.parse(plan) as WorkerPlan).catch(async (error: unknown) => {
    const failure = asStreamsError(error, 'INVARIANT_BROKEN');
    await tell({ news: 'failed', code: failure.code, message: failure.message });
    process.exit(3);
  });
}
