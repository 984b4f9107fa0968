/**
 * Which instance follows which task as a standby. Pure: every instance computes it from the same entries of the
 * instances topic and takes its own part, so nobody has to lead. Called by thread/standby-tasks.ts.
 *
 * In the order of their weight:
 *   never    on the owner, nor on the owner's host
 *   tags     as many of the tags as possible differ from the owner's and from those of the other standbys
 *   heir     the first standby is put where the task would go if its owner left
 *   sticky   where it is now, as long as that instance has no more than its share
 *   balance  where the fewest standbys are
 */

/** An instance, as far as placement asks. */
export interface PlacementInstance {
  /** Unique among the instances, stable over restarts. */
  readonly name: string;
  /** Undefined: a machine of its own. */
  readonly host: string | undefined;
  /** Kafka Streams' `client.tag.*`, as `{ zone: 'a' }`. */
  readonly tags: Readonly<Record<string, string>>;
}

export interface PlacementInput {
  readonly instances: readonly PlacementInstance[];
  /** The tasks that want standbys. */
  readonly tasks: readonly string[];
  /** The owner of every task that is known to have one, also of tasks that want no standby: they are load. */
  readonly owners: ReadonlyMap<string, string>;
  readonly numStandbys: number;
  /** Who follows what now. */
  readonly current: ReadonlyMap<string, readonly string[]>;
  /** The tags that shall differ (Kafka's `rack.aware.assignment.tags`). */
  readonly spreadTags: readonly string[];
}

/**
 * The instances that shall follow each task, the likely heir first; fewer than `numStandbys` where there are
 * not enough instances that may.
 * Order: the same for any order of `instances` and `tasks`. Placing again what it gave changes nothing.
 */
export function placeStandbys(input: PlacementInput): Map<string, readonly string[]> {
  const seen = new Map<string, Map<string, readonly string[]>>();
  let current = input.current;
  // Seen to settle at once or after one more round; where two answers are as good and call for each other, the
  // smaller one in writing is taken, by everybody.
  for (;;) {
    const placed = new Placement({ ...input, current }).place();
    const text = JSON.stringify([...placed]);
    const again = seen.get(text);
    if (again !== undefined) {
      const cycle = [...seen.keys()].slice([...seen.keys()].indexOf(text));
      return seen.get(cycle.sort()[0] as string) ?? again;
    }
    seen.set(text, placed);
    current = placed;
  }
}

interface Candidate extends PlacementInstance {
  /** Tasks of one owner that it would get at most, if that owner left. */
  readonly inheritsMax: number;
  /** Standbys of an owner's tasks that were put here as with their heir. */
  readonly inherits: Map<Candidate, number>;
  /** The tasks whose standbys were put here. */
  readonly follows: Set<Task>;
}

interface Task {
  readonly id: string;
  readonly owner: Candidate | undefined;
  /** Who follows it now and may go on. */
  readonly holders: readonly Candidate[];
  readonly standbys: Candidate[];
  /** The first of them is an heir. */
  withHeir: boolean;
}

class Placement {
  readonly #numStandbys: number;
  readonly #spreadTags: readonly string[];
  readonly #tasks: readonly Task[];
  readonly #candidates: readonly Candidate[];
  readonly #shareMax: number;

