/** Strikes the processes of a simulation by its plan, and heals everything in the end. */
import { must } from '../../base/assert.ts';
import type { Random } from '../../base/clock-port.ts';
import type { EmbeddedBroker } from '../../broker/embedded-broker.ts';
import type { CommitStep, FaultKind, PlannedFault } from './faults.ts';
import type { SimulationScheduler } from './scheduler.ts';
import type { SimulatedApplication, SimulatedMachine } from './simulated-machine.ts';
import type { SimulatedProcess } from './simulated-process.ts';

export interface FaultInjectorOptions {
  readonly scheduler: SimulationScheduler;
  readonly broker: EmbeddedBroker;
  /** Grows while machines are added. */
  readonly machines: readonly SimulatedMachine[];
  readonly plan: readonly PlannedFault[];
  /** From this virtual millisecond on, while fewer than `atLeast` faults have struck, they strike at any step. */
  readonly insistFromMs: number;
  readonly atLeast: number;
  /** How far a clock jumps at most, either way. */
  readonly clockJumpMsMax: number;
  readonly addMachine: (application: SimulatedApplication) => SimulatedMachine;
  readonly onStruck: (kind: FaultKind, step: CommitStep) => void;
  readonly log: (line: string) => void;
}

export class FaultInjector {
  readonly struck: string[] = [];
  readonly #options: FaultInjectorOptions;
  readonly #scheduler: SimulationScheduler;
  readonly #random: Random;
  readonly #waiting: PlannedFault[];
  readonly #extra: SimulatedMachine[] = [];
  #healed = false;

  constructor(options: FaultInjectorOptions) {
    this.#options = options;
    this.#scheduler = options.scheduler;
    this.#random = options.scheduler.random;
    this.#waiting = [...options.plan];
  }

  /** Faults that have not struck yet. */
  get left(): number {
    return this.#waiting.length;
  }

  strike(process: SimulatedProcess, step: CommitStep, side: 'request' | 'answer'): FaultKind | undefined {
    const { nowMs } = this.#scheduler;
    if (this.#waiting.length === 0 || (this.#waiting[0] as PlannedFault).notBeforeMs > nowMs)
      return undefined;
    const { atLeast, insistFromMs } = this.#options;
    // A step may never come up again (no store is restored): the fault would wait for it in vain.
    const anywhere = nowMs >= insistFromMs && this.struck.length < atLeast;
    const at = this.#waiting.findIndex(
      (fault) => fault.notBeforeMs <= nowMs && (anywhere || (fault.step === step && fault.side === side)),
    );
    const fault = this.#waiting[at];
    const machine = this.#options.machines.find((each) => each.process === process);
    if (fault === undefined || machine === undefined) return undefined;
    this.#waiting.splice(at, 1);
    const { kind } = fault;
    this.struck.push(`${kind} at ${step} (${side}) on ${process.name}`);
    this.#options.onStruck(kind, step);
    this.#options.log(`${process.name}: FAULT ${kind} at ${step} (${side})`);
    this.#apply(kind, process, machine);
    return kind;
  }

  /** Everything that still holds is taken back, and what is down is started. */
  heal(): void {
    this.#healed = true;
    this.#waiting.length = 0;
    this.#options.log('HEAL');
    for (const machine of this.#options.machines) {
      const { process } = machine;
      if (process !== undefined) {
        process.cutUntilMs = 0;
        process.diskFullUntilMs = 0;
        process.diskError = false;
        process.duplicateNext = false;
        process.skewMs = 0;
        process.resume();
      }
      if (this.#extra.includes(machine)) machine.stop();
      else machine.start();
    }
  }

  #apply(kind: FaultKind, process: SimulatedProcess, machine: SimulatedMachine): void {
    switch (kind) {
      case 'crash':
      case 'power loss':
      case 'disk loss':
        this.#kill(kind, machine);
        return;
      case 'pause':
        process.pause();
        this.#later(100, 6_000, () => process.resume());
        return;
      case 'cut':
        process.cutUntilMs = this.#scheduler.nowMs + 100 + this.#random.next() * 5_000;
        return;
      case 'broker gone':
        this.#cutAll();
        return;
      case 'late duplicate':
        process.duplicateNext = true;
        return;
      case 'fence':
        void this.#fence(machine);
        return;
      case 'member joins':
        this.#join(machine.application);
        return;
      case 'member leaves':
        machine.stop();
        this.#restartWhenStopped(machine);
        return;
      case 'disk full':
        process.diskFullUntilMs = this.#scheduler.nowMs + 50 + this.#random.next() * 1_500;
        return;
      case 'disk error':
        process.diskError = true;
        return;
      case 'clock jump':
        process.skewMs = Math.round((this.#random.next() * 2 - 1) * this.#options.clockJumpMsMax);
        this.#later(100, 4_000, () => {
          process.skewMs = 0;
        });
        return;
      // These concern the one call that was struck.
      case 'delay':
      case 'request lost':
      case 'answer lost':
        return;
    }
  }

  #kill(kind: 'crash' | 'power loss' | 'disk loss', machine: SimulatedMachine): void {
    machine.kill();
    if (kind === 'power loss') machine.disk.disk.powerLoss();
    if (kind === 'disk loss') machine.disk.disk.remove('');
    this.#later(50, 3_000, () => machine.start());
  }

  #cutAll(): void {
    const untilMs = this.#scheduler.nowMs + 100 + this.#random.next() * 3_000;
    for (const { process } of this.#options.machines)
      if (process !== undefined) process.cutUntilMs = Math.max(process.cutUntilMs, untilMs);
  }

  async #fence(machine: SimulatedMachine): Promise<void> {
    const producer = await this.#options.broker.openProducer({
      clientId: 'twin',
      transactionalId: machine.transactionalId,
    });
    await producer.init();
    await producer.close();
  }

  #join(application: SimulatedApplication): void {
    if (this.#extra.some((machine) => machine.app === undefined)) {
      must(
        this.#extra.find((machine) => machine.app === undefined),
        'an extra machine',
      ).start();
      return;
    }
    if (this.#extra.length >= 2) return;
    const machine = this.#options.addMachine(application);
    this.#extra.push(machine);
    machine.start();
    this.#later(500, 5_000, () => machine.stop());
  }

  #restartWhenStopped(machine: SimulatedMachine): void {
    this.#later(100, 2_000, () => {
      if (machine.app === undefined) machine.start();
      else this.#restartWhenStopped(machine);
    });
  }

  /** Once healed, nothing more is done to anybody, except what heals. */
  #later(fromMs: number, toMs: number, run: () => void): void {
    this.#scheduler.schedule(fromMs + this.#random.next() * (toMs - fromMs), () => {
      if (!this.#healed) run();
    });
  }
}
