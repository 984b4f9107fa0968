/**
 * A whole cluster in one process and under one seed: instances of applications on the embedded broker, struck by
 * faults at any of their calls, and judged afterwards by checkers that know nothing of the engine.
 *
 *   produce while faults strike ▸ heal ▸ closing records ▸ settle (no lag) ▸ stop ▸ check
 *
 * The same options with the same seed give the same log, line by line. Called by tests and by the script that
 * runs many seeds; applications simulate their own topologies with it.
 */
import type { Random } from '../../base/clock-port.ts';
import type { Headers, TopicPartition } from '../../base/record.ts';
import { seededRandom } from '../../base/seeded-random.ts';
import { wallClock } from '../../base/wall-clock.ts';
import type { TopicSpec } from '../../broker/broker-port.ts';
import { type EmbeddedBroker, openEmbeddedBroker } from '../../broker/embedded-broker.ts';
import { type ApplicationPlan, planApplication } from '../../task/task-plan.ts';
import { ClusterRest } from './cluster-rest.ts';
import { type CommittedRecord, readCommitted, readTask, storeDiffersFromChangelog } from './cluster-view.ts';
import { FaultInjector } from './fault-injector.ts';
import { countFault, type FaultCoverage, type FaultKind, faultKinds, planFaults } from './faults.ts';
import { OwnershipWatch } from './ownership-watch.ts';
import { SimulationScheduler, simulationStartMs } from './scheduler.ts';
import { type SimulatedApplication, SimulatedMachine } from './simulated-machine.ts';

/** A record to be produced from outside. `atMs`: virtual milliseconds; `timestamp`: by default the moment itself. */
export interface SimulationInput extends TopicPartition {
  readonly atMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly timestamp?: number;
  readonly headers?: Headers;
}

export interface SimulationOptions {
  readonly seed: number;
  readonly applications: readonly SimulatedApplication[];
  /** Every topic that is not an application's own. */
  readonly topics: readonly TopicSpec[];
  /** In the order of `atMs`. */
  readonly inputs: readonly SimulationInput[];
  /** There before the first instance starts. `atMs` is ignored. */
  readonly opening?: readonly SimulationInput[];
  /** Produced after everything is healed, for what only a later record brings about. `atMs` is ignored. */
  readonly closing?: readonly SimulationInput[];
  readonly faults?: {
    /** Planned; those whose step is not reached in time do not happen. Default: 12. */
    readonly count?: number;
    readonly kinds?: readonly FaultKind[];
    /** How far a clock jumps at most, either way; a timer set meanwhile is as late. Default: two hours. */
    readonly clockJumpMsMax?: number;
  };
  /**
   * What a healed cluster still has to do, undefined when nothing: asked every virtual second while there is no
   * lag. For what only time brings about (timers). Default: no lag is enough.
   */
  readonly awaited?: (view: CommittedView) => Promise<string | undefined>;
  /** What is wrong with the outcome, a sentence each. */
  readonly check: (view: ClusterView) => Promise<readonly string[]> | readonly string[];
  /** Keeps the log; without, only its digest. */
  readonly keepLog?: boolean;
  /** Virtual milliseconds in which a healed cluster has to work off everything. Default: 120,000. */
  readonly settleMsMax?: number;
}

/** What can be seen while it runs. */
export interface CommittedView {
  /** The committed records of a topic, partition after partition, each in offset order; none where there is no such topic. */
  records(topic: string): Promise<readonly CommittedRecord[]>;
}

/** What checkers see. */
export interface ClusterView extends CommittedView {
  /** The entries of a store on the disks of those who owned its tasks at the end. */
  entries(applicationId: string, store: string): Promise<readonly { key: Buffer; value: Buffer }[]>;
}

export interface SimulationReport {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly faults: readonly string[];
  readonly coverage: FaultCoverage;
  readonly inputs: number;
  readonly virtualMs: number;
  /** Equal for equal runs. */
  readonly digest: string;
  readonly log: readonly string[];
}

/** That many faults strike in every run that plans as many. */
const faultsAtLeast = 5;

