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
  /** Tasks that it owns. */
  readonly owned: number;
  /** Standbys placed on it so far. */
  load: number;
}

class Placement {
  readonly #input: PlacementInput;
  readonly #tasks: readonly string[];
  readonly #candidates: readonly Candidate[];
  readonly #byName: ReadonlyMap<string, Candidate>;
  readonly #placed = new Map<string, Candidate[]>();
  /** Standbys of an owner's tasks that were put on an instance as on their heir. */
  readonly #inherits = new Map<string, number>();
  /** Tasks that have an owner among the instances. */
  readonly #ownedTotal: number;
  readonly #shareMax: number;
  /** Tasks whose first standby is with an heir. */
  readonly #heirs = new Set<string>();

  constructor(input: PlacementInput) {
    this.#input = input;
    this.#tasks = [...input.tasks].sort(byText);
    const owned = new Map<string, number>();
    for (const owner of input.owners.values()) owned.set(owner, (owned.get(owner) ?? 0) + 1);
    this.#candidates = [...input.instances]
      .sort((a, b) => byText(a.name, b.name))
      .map((instance) => ({ ...instance, owned: owned.get(instance.name) ?? 0, load: 0 }));
    this.#ownedTotal = this.#candidates.reduce((sum, each) => sum + each.owned, 0);
    this.#byName = new Map(this.#candidates.map((candidate) => [candidate.name, candidate]));
    for (const task of this.#tasks) this.#placed.set(task, []);
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
      if (this.#hasHeirs(task)) this.#fill(task, Math.min(1, this.#input.numStandbys));
    for (const task of this.#tasks) this.#keepOthers(task);
    for (const task of this.#tasks) this.#fill(task, this.#input.numStandbys);
    while (this.#levelOne()) {}
    return new Map([...this.#placed].map(([task, standbys]) => [task, standbys.map(({ name }) => name)]));
  }

  #keepHeir(task: string): void {
    if (this.#input.numStandbys < 1) return;
    const heir = this.#holders(task).find(
      (holder) => this.#mayStay(task, holder) && this.#isHeir(task, holder),
    );
    if (heir !== undefined) this.#put(task, heir);
  }

  #keepOthers(task: string): void {
    for (const holder of this.#holders(task)) {
      if (this.#standbysOf(task).length >= this.#input.numStandbys) return;
      if (this.#mayStay(task, holder)) this.#put(task, holder);
    }
  }

  #fill(task: string, count: number): void {
    while (this.#standbysOf(task).length < count) {
      const needsHeir = !this.#standbysOf(task).some((standby) => this.#couldInherit(task, standby));
      const best = smallest(this.#mayFollow(task), (candidate) => [
        -this.#spread(task, candidate),
        needsHeir && !this.#isHeir(task, candidate) ? 1 : 0,
        this.#sharesHost(task, candidate) ? 1 : 0,
        candidate.load,
        this.#isHolder(task, candidate) ? 0 : 1,
      ]);
      if (best === undefined) return;
      this.#put(task, best);
    }
  }

  /** Moves one standby that is no heir's to an instance with two fewer or less. False when none can be. */
  #levelOne(): boolean {
    const byLoad = [...this.#candidates].sort((a, b) => a.load - b.load);
    for (const from of [...byLoad].reverse()) {
      for (const to of byLoad) {
        if (from.load - to.load < 2) break;
        const movable = this.#tasks.filter((task) => this.#mayMove(task, from, to));
        const task = smallest(movable, (each) => [
          Number(this.#isHolder(each, from)) - Number(this.#isHolder(each, to)),
        ]);
        if (task === undefined) continue;
        const standbys = this.#standbysOf(task);
        standbys[standbys.indexOf(from)] = to;
        from.load--;
        to.load++;
        return true;
      }
    }
    return false;
  }

  #mayMove(task: string, from: Candidate, to: Candidate): boolean {
    const standbys = this.#standbysOf(task);
    const index = standbys.indexOf(from);
    if (index < (this.#heirs.has(task) ? 1 : 0)) return false;
    if (!this.#mayFollow(task).includes(to)) return false;
    const others = standbys.filter((each) => each !== from);
    if (others.some(({ host }) => host !== undefined && host === to.host)) return false;
    return this.#spreadBeside(task, to, others) >= this.#spreadBeside(task, from, others);
  }

  #isHolder(task: string, candidate: Candidate): boolean {
    return (this.#input.current.get(task) ?? []).includes(candidate.name);
  }

  #put(task: string, candidate: Candidate): void {
    const standbys = this.#standbysOf(task);
    if (this.#isHeir(task, candidate) && !standbys.some((other) => this.#couldInherit(task, other))) {
      const key = this.#inheritance(task, candidate);
      this.#inherits.set(key, (this.#inherits.get(key) ?? 0) + 1);
      this.#heirs.add(task);
      standbys.unshift(candidate);
    } else {
      standbys.push(candidate);
    }
    candidate.load++;
  }

  #standbysOf(task: string): Candidate[] {
    return this.#placed.get(task) as Candidate[];
  }

  /** Who follows it now and may go on. */
  #holders(task: string): Candidate[] {
    const names = this.#input.current.get(task) ?? [];
    const eligible = this.#eligible(task);
    return names.flatMap((name) => eligible.find((candidate) => candidate.name === name) ?? []);
  }

  /** Between two owners a task keeps what it has: who is to be its next standby depends on the next owner. */
  #mayFollow(task: string): Candidate[] {
    return this.#owner(task) === undefined ? this.#holders(task) : this.#eligible(task);
  }

  /** Who could follow it and does not yet. */
  #eligible(task: string): Candidate[] {
    const owner = this.#owner(task);
    const placed = this.#standbysOf(task);
    return this.#candidates.filter(
      (candidate) =>
        candidate !== owner &&
        (owner?.host === undefined || candidate.host !== owner.host) &&
        !placed.includes(candidate),
    );
  }

  #mayStay(task: string, holder: Candidate): boolean {
    if (holder.load >= this.#shareMax) return false;
    const best = Math.max(...this.#eligible(task).map((candidate) => this.#spread(task, candidate)));
    return this.#spread(task, holder) === best;
  }

  /** How many of the tags differ from the owner's and from those of every standby so far. */
  #spread(task: string, candidate: Candidate): number {
    return this.#spreadBeside(task, candidate, this.#standbysOf(task));
  }

  #spreadBeside(task: string, candidate: Candidate, standbys: readonly Candidate[]): number {
    const owner = this.#owner(task);
    const others = owner === undefined ? standbys : [owner, ...standbys];
    return this.#input.spreadTags.filter((tag) =>
      others.every((other) => other.tags[tag] !== candidate.tags[tag]),
    ).length;
  }

