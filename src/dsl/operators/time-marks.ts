/**
 * Where in time an ordered set of rows has any: the smallest time of each stretch that holds some. A few
 * numbers that stand in a clock row, so that "is anything due?" costs no read, and a read for what is due
 * touches little else. Pure.
 *
 * Stretches begin at 1 ms and double whenever there would be more than 64 of them, so the row stays small
 * however the times lie. A mark is a lower bound: nothing of its stretch is earlier.
 */

export interface TimeMarks {
  readonly stretchMs: number;
  /** Ascending, one per stretch. Units: milliseconds since the epoch. */
  readonly firstMs: readonly number[];
}

export const noMarks: TimeMarks = { stretchMs: 1, firstMs: [] };

const marksMax = 64;

export function withMark(marks: TimeMarks, timeMs: number): TimeMarks {
  const { stretchMs, firstMs } = marks;
  const stretch = Math.floor(timeMs / stretchMs);
  const at = firstMs.findIndex((ms) => Math.floor(ms / stretchMs) >= stretch);
  if (at < 0) return shrunk({ stretchMs, firstMs: [...firstMs, timeMs] });
  const found = firstMs[at] as number;
  const same = Math.floor(found / stretchMs) === stretch;
  if (same && found <= timeMs) return marks;
  return shrunk({ stretchMs, firstMs: firstMs.toSpliced(at, same ? 1 : 0, timeMs) });
}

/** The end, exclusive, of the stretch that a time lies in. */
export function stretchEndMs({ stretchMs }: TimeMarks, timeMs: number): number {
  return (Math.floor(timeMs / stretchMs) + 1) * stretchMs;
}

/** Without the marks below a time that begins a stretch. */
export function withoutBelow(marks: TimeMarks, endMs: number): TimeMarks {
  const firstMs = marks.firstMs.filter((ms) => ms >= endMs);
  return firstMs.length === 0 ? noMarks : { stretchMs: marks.stretchMs, firstMs };
}

function shrunk(marks: TimeMarks): TimeMarks {
  let { stretchMs, firstMs } = marks;
  while (firstMs.length > marksMax) {
    stretchMs *= 2;
    const kept: number[] = [];
    for (const ms of firstMs) {
      const last = kept[kept.length - 1];
      if (last === undefined || Math.floor(last / stretchMs) !== Math.floor(ms / stretchMs)) kept.push(ms);
    }
    firstMs = kept;
  }
  return { stretchMs, firstMs };
}
