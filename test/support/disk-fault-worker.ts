/**
 * A process whose disk can be made to fail: the ledger on an embedded broker in memory and on real RocksDB
 * folders, steered over IPC by the test that forked it. The broker is in memory so that only the state's disk
 * fails. Each request is answered by one message; an error is answered too and ends nothing.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openRocksDbBackend } from '../../src/store/rocksdb-backend.ts';
import { LedgerBench } from './ledger-bench.ts';
import { LogRecorder } from './log-recorder.ts';

export type WorkerRequest =
  | { readonly op: 'open'; readonly stateDir: string; readonly seed: number }
  | { readonly op: 'start' | 'stop' | 'settle' | 'finish' | 'judge' | 'status' }
  | { readonly op: 'produce'; readonly count: number };

export interface WorkerStatus {
  readonly state: string;
  readonly ready: boolean;
  readonly tasks: number;
  readonly commits: number;
  readonly processed: number;
  readonly rebuilds: readonly string[];
  readonly log: string;
  readonly opens: number;
}

let bench: LedgerBench | undefined;
let stateDir = '';
let opens = 0;
const log = new LogRecorder();
let app: ReturnType<LedgerBench['instance']> | undefined;

const folder = (taskId: string) => join(stateDir, taskId);
/** Small buffers: files are flushed and compacted while a test runs, and not only after it. */
const open = (taskId: string) => {
  opens++;
  return openRocksDbBackend(folder(taskId), { writeBufferBytes: 64 * 1024, cacheBytes: 64 * 1024 });
};

async function answer(request: WorkerRequest): Promise<unknown> {
  if (request.op === 'open') {
    stateDir = request.stateDir;
    bench = await LedgerBench.open({ seed: request.seed, accounts: 400 });
    return undefined;
  }
  if (bench === undefined) throw new Error('open comes first');
  switch (request.op) {
    case 'start':
      app = await bench.start({
        open,
        destroy: (taskId) => rm(folder(taskId), { recursive: true, force: true }),
        telemetry: log.telemetry,
        settings: { cacheEntriesMax: 1 },
      });
      return undefined;
    case 'produce':
      return bench.produce(request.count);
    case 'settle':
      return bench.settle(60_000);
    case 'finish':
      return bench.finish(60_000);
    case 'stop':
      return app?.stop();
    case 'judge':
      return bench.assertSound(open);
    case 'status': {
      const status = app?.status();
      return {
        state: app?.state ?? 'none',
        ready: status?.ready ?? false,
        tasks: status?.tasks.length ?? 0,
        commits: status?.commits ?? 0,
        processed: status?.recordsProcessed ?? 0,
        rebuilds: log.rebuilds,
        log: log.text(),
        opens,
      } satisfies WorkerStatus;
    }
  }
}

process.on('message', (request: WorkerRequest) => {
  answer(request).then(
    (result) => process.send?.({ result }),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? (error.stack ?? '') : String(error) }),
  );
});
