/**
 * Goal: standbys are where the rules put them, whoever computes it, and move no more than they have to.
 * Method: random instances join and leave a group that shares out tasks as the broker does; after each step
 * everything that must hold is checked on what was placed.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import {
  type PlacementInput,
  type PlacementInstance,
  placeStandbys,
} from '../../../src/assign/place-standbys.ts';
import { seededRandom, shuffled } from '../../../src/base/seeded-random.ts';
import { balance } from '../../../src/broker/embedded-assignor.ts';

function instance(name: string, more: Partial<PlacementInstance> = {}): PlacementInstance {
  return { name, host: undefined, tags: {}, ...more };
}

function taskIds(count: number): string[] {
  return Array.from({ length: count }, (_, partition) => `0_${partition}`);
}

/** A group of instances and who owns and follows what. */
class Group {
  instances: PlacementInstance[] = [];
  owners: (string | undefined)[];
  current = new Map<string, readonly string[]>();
  readonly tasks: readonly string[];
  readonly numStandbys: number;
  readonly spreadTags: readonly string[];

  constructor(tasks: number, numStandbys: number, spreadTags: readonly string[] = []) {
    this.tasks = taskIds(tasks);
    this.owners = new Array<string | undefined>(tasks).fill(undefined);
    this.numStandbys = numStandbys;
    this.spreadTags = spreadTags;
  }

  join(joiner: PlacementInstance): void {
    this.instances.push(joiner);
    this.#rebalance();
  }

  leave(name: string): void {
    this.instances = this.instances.filter((each) => each.name !== name);
    this.#rebalance();
  }

  #rebalance(): void {
    this.owners = balance(
      this.owners,
      this.instances.map(({ name }) => name),
    );
  }

  input(): PlacementInput {
    const owners = new Map<string, string>();
    for (const [index, owner] of this.owners.entries())
      if (owner !== undefined) owners.set(this.tasks[index] as string, owner);
    return {
      instances: this.instances,
      tasks: this.tasks,
      owners,
      numStandbys: this.numStandbys,
      current: this.current,
      spreadTags: this.spreadTags,
    };
  }

  /** Places anew; gives how many standbys came to be where they were not. */
  place(): number {
    const placed = placeStandbys(this.input());
    let moves = 0;
    for (const [task, names] of placed)
      for (const name of names) if (!(this.current.get(task) ?? []).includes(name)) moves++;
    this.current = placed;
    return moves;
  }

  /** Standbys that could not stay: their instance is gone, or owns the task now. */
  forced(): number {
    const alive = new Set(this.instances.map(({ name }) => name));
    let forced = 0;
    for (const [index, task] of this.tasks.entries())
      for (const name of this.current.get(task) ?? [])
        if (!alive.has(name) || this.owners[index] === name) forced++;
    return forced;
  }

  loads(): number[] {
    return this.instances.map(
      ({ name }) => [...this.current.values()].filter((names) => names.includes(name)).length,
    );
  }

  check(what: string): void {
    const byName = new Map(this.instances.map((each) => [each.name, each]));
    for (const [index, task] of this.tasks.entries()) {
      const standbys = this.current.get(task) ?? [];
      const owner = byName.get(this.owners[index] ?? '');
      const may = this.instances.filter(
        (each) => each !== owner && (owner?.host === undefined || each.host !== owner.host),
      );
      assert.equal(standbys.length, Math.min(this.numStandbys, may.length), `${what}: how many of ${task}`);
      assert.equal(new Set(standbys).size, standbys.length, `${what}: ${task} twice on one instance`);
      for (const name of standbys)
        assert.ok(
          may.some((each) => each.name === name),
          `${what}: ${name} may not follow ${task}`,
        );
      if (this.numStandbys !== 1 || standbys.length === 0 || owner === undefined) continue;
      for (const tag of this.spreadTags) {
        const could: boolean = may.some((each) => each.tags[tag] !== owner.tags[tag]);
        const does: boolean = byName.get(standbys[0] as string)?.tags[tag] !== owner.tags[tag];
        assert.equal(does, could, `${what}: ${task} is in another ${tag} if it can be`);
      }
    }
    assert.deepEqual(placeStandbys(this.input()), this.current, `${what}: placing again changes nothing`);
  }
}

