/**
 * What an instance says about itself in the topic `<application>-instances`, and the view that each gets of all
 * by reading it. Pure: written and read by thread/standby-tasks.ts, placed by place-standbys.ts.
 *
 * Topic: one partition, compacted; key = the instance's name, value = this entry as JSON, null = it has left.
 */
import type { PlacementInstance } from './place-standbys.ts';

export interface InstanceEntry {
  readonly instanceId: string | undefined;
  readonly host: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly owned: readonly string[];
  readonly standby: readonly string[];
  /** When it was written, by the writer's clock; milliseconds since the epoch. */
  readonly timeMs: number;
}

export function instancesTopic(applicationId: string): string {
  return `${applicationId}-instances`;
}

export function encodeEntry(entry: InstanceEntry): Buffer {
  return Buffer.from(JSON.stringify({ version: 1, ...entry }));
}

/** Undefined for what is no entry: a newer version's, or somebody else's record. */
export function decodeEntry(bytes: Buffer): InstanceEntry | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const { version, instanceId, host, tags, owned, standby, timeMs } = parsed as Record<string, unknown>;
  if (version !== 1 || typeof timeMs !== 'number' || !areTexts(owned) || !areTexts(standby)) return undefined;
  if (typeof tags !== 'object' || tags === null || !areTexts(Object.values(tags))) return undefined;
  return {
    instanceId: typeof instanceId === 'string' ? instanceId : undefined,
    host: typeof host === 'string' ? host : undefined,
    tags: tags as Record<string, string>,
    owned,
    standby,
    timeMs,
  };
}

function areTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === 'string');
}

interface Seen {
  readonly entry: InstanceEntry;
  /** Monotonic time of the reader. */
  readonly seenMs: number;
  /** Grows with every entry read: of two that claim a task, the later one is believed. */
  readonly order: number;
}

/** All instances as one reader knows them. */
export class InstanceView {
  readonly #silenceMsMax: number;
  readonly #seen = new Map<string, Seen>();
  #order = 0;

  /** `silenceMsMax`: who has written nothing for so long counts as gone. */
  constructor(silenceMsMax: number) {
    this.#silenceMsMax = silenceMsMax;
  }

  /**
   * Takes an entry in; undefined when the instance has left. `nowMs`: the reader's monotonic clock.
   * `ageMs`: how old the entry was when it was read; 0 for one that has just come, whatever the clocks say.
   */
  take(name: string, entry: InstanceEntry | undefined, nowMs: number, ageMs: number): void {
    if (entry === undefined) this.#seen.delete(name);
    else this.#seen.set(name, { entry, seenMs: nowMs - Math.max(0, ageMs), order: this.#order++ });
  }

  /** Forgets who has been silent too long. True when anybody was. */
  expire(nowMs: number): boolean {
    let anybody = false;
    for (const [name, { seenMs }] of this.#seen) {
      if (nowMs - seenMs <= this.#silenceMsMax) continue;
      this.#seen.delete(name);
      anybody = true;
    }
    return anybody;
  }

  /** What an instance last said. */
  entryOf(name: string): InstanceEntry | undefined {
    return this.#seen.get(name)?.entry;
  }

  instances(): PlacementInstance[] {
    return [...this.#seen].map(([name, { entry }]) => ({ name, host: entry.host, tags: entry.tags }));
  }

  owners(): Map<string, string> {
    const owners = new Map<string, string>();
    const inOrder = [...this.#seen].sort(([, a], [, b]) => a.order - b.order);
    for (const [name, { entry }] of inOrder) for (const task of entry.owned) owners.set(task, name);
    return owners;
  }

  standbys(): Map<string, string[]> {
    const standbys = new Map<string, string[]>();
    for (const [name, { entry }] of [...this.#seen].sort(([a], [b]) => (a < b ? -1 : 1))) {
      for (const task of entry.standby) {
        const names = standbys.get(task) ?? [];
        names.push(name);
        standbys.set(task, names);
      }
    }
    return standbys;
  }
}
