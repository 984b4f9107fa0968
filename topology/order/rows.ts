/**
 * The shape of the cells of the order machine's table. A cell says which rows it
 * implements and which phases it may lead to: the diagram is drawn from that, and a test holds the handlers to it.
 */
import type { Work } from './decision.ts';
import type { InputOf, InputType } from './events.ts';
import type { Row } from './row.ts';
import type { Phase } from './state.ts';

/** Changes the work and says which row it took; `parked`: the event waits in the inbox (rows 1, 12a, 12b). */
export type Handler<Input> = (work: Work, input: Input) => Row;

/** `to`: phases that the handler may leave the order in, besides the one it is in. */
export interface Cell<I extends InputType> {
  readonly rows: readonly Row[];
  readonly to: readonly Phase[];
  readonly parks: boolean;
  readonly handle: Handler<InputOf<I>>;
}

/** One row of cells per phase, one cell per input: a missing cell does not compile. */
export type PhaseCells = { readonly [I in InputType]: Cell<I> };
export type Table = { readonly [P in Phase]: PhaseCells };

/** A cell. Rows and phases as short lists: `cell('16 17', 'CONFIRMED', handler)`. */
export function cell<Input>(
  rows: readonly Row[],
  to: readonly Phase[],
  handle: Handler<Input>,
): { rows: readonly Row[]; to: readonly Phase[]; parks: false; handle: Handler<Input> } {
  return { rows, to, parks: false, handle };
}
