/** From a store's definition to the store, typed, over the state of a task or a view of it. */
import type { StoreSpec } from '../graph/node.ts';
import type { StateStore } from '../graph/processor.ts';
import type { TaskState } from '../store/task-state.ts';
import { SegmentedWindowStore } from './segmented-window-store.ts';
import type { StoreServices } from './timed-rows.ts';
import { type TaskStore, TypedKeyValueStore } from './typed-stores.ts';
import { TypedVersionedKeyValueStore } from './versioned-store.ts';
import { TypedDuplicatesWindowStore, TypedSessionStore, TypedSingleWindowStore } from './windowed-stores.ts';

/** `frozen`: values of key-value stores cannot be changed in place; for tests. */
export function openStore(
  spec: StoreSpec,
  state: TaskState,
  services: StoreServices,
  frozen = false,
): StateStore & TaskStore {
  if (spec.kind === 'key-value') return new TypedKeyValueStore<unknown, unknown>(spec, state, frozen);
  if (spec.kind === 'versioned') return new TypedVersionedKeyValueStore<unknown, unknown>(spec, state);
  if (spec.kind === 'session') return new TypedSessionStore<unknown, unknown>(spec, state, services);
  const sequence = {
    next: () => {
      const next = (services.clocks.clock('sequence') ?? 0) + 1;
      services.clocks.setClock('sequence', next);
      return next;
    },
  };
  if (spec.expiry === 'segments')
    return new SegmentedWindowStore<unknown, unknown>(spec, state, services, sequence);
  if (spec.retainDuplicates === true)
    return new TypedDuplicatesWindowStore<unknown, unknown>(spec, state, services, sequence);
  return new TypedSingleWindowStore<unknown, unknown>(spec, state, services);
}