export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  return new Simulation(options).run();
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: Random;
  readonly #scheduler: SimulationScheduler;
  readonly #watch = new OwnershipWatch();
  readonly #machines: SimulatedMachine[] = [];
  readonly #plans = new Map<string, ApplicationPlan>();
  readonly #rest: ClusterRest;
  readonly #log: string[] = [];
  /** Which machine had each task when all had come to rest. */
  #atRest: ReadonlyMap<string, SimulatedMachine> = new Map();
  #digest = 0x811c9dc5;
  /** At the last look there was nothing left to do. */
  #wasAtRest = false;
  /** What was awaited when it was last asked. */
  #awaited: string | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#scheduler = new SimulationScheduler(this.#random);
    this.#rest = new ClusterRest({
      machines: this.#machines,
      plans: this.#plans,
      topics: options.topics.map(({ name }) => name),
    });
  }

  async run(): Promise<SimulationReport> {
    const broker = await this.#open();
    await this.#during(broker.admin.createTopics(this.#options.topics));
    this.#plan();
    const coverage: FaultCoverage = new Map();
    const injector = this.#makeInjector(broker, coverage);
    const { opening = [], closing = [] } = this.#options;
    if (opening.length > 0) await this.#during(this.#send(broker, opening));
    for (const machine of this.#machines) machine.start();
    const lastMs = await this.#produce(broker);
    await this.#run(() => false, lastMs + 500);
    // Faults whose step has not come up yet get some more time.
    await this.#run(() => injector.left === 0, lastMs + 4_000);
    injector.heal();
    for (const input of closing) await this.#during(this.#send(broker, [input]));
    const violations = this.#watch.violations;
    if (!(await this.#settle(broker))) {
      violations.push(`the cluster did not settle: ${await this.#during(this.#lag(broker))}`);
    }
    const owners = this.#atRest;
    for (const machine of this.#machines) machine.stop();
    const stopped = (): boolean => this.#machines.every(({ app }) => app === undefined);
    if (!(await this.#run(stopped, this.#scheduler.nowMs + 20_000)))
      violations.push('an instance did not stop');
    // The markers of the last commits are still on their way.
    await this.#run(() => false, this.#scheduler.nowMs + 3_000);
    if (violations.length === 0) violations.push(...(await this.#during(this.#check(broker, owners))));
    return {
      seed: this.#options.seed,
      violations,
      faults: injector.struck,
      coverage,
      inputs: this.#options.inputs.length,
      virtualMs: Math.round(this.#scheduler.nowMs),
      digest: (this.#digest >>> 0).toString(16),
      log: this.#log,
    };
  }

  #open(): Promise<EmbeddedBroker> {
    const markerDelayMs = (): number => this.#random.next() * (this.#random.next() < 0.2 ? 60 : 1);
    return this.#during(
      openEmbeddedBroker({
        backend: undefined,
        clock: this.#scheduler.clock(undefined),
        markerDelayMs,
        stableOffsetsWaitMs: 1_000,
      }),
    );
  }

  /** Lets time pass until a promise has settled: what it waits for may be the simulation's clock. */
  async #during<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const end = (): void => {
      settled = true;
    };
    work.then(end, end);
    await wallClock.yield();
    await this.#run(() => settled, Number.POSITIVE_INFINITY);
    return work;
  }

  #plan(): void {
    const counts = new Map(this.#options.topics.map(({ name, partitions }) => [name, partitions]));
    for (const { applicationId, topology } of this.#options.applications) {
      const plan = planApplication(topology(this.#scheduler.clock(undefined)), applicationId, counts);
      this.#plans.set(applicationId, plan);
      this.#watch.plan(applicationId, plan.tasks);
    }
  }

  #makeInjector(broker: EmbeddedBroker, coverage: FaultCoverage): FaultInjector {
    const { applications, inputs, faults } = this.#options;
    const overMs = inputs.at(-1)?.atMs ?? 0;
    const staticMembership = this.#random.next() < 0.5;
    const add = (application: SimulatedApplication, name: string): SimulatedMachine => {
      const machine = new SimulatedMachine({
        name,
        application,
        staticMembership,
        scheduler: this.#scheduler,
        broker,
        watch: this.#watch,
        strike: (process, step, side) => injector.strike(process, step, side),
        log: this.#line,
      });
      this.#machines.push(machine);
      return machine;
    };
    const injector = new FaultInjector({
      scheduler: this.#scheduler,
      broker,
      machines: this.#machines,
      plan: planFaults(this.#random, {
        count: faults?.count ?? 12,
        overMs,
        kinds: faults?.kinds ?? faultKinds,
      }),
      insistFromMs: this.#scheduler.nowMs + overMs * 0.7,
      atLeast: faultsAtLeast,
      clockJumpMsMax: faults?.clockJumpMsMax ?? 7_200_000,
      addMachine: (application) => add(application, `extra-${this.#machines.length}`),
      onStruck: (kind, step) => countFault(coverage, kind, step),
      log: this.#line,
    });
    for (const application of applications) {
      for (let i = 1; i <= application.instances; i++) add(application, `${application.applicationId}-${i}`);
    }
    return injector;
  }

  /** Schedules all inputs; returns when the last one is due. */
  async #produce(broker: EmbeddedBroker): Promise<number> {
    const { inputs } = this.#options;
    const startMs = this.#scheduler.nowMs;
    for (let from = 0; from < inputs.length; ) {
      const atMs = (inputs[from] as SimulationInput).atMs;
      let to = from;
      while (to < inputs.length && (inputs[to] as SimulationInput).atMs <= atMs + 5) to++;
      const together = inputs.slice(from, to);
      this.#scheduler.schedule(startMs + atMs - this.#scheduler.nowMs, () => {
        void this.#send(broker, together);
      });
      from = to;
    }
    return startMs + (inputs.at(-1)?.atMs ?? 0);
  }

  async #send(broker: EmbeddedBroker, inputs: readonly SimulationInput[]): Promise<void> {
    const producer = await broker.openProducer({ clientId: 'outside' });
    await producer.send(
      inputs.map(({ topic, partition, key, value, timestamp, headers }) => ({
        topic,
        partition,
        key,
        value,
        timestamp: timestamp ?? simulationStartMs + Math.floor(this.#scheduler.nowMs),
        headers: headers ?? [],
      })),
    );
    await producer.flush();
    await producer.close();
  }

  #run(until: () => boolean, deadlineMs: number): Promise<boolean> {
    return this.#scheduler.run(until, deadlineMs);
  }

  /** True when every application has committed all there is in its inputs, and nothing more is awaited. */
  async #settle(broker: EmbeddedBroker): Promise<boolean> {
    let settled = false;
    let over = false;
    const look = (): void => {
      if (over) return;
      this.#restMs(broker).then((restMs) => {
        settled = restMs === 0;
        if (!settled) this.#scheduler.schedule(restMs, look);
      });
    };
    look();
    const result = await this.#run(
      () => settled,
      this.#scheduler.nowMs + (this.#options.settleMsMax ?? 120_000),
    );
    over = true;
    return result;
  }

  /** How long to wait until the next look; 0 when all is done. */
  async #restMs(broker: EmbeddedBroker): Promise<number> {
    const wasAtRest = this.#wasAtRest;
    this.#wasAtRest = false;
    if (!(await this.#settledNow(broker))) return 100;
    this.#awaited = await this.#options.awaited?.(this.#committedView(broker));
    if (this.#awaited !== undefined) return 1_000;
    // It took several turns: something may have come in meanwhile.
    if (!(await this.#settledNow(broker))) return 100;
    // What the broker has committed may still be an unknown outcome to the instance, which then restores.
    this.#wasAtRest = true;
    return wasAtRest ? 0 : 700;
  }

  #committedView(broker: EmbeddedBroker): CommittedView {
    return {
      records: async (topic) => {
        const [described] = await broker.admin.describeTopics([topic]);
        return readCommitted(
          broker,
          Array.from({ length: described?.partitions ?? 0 }, (_, partition) => ({ topic, partition })),
        );
      },
    };
  }

  async #settledNow(broker: EmbeddedBroker): Promise<boolean> {
    const owners = await this.#rest.owners(broker);
    if (owners !== undefined) this.#atRest = owners;
    return owners !== undefined;
  }

  async #lag(broker: EmbeddedBroker): Promise<string> {
    const lag = await this.#rest.lag(broker);
    return this.#awaited === undefined ? lag : `${this.#awaited}, ${lag}`;
  }

  async #check(broker: EmbeddedBroker, owners: ReadonlyMap<string, SimulatedMachine>): Promise<string[]> {
    const violations: string[] = [];
    const stores = new Map<string, { key: Buffer; value: Buffer }[]>();
    for (const [applicationId, plan] of this.#plans) {
      for (const task of plan.tasks) {
        const machine = owners.get(`${applicationId} ${task.taskId}`);
        if (machine === undefined) {
          violations.push(`task ${task.taskId} of ${applicationId} has no owner`);
          continue;
        }
        const entries = await readTask(machine.disk.disk, task);
        for (const { spec, changelog } of task.stores) {
          const found = entries.get(spec.name) ?? [];
          const name = `${applicationId} ${spec.name}`;
          stores.set(name, [...(stores.get(name) ?? []), ...found]);
          if (changelog === undefined) continue;
          const records = await readCommitted(broker, [{ topic: changelog, partition: task.partition }]);
          const difference = storeDiffersFromChangelog(found, records);
          if (difference !== undefined)
            violations.push(`task ${task.taskId} of ${applicationId}, store ${spec.name}: ${difference}`);
        }
      }
    }
    const view: ClusterView = {
      ...this.#committedView(broker),
      entries: async (applicationId, store) => stores.get(`${applicationId} ${store}`) ?? [],
    };
    violations.push(...(await this.#options.check(view)));
    return violations;
  }

  /** A line of the log: part of the digest in any case. */
  readonly #line = (text: string): void => {
    const line = `${this.#scheduler.nowMs.toFixed(3).padStart(10)}  ${text}`;
    for (let i = 0; i < line.length; i++)
      this.#digest = Math.imul(this.#digest ^ line.charCodeAt(i), 0x01000193);
    if (this.#options.keepLog === true) this.#log.push(line);
  };
}
