/**
 * Ctrl-C and SIGTERM as a signal that commands wait on: the first asks to stop in good order, a second one ends
 * the process at once.
 */
import { StreamsError, wallClock } from '#streams';
import { exitCodes } from './exit-codes.ts';

/** From SIGTERM to the end, as Kubernetes' grace is 30 s and its endpoints need some of it. */
const stopMsMax = 10_000;

export interface StopSignal {
  readonly signal: AbortSignal;
  /** Resolves when it was asked for. */
  readonly requested: Promise<void>;
  /** Asks for it from inside. */
  stop(): void;
  dispose(): void;
}

export function listenForStop(): StopSignal {
  const controller = new AbortController();
  let resolveRequested: () => void = () => {};
  const requested = new Promise<void>((resolve) => {
    resolveRequested = resolve;
  });
  const stop = () => {
    controller.abort();
    resolveRequested();
  };
  const onSignal = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    stop();
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, onSignal);
  return {
    signal: controller.signal,
    requested,
    stop,
    dispose: () => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, onSignal);
    },
  };
}

/** Errors: SHUTDOWN_TIMEOUT when the work has not ended after ten seconds. */
export async function withinStopTime(work: Promise<unknown>): Promise<void> {
  const done = new AbortController();
  const late = wallClock.sleep(stopMsMax, done.signal).then(() => {
    if (done.signal.aborted) return;
    throw new StreamsError('SHUTDOWN_TIMEOUT', `the instance has not stopped within ${stopMsMax} ms`);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}
