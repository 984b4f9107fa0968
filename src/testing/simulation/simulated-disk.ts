/**
 * The disk of a simulated machine: it outlives its processes, and fails when told to. A write that fails may be
 * there all the same after the folder was opened again, as with a real one.
 */
import type { KeyRange, KeyValueBackend, Write } from '../../base/backend-port.ts';
import { StreamsError } from '../../base/errors.ts';
import { MemoryDisk } from '../../store/memory-backend.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export class SimulatedDisk {
  /** As it is, without faults: for the checkers. */
  readonly disk = new MemoryDisk();

  async open(process: SimulatedProcess, folder: string): Promise<KeyValueBackend> {
    return new SimulatedBackend(await this.disk.open(folder), process, folder);
  }
}

class SimulatedBackend implements KeyValueBackend {
  readonly #inner: KeyValueBackend;
  readonly #process: SimulatedProcess;
  readonly #folder: string;
  /** A first write failed: like a real store, it takes no more until it is opened again. */
  #broken = false;
  /** Its task has read its timers: writes are those of commits from here on. */
  #restored = false;

  constructor(inner: KeyValueBackend, process: SimulatedProcess, folder: string) {
    this.#inner = inner;
    this.#process = process;
    this.#folder = folder;
  }

  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#read(() => this.#inner.getMany(keys));
  }

  range(range: KeyRange) {
    return this.#read(() => this.#inner.range(range));
  }

  async *scan(range: KeyRange, pageSize: number) {
    this.#restored = true;
    for await (const page of this.#inner.scan(range, pageSize)) yield page;
  }

  async write(writes: readonly Write[], options?: { readonly sync?: boolean }): Promise<void> {
    const process = this.#process;
    const full = (): boolean => process.scheduler.nowMs < process.diskFullUntilMs;
    await process
      .call(
        this.#restored ? 'store' : 'restore',
        async () => {
          if (this.#broken) throw this.#failed('an earlier write failed');
          const failing = full();
          if (!failing || process.random.next() < 0.5) await this.#inner.write(writes, options);
          if (failing) throw this.#failed('no space left');
        },
        () => this.#failed('the write was interrupted'),
      )
      .catch((error: unknown) => {
        this.#broken = true;
        throw error;
      });
  }

  sizeBytes(): Promise<number> {
    return this.#inner.sizeBytes();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #read<T>(work: () => Promise<T>): Promise<T> {
    return this.#process.call(
      this.#restored ? 'process' : 'restore',
      async () => {
        if (this.#process.diskError) {
          this.#process.diskError = false;
          throw this.#failed('the read failed');
        }
        return work();
      },
      () => this.#failed('the read was interrupted'),
    );
  }

  #failed(why: string): StreamsError {
    return new StreamsError('STORE_IO_FAILED', `${why} (simulated)`, { context: { file: this.#folder } });
  }
}
