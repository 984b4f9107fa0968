/**
 * A disk that fails as told, around any backend: a write may be refused before it happened, or may happen and
 * still be answered with an error; RocksDB does both. After a failed write a backend takes no further one, as
 * rocksdb-backend.ts promises; whoever wants to go on has to open it again.
 */
import type { KeyValueBackend } from '../../src/base/backend-port.ts';
import { StreamsError } from '../../src/base/errors.ts';
import type { OpenStore } from './ledger-bench.ts';

export type WriteFault = 'none' | 'not applied' | 'applied';

export interface FaultyStores {
  readonly open: OpenStore;
  readonly hits: { writes: number; reads: number; opens: number };
}

export interface StoreFaultPlan {
  /** Asked once per batch that holds something. */
  readonly write?: () => WriteFault;
  readonly read?: () => boolean;
  readonly open?: () => boolean;
}

function failed(what: string): StreamsError {
  return new StreamsError('STORE_IO_FAILED', `${what} failed (injected)`);
}

export function faultyStores(inner: OpenStore, plan: StoreFaultPlan): FaultyStores {
  const hits = { writes: 0, reads: 0, opens: 0 };
  const checkRead = () => {
    if (plan.read?.() !== true) return;
    hits.reads++;
    throw failed('a read');
  };
  const wrap = (backend: KeyValueBackend): KeyValueBackend => {
    let broken: StreamsError | undefined;
    return {
      getMany: async (keys) => {
        checkRead();
        return backend.getMany(keys);
      },
      range: async (range) => {
        checkRead();
        return backend.range(range);
      },
      scan: (range, pageSize) => backend.scan(range, pageSize),
      write: async (writes, options) => {
        if (broken !== undefined) throw broken;
        const fault = writes.length === 0 ? 'none' : (plan.write?.() ?? 'none');
        if (fault !== 'not applied') await backend.write(writes, options);
        if (fault === 'none') return;
        hits.writes++;
        broken = failed('a write');
        throw broken;
      },
      sizeBytes: () => backend.sizeBytes(),
      close: () => backend.close(),
    };
  };
  const open: OpenStore = async (taskId) => {
    if (plan.open?.() === true) {
      hits.opens++;
      throw failed('opening');
    }
    return wrap(await inner(taskId));
  };
  return { open, hits };
}
