/**
 * What the optimisation has to know of a topology's operators and cannot see in its nodes. Written by DslGraph and
 * the classes behind streams while a topology is built; read by optimize.ts.
 */
import type { Serde } from '../serde/serde.ts';
import type { JoinStores } from './operators/stream-join-window.ts';
import type { JoinWindows, ValueJoiner } from './options.ts';

/** A repartition topic that an operator needs, as opposed to one that was asked for by `repartition()`. */
export interface RepartitionNote {
  readonly topic: string;
  readonly filter: string;
  readonly sink: string;
  readonly source: string;
  readonly keySerde: Serde<unknown>;
  readonly valueSerde: Serde<unknown>;
  /** Nobody who reads the topic can use them. */
  dropNullKeys: boolean;
}

/** A table that is read from a topic. Its store may not be there: then nobody needs it. */
export interface TableSourceNote {
  readonly store: string;
  readonly topic: string;
  /** The node that reads the topic. */
  readonly source: string;
}

/** An inner join of streams, by its nodes. */
export interface InnerJoinNote {
  readonly windows: JoinWindows;
  readonly stores: JoinStores;
  readonly joiner: ValueJoiner<unknown, unknown, unknown, unknown>;
  readonly window: Readonly<Record<'left' | 'right', string>>;
  readonly join: Readonly<Record<'left' | 'right', string>>;
  readonly merge: string;
}

export class OperatorNotes {
  /** Nodes below which the key may be another one. */
  readonly keyChanges = new Set<string>();
  /** Nodes below which the value may be another one, under the same key. */
  readonly valueChanges = new Set<string>();
  readonly merges = new Set<string>();
  readonly repartitions: RepartitionNote[] = [];
  readonly tableSources: TableSourceNote[] = [];
  readonly innerJoins: InnerJoinNote[] = [];
}