describe('standbys', () => {
  it('are where their rules allow, after any joins and leaves, and stay there', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = seededRandom(seed);
      const tagged = seed % 2 === 0;
      const group = new Group(1 + random.integer(24), 1 + random.integer(2), tagged ? ['zone'] : []);
      let names = 0;
      for (let step = 0; step < 15; step++) {
        if (group.instances.length < 2 || (random.next() < 0.55 && group.instances.length < 8)) {
          const name = `i${String(names++).padStart(2, '0')}`;
          group.join(
            instance(name, {
              host: seed % 3 === 0 ? `h${random.integer(4)}` : undefined,
              tags: tagged ? { zone: `z${random.integer(3)}` } : {},
            }),
          );
        } else {
          group.leave((group.instances[random.integer(group.instances.length)] as PlacementInstance).name);
        }
        group.place();
        group.check(`seed ${seed}, step ${step}`);
      }
    }
  });

  it('are the same whoever computes them, in whatever order the entries came', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = seededRandom(seed);
      const group = new Group(12, 2, ['zone']);
      for (let each = 0; each < 5; each++)
        group.join(instance(`i${each}`, { tags: { zone: `z${random.integer(3)}` } }));
      const input = group.input();
      const other: PlacementInput = {
        ...input,
        instances: shuffled(input.instances, random),
        tasks: shuffled(input.tasks, random),
        owners: new Map(shuffled([...input.owners], random)),
      };
      assert.deepEqual([...placeStandbys(other)], [...placeStandbys(input)]);
    }
  });

  it('are spread evenly where nothing forbids it', () => {
    // As many instances as share the tasks out evenly: one that owns less is the heir of more.
    for (const instances of [2, 3, 4, 6, 8]) {
      for (const numStandbys of [1, 2]) {
        const group = new Group(24, numStandbys);
        for (let each = 0; each < instances; each++) {
          group.join(instance(`i${each}`));
          group.place();
        }
        const loads = group.loads();
        assert.ok(Math.max(...loads) - Math.min(...loads) <= 2, `${instances} instances: ${loads.join(' ')}`);
      }
    }
  });

  it('move little when an instance joins or leaves', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const random = seededRandom(seed);
      const group = new Group(24, 1);
      for (let each = 0; each < 4; each++) group.join(instance(`i${each}`));
      group.place();
      const before = [...group.owners];
      if (seed % 2 === 0) group.join(instance('new'));
      else group.leave(`i${random.integer(4)}`);
      const forced = group.forced();
      const moves = group.place();
      // Those that cannot stay; what the one that came has to take; and those whose task has another heir now.
      const changed = group.owners.filter((owner, index) => owner !== before[index]).length;
      const joined = group.instances.findIndex(({ name }) => name === 'new');
      const bound = forced + changed + (group.loads()[joined] ?? 24 / group.instances.length);
      assert.ok(moves <= bound, `seed ${seed}: ${moves} of 24 moved, ${bound} would be reason enough`);
    }
  });

  it('are where the task goes when its owner leaves, if that is certain', () => {
    const group = new Group(6, 1);
    group.join(instance('a'));
    group.join(instance('b'));
    group.place();
    for (const [index, task] of group.tasks.entries())
      assert.deepEqual(group.current.get(task), [group.owners[index] === 'a' ? 'b' : 'a']);
    // c owns nothing of its own yet and would get all: it is the heir of every task.
    const input: PlacementInput = {
      ...group.input(),
      instances: [...group.instances, instance('c')],
      owners: new Map([
        ['0_0', 'a'],
        ['0_1', 'a'],
        ['0_2', 'b'],
        ['0_3', 'b'],
      ]),
      tasks: ['0_0', '0_1', '0_2', '0_3'],
      current: new Map(),
    };
    for (const standbys of placeStandbys(input).values()) assert.deepEqual(standbys, ['c']);
  });

  it('are left out on the host of the owner, and where there is nobody else', () => {
    const together = new Group(4, 1);
    together.join(instance('a', { host: 'h' }));
    together.join(instance('b', { host: 'h' }));
    together.place();
    assert.deepEqual([...together.current.values()], [[], [], [], []]);
    const alone = new Group(4, 2);
    alone.join(instance('a'));
    alone.place();
    assert.deepEqual([...alone.current.values()], [[], [], [], []]);
  });

  it('stay while a task has no owner', () => {
    const group = new Group(6, 1);
    for (const name of ['a', 'b', 'c']) group.join(instance(name));
    group.place();
    const before = new Map(group.current);
    const lost = group.tasks[0] as string;
    const owners = new Map(group.input().owners);
    owners.delete(lost);
    assert.deepEqual(placeStandbys({ ...group.input(), owners }).get(lost), before.get(lost));
    const fresh = placeStandbys({ ...group.input(), owners, current: new Map() });
    assert.deepEqual(fresh.get(lost), [], 'a new one would have to be guessed');
  });
});
