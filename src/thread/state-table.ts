/**
 * State machines as tables: a cell for every state with every event, or it does not compile. Used by
 * task-lifecycle.ts and thread-lifecycle.ts; docs/spec/task-states.md shows the same tables, and a test
 * compares them.
 */
import { StreamsError } from '../base/errors.ts';

/** The next state, or `illegal`: the event cannot happen there, and its coming proves a bug of ours. */
export type TransitionTable<State extends string, Event extends string> = {
  readonly [S in State]: { readonly [E in Event]: State | 'illegal' };
};

/** Errors: INVARIANT_BROKEN for an illegal transition. `subject` names whose it is, as `task 0_3`. */
export function nextState<State extends string, Event extends string>(
  table: TransitionTable<State, Event>,
  state: State,
  event: Event,
  subject: string,
): State {
  const next: State | 'illegal' = table[state][event];
  if (next === 'illegal')
    throw new StreamsError('INVARIANT_BROKEN', `${subject} is ${state} and cannot be told to ${event}`);
  return next as State;
}