  #sharesHost(task: string, candidate: Candidate): boolean {
    if (candidate.host === undefined) return false;
    return this.#standbysOf(task).some(({ host }) => host === candidate.host);
  }

  #owner(task: string): Candidate | undefined {
    return this.#byName.get(this.#input.owners.get(task) ?? '');
  }

  /**
   * The group's assignor is sticky and balanced: what a leaver owned goes to those who own least, none getting
   * more than its share of all. *Which* of several equals gets a task is the broker's choice and not known here.
   */
  #inheritsMax(task: string, candidate: Candidate): number {
    const owner = this.#owner(task);
    if (owner === undefined) return 0;
    const others = Math.max(1, this.#candidates.length - 1);
    return Math.max(0, Math.ceil(this.#ownedTotal / others) - candidate.owned);
  }

  #couldInherit(task: string, candidate: Candidate): boolean {
    return this.#inheritsMax(task, candidate) > 0;
  }

  /** It could inherit the task, and is not yet counted on for as many of its owner's as it would get. */
  #isHeir(task: string, candidate: Candidate): boolean {
    const taken = this.#inherits.get(this.#inheritance(task, candidate)) ?? 0;
    return taken < this.#inheritsMax(task, candidate);
  }

  #hasHeirs(task: string): boolean {
    return this.#eligible(task).some((candidate) => this.#isHeir(task, candidate));
  }

  #inheritance(task: string, candidate: Candidate): string {
    return JSON.stringify([this.#owner(task)?.name, candidate.name]);
  }
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
