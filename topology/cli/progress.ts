/**
 * What a command shows while it works: a bar that redraws itself on a terminal, a plain line now and then
 * elsewhere (a file, CI). Written to stderr, so that stdout holds results only. Gateway of `cli-progress`.
 */
import cliProgress from 'cli-progress';
import { wallClock } from '#streams';

export interface Progress {
  /** `done` of the total; `note` is what happens right now. */
  update(done: number, note: string): void;
  /** Leaves the last state on the screen. Idempotent. */
  stop(): void;
}

/** Between two plain lines. */
const lineEveryMs = 5_000;

/** `unit`: what is counted, for example `events`. */
export function openProgress(options: {
  readonly total: number;
  readonly unit: string;
  readonly stream?: NodeJS.WriteStream;
}): Progress {
  const stream = options.stream ?? process.stderr;
  return stream.isTTY ? barOn(stream, options) : linesOn(stream, options);
}

function barOn(stream: NodeJS.WriteStream, { total, unit }: { total: number; unit: string }): Progress {
  const bar = new cliProgress.SingleBar(
    {
      stream,
      format: `{bar} {percentage}% | {value}/{total} ${unit} | {note}`,
      barsize: 30,
      hideCursor: true,
      clearOnComplete: false,
      fps: 8,
    },
    cliProgress.Presets.shades_classic,
  );
  bar.start(total, 0, { note: 'starting' });
  return {
    update: (done, note) => bar.update(Math.min(done, total), { note }),
    stop: () => bar.stop(),
  };
}

function linesOn(stream: NodeJS.WritableStream, { total, unit }: { total: number; unit: string }): Progress {
  let nextMs = 0;
  let last = '';
  return {
    update: (done, note) => {
      last = `${done}/${total} ${unit} | ${note}\n`;
      if (wallClock.monotonicMs() < nextMs) return;
      nextMs = wallClock.monotonicMs() + lineEveryMs;
      stream.write(last);
      last = '';
    },
    stop: () => {
      if (last !== '') stream.write(last);
      last = '';
    },
  };
}

/** One line that is rewritten on a terminal, printed now and then elsewhere; for work without an end. */
export function openStatusLine(stream: NodeJS.WriteStream = process.stderr): {
  show(text: string): void;
  stop(): void;
} {
  let nextMs = 0;
  let shown = false;
  return {
    show: (text) => {
      if (stream.isTTY) {
        stream.write(`\r\u001b[2K${text.slice(0, Math.max(20, (stream.columns ?? 80) - 1))}`);
        shown = true;
      } else if (wallClock.monotonicMs() >= nextMs) {
        nextMs = wallClock.monotonicMs() + lineEveryMs;
        stream.write(`${text}\n`);
      }
    },
    stop: () => {
      if (shown) stream.write('\n');
      shown = false;
    },
  };
}
