/**
 * A process with a small heap: the ledger on an embedded broker, everything on disk. Steered over IPC by the test
 * that forked it. Told to leak, it keeps everything that it processes until it is killed for it.
 */
import { join } from 'node:path';
import type { KeyValueBackend } from '../../src/base/backend-port.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import { openRocksDbBackend } from '../../src/store/rocksdb-backend.ts';
import { LedgerBench, type OpenStore } from './ledger-bench.ts';

export type MemoryRequest =
  | { readonly op: 'open'; readonly folder: string; readonly produced: number; readonly leak: boolean }
  | { readonly op: 'produce'; readonly count: number }
  | { readonly op: 'start' | 'finish' };

let bench: LedgerBench | undefined;
let folder = '';
let leak = false;
const leaked: unknown[] = [];

/** Every write of the state leaves an array behind: the heap fills while the work goes on. */
function leaking(backend: KeyValueBackend): KeyValueBackend {
  return {
    getMany: (keys) => backend.getMany(keys),
    range: (range) => backend.range(range),
    scan: (range, pageSize) => backend.scan(range, pageSize),
    write: (writes, options) => {
      if (leak) leaked.push(Array.from({ length: 400_000 }, (_, index) => ({ index })));
      return backend.write(writes, options);
    },
    sizeBytes: () => backend.sizeBytes(),
    close: () => backend.close(),
  };
}

const open: OpenStore = async (taskId) =>
  leaking(await openRocksDbBackend(join(folder, 'state', taskId), { writeBufferBytes: 256 * 1024 }));

async function answer(request: MemoryRequest): Promise<unknown> {
  if (request.op === 'open') {
    folder = request.folder;
    leak = request.leak;
    const broker = await openEmbeddedBroker({
      backend: await openRocksDbBackend(join(folder, 'broker')),
      clock: wallClock,
    });
    bench = await LedgerBench.open({ seed: 21, broker });
    // The same entries as the process before: they go on where they were.
    bench.entries.take(request.produced);
    return undefined;
  }
  if (bench === undefined) throw new Error('open comes first');
  if (request.op === 'produce') return bench.produce(request.count);
  if (request.op === 'start') {
    await bench.start({ open, settings: { commitRecordsMax: 500 } });
    return undefined;
  }
  await bench.finish(60_000);
  await bench.assertSound();
  const processed = bench.entries.made;
  await bench.close();
  return processed;
}

process.on('message', (request: MemoryRequest) => {
  answer(request).then(
    (result) => process.send?.({ result }),
    (error: unknown) =>
      process.send?.({ error: error instanceof Error ? (error.stack ?? '') : String(error) }),
  );
});
