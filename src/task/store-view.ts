/**
 * Committed stores, of any kind, for those who are no processor: queries and tests. A view is typed like the store
 * and cannot be written; what a task has not committed yet is not in it.
 */
import { readSortableInteger } from '../base/bytes.ts';
import { StreamsError } from '../base/errors.ts';
import type { StoreSpec } from '../graph/node.ts';
import type { StateStore } from '../graph/processor.ts';
import type { TaskState } from '../store/task-state.ts';
import { observedClock } from './expiry.ts';
import { openStore } from './open-store.ts';
import { clockKey } from './timer-index.ts';
import { StateMiss } from './typed-stores.ts';

/** Where a store lies: in a task, whose own store knows its time, or in the global state. */
export interface ViewSource {
  readonly state: Pick<TaskState, 'committedView' | 'getCommitted'>;
  /** Undefined: global, and so of kind `key-value`. */
  readonly taskStore: string | undefined;
}

const missesMax = 10_000;

/** The whole store, read once: what is committed later is not in it. */
export async function viewWhole(source: ViewSource, spec: StoreSpec): Promise<StateStore> {
  const { state, store } = await open(source, spec);
  await state.loadWhole(spec.name);
  return store;
}

/**
 * What `read` makes of the store. It is called again after each load of what it lacked, so that it may see more
 * than one commit; each single read of it is of one. Errors: STORE_READ_ONLY when it writes, and its own.
 */
export async function readCommitted<S extends StateStore, R>(
  source: ViewSource,
  spec: StoreSpec,
  read: (store: S) => R,
): Promise<R> {
  const { state, store } = await open(source, spec);
  for (let misses = 0; misses < missesMax; misses++) {
    try {
      const result = read(store as S);
      if (state.openCount > 0) throw readOnly(spec.name);
      return result;
    } catch (error) {
      if (!(error instanceof StateMiss)) throw error;
      await state.load(error.requests);
    }
  }
  throw new StreamsError('PROCESSING_FAILED', 'one query read more state than it may', {
    context: { store: spec.name },
    kind: 'user',
  });
}

async function open(
  { state: source, taskStore }: ViewSource,
  spec: StoreSpec,
): Promise<{ readonly state: TaskState; readonly store: StateStore }> {
  const observed = observedClock(spec.name);
  const bytes =
    taskStore === undefined ? undefined : await source.getCommitted(taskStore, clockKey(observed));
  const observedMs = bytes === undefined ? undefined : readSortableInteger(bytes);
  const state = source.committedView(spec.name);
  const store = openStore(spec, state, {
    clocks: {
      clock: (name) => (name === observed ? observedMs : undefined),
      setClock: () => {
        throw readOnly(spec.name);
      },
    },
    expired: () => {
      throw readOnly(spec.name);
    },
  });
  return { state, store };
}

function readOnly(store: string): StreamsError {
  return new StreamsError('STORE_READ_ONLY', `store ${store} is read here, and cannot be written`, {
    context: { store },
    hint: 'write it from a processor',
  });
}
