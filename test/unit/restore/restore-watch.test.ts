/** Goal: what is said about a restore is true: rate over ten seconds, what is left, when it will have ended. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { ManualClock } from '../../../src/base/manual-clock.ts';
import { type LogFields, type Logger, silentTelemetry } from '../../../src/base/telemetry-port.ts';
import { RestoreWatch } from '../../../src/restore/restore-watch.ts';

interface Line {
  readonly message: string;
  readonly fields: LogFields;
}

function recording(lines: Line[]): Logger {
  const note = (message: string, fields: LogFields = {}) => lines.push({ message, fields });
  return { ...silentTelemetry.log, info: note, warn: note };
}

describe('a restore that is watched', () => {
  it('tells rate and time left by its last ten seconds, and logs them every ten', () => {
    const clock = new ManualClock(1_000);
    const lines: Line[] = [];
    const progress = { taskId: '0_1', restored: 0, remaining: 0 };
    const watch = new RestoreWatch(progress, clock, recording(lines));
    assert.equal(watch.status().recordsPerSecond, 0);
    progress.remaining = 60_000;
    // A second for planning, then 1,000 offsets a second, of which 800 are records; then twice as fast.
    for (let second = 0; second < 30; second++) {
      clock.advance(1_000);
      if (second > 0) {
        const factor = second > 15 ? 2 : 1;
        progress.restored += 800 * factor;
        progress.remaining -= 1_000 * factor;
      }
      watch.look();
    }
    assert.deepEqual(watch.status(), {
      taskId: '0_1',
      restored: 34_400,
      remaining: 17_000,
      recordsPerSecond: 1_600,
      etaMs: 8_500,
    });
    assert.deepEqual(
      lines.map(({ message, fields }) => [message, fields.remaining, fields.recordsPerSecond]),
      [
        ['restoring', 51_000, 800],
        ['restoring', 37_000, 1_120],
        ['restoring', 17_000, 1_600],
      ],
    );
    assert.equal(lines[2]?.fields.etaSeconds, 9);
    assert.deepEqual(watch.summary(), { restored: 34_400, ms: 30_000, recordsPerSecond: 1_147 });
  });

  it('promises nothing while nothing moves', () => {
    const clock = new ManualClock(0);
    const progress = { taskId: '0_1', restored: 0, remaining: 10 };
    const watch = new RestoreWatch(progress, clock, silentTelemetry.log);
    clock.advance(5_000);
    watch.look();
    assert.deepEqual(watch.status(), {
      taskId: '0_1',
      restored: 0,
      remaining: 10,
      recordsPerSecond: 0,
      etaMs: undefined,
    });
  });

  it('says once a minute that it stands still, and not while it gets on', () => {
    const clock = new ManualClock(0);
    const lines: Line[] = [];
    const progress = { taskId: '0_1', restored: 0, remaining: 500 };
    const watch = new RestoreWatch(progress, clock, recording(lines));
    const still = () => lines.filter(({ message }) => message === 'a restore stands still').length;
    const pass = (seconds: number, offsets: number) => {
      for (let second = 0; second < seconds; second++) {
        clock.advance(1_000);
        progress.remaining -= offsets;
        watch.look();
      }
    };
    pass(100, 1);
    assert.equal(still(), 0);
    pass(61, 0);
    assert.equal(still(), 1);
    pass(120, 0);
    assert.equal(still(), 3);
    assert.equal(lines.at(-2)?.fields.remaining, 400);
  });
});
