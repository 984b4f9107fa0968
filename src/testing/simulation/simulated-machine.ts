/**
 * A machine of a simulated cluster: a disk and, on it, one process after the other of one application. Starts,
 * kills and stops them as an operator or a supervisor would. Knows no fault plan; the simulation tells it.
 */

import { StreamsApp, type StreamsSettings } from '../../app/streams-app.ts';
import type { Clock } from '../../base/clock-port.ts';
import { asStreamsError } from '../../base/errors.ts';
import type { Logger, Telemetry } from '../../base/telemetry-port.ts';
import { silentTelemetry } from '../../base/telemetry-port.ts';
import type { EmbeddedBroker } from '../../broker/embedded-broker.ts';
import type { FailurePolicy } from '../../failure/failure-policy.ts';
import type { Topology } from '../../graph/topology.ts';
import type { OwnershipWatch } from './ownership-watch.ts';
import type { SimulationScheduler } from './scheduler.ts';
import { simulatedBroker } from './simulated-broker.ts';
import { SimulatedDisk } from './simulated-disk.ts';
import { SimulatedProcess, type Strike } from './simulated-process.ts';

export interface SimulatedApplication {
  readonly applicationId: string;
  /**
   * Called for each process: a topology may hold state of its own by mistake, and then it must not be shared. The clock
   * is that process's; what async steps call has to wait by it and by nothing else.
   */
  readonly topology: (clock: Clock) => Topology;
  /** At least one. */
  readonly instances: number;
  readonly settings?: Partial<Omit<StreamsSettings, 'applicationId' | 'instanceId' | 'transactionalId'>>;
  readonly failurePolicy?: FailurePolicy;
}

export interface MachineOptions {
  readonly name: string;
  readonly application: SimulatedApplication;
  readonly staticMembership: boolean;
  readonly scheduler: SimulationScheduler;
  readonly broker: EmbeddedBroker;
  readonly watch: OwnershipWatch;
  readonly strike: Strike;
  readonly log: (line: string) => void;
}

interface Running {
  readonly process: SimulatedProcess;
  readonly app: StreamsApp;
  stopping: boolean;
}

export class SimulatedMachine {
  readonly name: string;
  readonly application: SimulatedApplication;
  readonly disk = new SimulatedDisk();
  readonly #options: MachineOptions;
  #running: Running | undefined;
  #starts = 0;
  /** Asked to stop: its supervisor does not start it again. */
  #retired = false;

  constructor(options: MachineOptions) {
    this.#options = options;
    this.name = options.name;
    this.application = options.application;
  }

  get process(): SimulatedProcess | undefined {
    return this.#running?.process;
  }

  get app(): StreamsApp | undefined {
    return this.#running?.app;
  }

  get transactionalId(): string {
    return `${this.application.applicationId}-${this.name}`;
  }

  start(): void {
    this.#retired = false;
    if (this.#running !== undefined) return;
    const { scheduler, broker, watch, log, strike, application, staticMembership } = this.#options;
    const process = new SimulatedProcess(`${this.name}#${++this.#starts}`, scheduler, strike);
    const app = new StreamsApp({
      topology: application.topology(process.clock),
      settings: {
        transactionTimeoutMs: 2_000,
        sessionTimeoutMs: 3_000,
        shutdownMsMax: 5_000,
        ...application.settings,
        applicationId: application.applicationId,
        transactionalId: this.transactionalId,
        ...(staticMembership ? { instanceId: this.name } : {}),
      },
      broker: simulatedBroker({ process, broker, watch, log }),
      openTaskBackend: (taskId) => this.disk.open(process, taskId),
      destroyTaskBackend: async (taskId) => {
        log(`${process.name}: rebuilds ${taskId}`);
        this.disk.disk.remove(taskId);
      },
      clock: process.clock,
      telemetry: telemetryOf(process.name, log),
      ...(application.failurePolicy === undefined ? {} : { failurePolicy: application.failurePolicy }),
    });
    const running: Running = { process, app, stopping: false };
    this.#running = running;
    log(`${process.name}: starts`);
    const ended = (error: unknown): void => {
      const { code, kind, message } = asStreamsError(error, 'INVARIANT_BROKEN');
      if (this.#running !== running) return;
      log(`${process.name}: ends with ${code}: ${message}`);
      // What a supervisor mends by starting it again is no violation; a broken invariant or a user's error is.
      if (kind === 'user' || code === 'INVARIANT_BROKEN' || kind === 'poison')
        watch.violation(`${process.name} ended with ${code}: ${message}`);
      this.kill();
      scheduler.schedule(500, () => {
        if (!this.#retired) this.start();
      });
    };
    app.start().catch(ended);
    void app.failure.then(ended);
  }

  /** The process is gone, the disk stays as it is. */
  kill(): void {
    if (this.#running === undefined) return;
    const { process } = this.#running;
    this.#options.log(`${process.name}: killed`);
    process.kill();
    this.#options.watch.closed(process.name, this.application.applicationId);
    this.disk.disk.kill();
    this.#running = undefined;
  }

  /** A clean stop. Nothing waits for it; `running` tells. */
  stop(): void {
    this.#retired = true;
    const running = this.#running;
    if (running === undefined || running.stopping) return;
    running.stopping = true;
    this.#options.log(`${running.process.name}: is asked to stop`);
    void running.app.stop().then(() => {
      if (this.#running !== running) return;
      this.#options.log(`${running.process.name}: has stopped`);
      // Past its deadline it may still hold its folders: the end of the process frees them.
      this.kill();
    });
  }
}

/** What the engine says goes into the simulation's log. */
function telemetryOf(name: string, log: (line: string) => void): Telemetry {
  const line =
    (level: string) =>
    (message: string, fields?: object, error?: unknown): void => {
      const why = error === undefined ? '' : ` ${asStreamsError(error, 'INVARIANT_BROKEN').message}`;
      log(`${name}: ${level} ${message}${fields === undefined ? '' : ` ${JSON.stringify(fields)}`}${why}`);
    };
  const logger: Logger = {
    error: line('error'),
    warn: line('warn'),
    info: line('info'),
    debug: () => {},
    child: () => logger,
  };
  return { log: logger, metrics: silentTelemetry.metrics };
}
