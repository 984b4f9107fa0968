/** The real clock: with observe/pino-logger.ts the only file of the runtime that reads the time. */
import type { Clock } from './clock-port.ts';

export const wallClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (delayMs, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, delayMs);
      signal?.addEventListener('abort', done, { once: true });
    }),
  yield: () => new Promise((resolve) => setImmediate(resolve)),
};
