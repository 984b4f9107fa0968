/**
 * The rows of the order machine that the table may name, and the shape of its cells. A cell says which rows it
 * implements and which phases it may lead to: the diagram is drawn from that, and a test holds the handlers to it.
 */
import type { Work } from './decision.ts';
import type { InputOf, InputType } from './events.ts';
import type { Phase } from './state.ts';

/** Numbers as in the machine's table; the words are its rules for every state. */
export type Row =
  | '1'
  | '2'
  | '3'
  | '4'
  | '5'
  | '6'
  | '7'
  | '8'
  | '11'
  | '12'
  | '12a'
  | '12b'
  | '16'
  | '17'
  | '18'
  | '19'
  | '20'
  | '22'
  | '23'
  | '27'
  | '28'
  | '30'
  | '32'
  | '34'
  | '35'
  | '36'
  | '37'
  | '38'
  | '41'
  | '44'
  | '49'
  | '51'
  | '53'
  | '54'
  | '56'
  | 'dup'
  | 'stale'
  | 'default';

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