  constructor(input: PlacementInput) {
    this.#numStandbys = input.numStandbys;
    this.#spreadTags = input.spreadTags;
    this.#candidates = candidatesOf(input);
    const byName = new Map(this.#candidates.map((candidate) => [candidate.name, candidate]));
    this.#tasks = [...input.tasks].sort(byText).map((id) => {
      const owner = byName.get(input.owners.get(id) ?? '');
      const names = [...(input.current.get(id) ?? [])].sort(byText);
      const holders = names.flatMap((name) => byName.get(name) ?? []).filter((each) => mayServe(owner, each));
      return { id, owner, holders, standbys: [], withHeir: false };
    });
    const wanted = this.#tasks.reduce(
      (sum, task) => sum + Math.min(input.numStandbys, this.#mayFollow(task).length),
      0,
    );
    this.#shareMax = Math.ceil(wanted / Math.max(1, this.#candidates.length));
  }

  place(): Map<string, readonly string[]> {
    // What may stay stays before anything new takes its place; but heirs first, for they cannot be elsewhere.
    for (const task of this.#tasks) this.#keepHeir(task);
    for (const task of this.#tasks)
      if (this.#hasHeirs(task)) this.#fill(task, Math.min(1, this.#numStandbys));
    for (const task of this.#tasks) this.#keepOthers(task);
    for (const task of this.#tasks) this.#fill(task, this.#numStandbys);
    while (this.#levelOne()) {}
    return new Map(this.#tasks.map(({ id, standbys }) => [id, standbys.map(({ name }) => name)]));
  }

  #keepHeir(task: Task): void {
    if (this.#numStandbys < 1) return;
    const heir = task.holders.find((holder) => isHeir(task, holder) && this.#mayStay(task, holder));
    if (heir !== undefined) this.#put(task, heir);
  }

  #keepOthers(task: Task): void {
    for (const holder of task.holders) {
      if (task.standbys.length >= this.#numStandbys) return;
      if (!task.standbys.includes(holder) && this.#mayStay(task, holder)) this.#put(task, holder);
    }
  }

  #fill(task: Task, count: number): void {
    while (task.standbys.length < count) {
      const best = smallest(this.#mayFollow(task), (candidate) => [
        -this.#spread(task, candidate, task.standbys),
        task.withHeir || isHeir(task, candidate) ? 0 : 1,
        sharesHost(candidate, task.standbys) ? 1 : 0,
        candidate.follows.size,
        task.holders.includes(candidate) ? 0 : 1,
      ]);
      if (best === undefined) return;
      this.#put(task, best);
    }
  }

  #put(task: Task, candidate: Candidate): void {
    const { owner } = task;
    if (owner !== undefined && !task.withHeir && isHeir(task, candidate)) {
      candidate.inherits.set(owner, (candidate.inherits.get(owner) ?? 0) + 1);
      task.withHeir = true;
      task.standbys.unshift(candidate);
    } else {
      task.standbys.push(candidate);
    }
    candidate.follows.add(task);
  }

  /** Moves one standby that is no heir's to an instance with two fewer or less. False when none can be. */
  #levelOne(): boolean {
    const byLoad = [...this.#candidates].sort((a, b) => a.follows.size - b.follows.size);
    for (const from of [...byLoad].reverse()) {
      for (const to of byLoad) {
        if (from.follows.size - to.follows.size < 2) break;
        const task = this.#movable(from, to);
        if (task === undefined) continue;
        task.standbys[task.standbys.indexOf(from)] = to;
        from.follows.delete(task);
        to.follows.add(task);
        return true;
      }
    }
    return false;
  }

  /** Of what may move that which costs least: from where it would be new to where it is already. */
  #movable(from: Candidate, to: Candidate): Task | undefined {
    // In the order of the tasks, not in that in which they came here: everybody has to choose the same.
    const tasks = this.#tasks.filter((task) => from.follows.has(task) && this.#mayMove(task, from, to));
    return smallest(tasks, ({ holders }) => [Number(holders.includes(from)) - Number(holders.includes(to))]);
  }

  #mayMove(task: Task, from: Candidate, to: Candidate): boolean {
    if (task.withHeir && task.standbys[0] === from) return false;
    if (task.standbys.includes(to) || !mayServe(task.owner, to)) return false;
    if (task.owner === undefined && !task.holders.includes(to)) return false;
    const others = task.standbys.filter((each) => each !== from);
    if (sharesHost(to, others)) return false;
    return this.#spread(task, to, others) >= this.#spread(task, from, others);
  }

  /** Between two owners a task keeps what it has: who is to be its next standby depends on the next owner. */
  #mayFollow(task: Task): Candidate[] {
    const candidates = task.owner === undefined ? task.holders : this.#candidates;
    return candidates.filter((each) => mayServe(task.owner, each) && !task.standbys.includes(each));
  }

  #mayStay(task: Task, holder: Candidate): boolean {
    if (holder.follows.size >= this.#shareMax) return false;
    if (this.#spreadTags.length === 0) return true;
    const spread = this.#spread(task, holder, task.standbys);
    return this.#mayFollow(task).every((other) => this.#spread(task, other, task.standbys) <= spread);
  }

  /** How many of the tags differ from the owner's and from those of these standbys. */
  #spread(task: Task, candidate: Candidate, standbys: readonly Candidate[]): number {
    let spread = 0;
    for (const tag of this.#spreadTags) {
      const value = candidate.tags[tag];
      const taken = task.owner?.tags[tag] === value && task.owner !== undefined;
      if (!taken && standbys.every((other) => other.tags[tag] !== value)) spread++;
    }
    return spread;
  }

  #hasHeirs(task: Task): boolean {
    return !task.withHeir && this.#mayFollow(task).some((candidate) => isHeir(task, candidate));
  }
}

function candidatesOf({ instances, owners }: PlacementInput): Candidate[] {
  const names = new Set(instances.map(({ name }) => name));
  const owned = new Map<string, number>();
  for (const owner of owners.values()) if (names.has(owner)) owned.set(owner, (owned.get(owner) ?? 0) + 1);
  const total = [...owned.values()].reduce((sum, count) => sum + count, 0);
  // The group's assignor is sticky and balanced: what a leaver owned goes to those who own least, none getting
  // more than its share of all. *Which* of several equals gets a task is the broker's choice and not known here.
  const shareMax = Math.ceil(total / Math.max(1, instances.length - 1));
  return [...instances]
    .sort((a, b) => byText(a.name, b.name))
    .map((instance) => ({
      ...instance,
      inheritsMax: Math.max(0, shareMax - (owned.get(instance.name) ?? 0)),
      inherits: new Map(),
      follows: new Set(),
    }));
}

function mayServe(owner: Candidate | undefined, candidate: Candidate): boolean {
  return candidate !== owner && (owner?.host === undefined || candidate.host !== owner.host);
}

/** It could inherit the task, and is not yet counted on for as many of its owner's as it would get. */
function isHeir({ owner }: Task, candidate: Candidate): boolean {
  return owner !== undefined && (candidate.inherits.get(owner) ?? 0) < candidate.inheritsMax;
}

function sharesHost(candidate: Candidate, others: readonly Candidate[]): boolean {
  return candidate.host !== undefined && others.some(({ host }) => host === candidate.host);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The first of those with the smallest rank, compared from left to right. */
function smallest<T>(items: readonly T[], rankOf: (item: T) => readonly number[]): T | undefined {
  let best: { readonly item: T; readonly rank: readonly number[] } | undefined;
  for (const item of items) {
    const rank = rankOf(item);
    if (best === undefined || isLess(rank, best.rank)) best = { item, rank };
  }
  return best?.item;
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (const [index, value] of a.entries()) {
    const other = b[index] as number;
    if (value !== other) return value < other;
  }
  return false;
}
