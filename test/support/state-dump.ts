/**
 * What is in a task's backend, read past the engine: for comparing stores with changelogs and folds. Knows
 * the key layout of store/task-state.ts, which it checks by reading it.
 */
import type { KeyValueBackend } from '../../src/base/backend-port.ts';

/** Shape: store name ▸ key text ▸ value text; what the engine keeps about itself is under `meta`. */
export interface StoreDump {
  readonly stores: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly meta: Readonly<Record<string, string>>;
}

export async function dumpBackend(backend: KeyValueBackend): Promise<StoreDump> {
  const stores: Record<string, Record<string, string>> = {};
  const meta: Record<string, string> = {};
  for await (const page of backend.scan({}, 5_000)) {
    for (const { key, value } of page) {
      if (key[0] === 0) {
        meta[key.toString('utf8', 1)] = value.toString('utf8');
        continue;
      }
      const nameEnd = 2 + (key[1] as number);
      const store = key.toString('utf8', 2, nameEnd);
      stores[store] ??= {};
      // Timers and clocks are bytes: they stay as they are, told apart by latin1.
      stores[store][key.toString('latin1', nameEnd)] = value.toString('latin1');
    }
  }
  return { stores, meta };
}
