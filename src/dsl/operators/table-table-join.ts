/**
 * One side of `join`, `leftJoin` or `outerJoin` of two tables by primary key: a change on this side meets
 * the row that the other side has now. The result's timestamp is the later of both.
 *
 * When nothing is forwarded: without a row on the other side, an inner join never does; a left or outer one
 * does not when the change has no value, old or new, of its own.
 */
import type { ProcessorContext, Record } from '../../graph/processor.ts';
import { type Change, changeOf } from '../change.ts';
import { dropped } from '../dropped.ts';
import type { Demand, TableReader, TableView, ValueGetter } from '../table-view.ts';
import { Operator } from './operator.ts';

export type JoinKind = 'inner' | 'left' | 'outer';

/** Of one side: whether a result needs this side's own value, and whether it needs the other side's. */
export interface SideRule {
  readonly needsOwn: boolean;
  readonly needsOther: boolean;
}

export function sideRule(kind: JoinKind, side: 'left' | 'right'): SideRule {
  if (kind === 'inner') return { needsOwn: true, needsOther: true };
  if (kind === 'outer') return { needsOwn: false, needsOther: false };
  return side === 'left' ? { needsOwn: true, needsOther: false } : { needsOwn: false, needsOther: true };
}

export interface TableTableJoinOptions<K, VThis, VOther, VOut> {
  readonly other: TableReader<K, VOther>;
  readonly joiner: (own: VThis | null, other: VOther | null, key: K) => VOut | null;
  readonly rule: SideRule;
  /** This side is versioned: changes of its past join nothing. */
  readonly versioned: boolean;
  readonly demand: Demand;
}

export class TableTableJoin<K, VThis, VOther, VOut> extends Operator<K, Change<VThis>, K, Change<VOut>> {
  readonly #options: TableTableJoinOptions<K, VThis, VOther, VOut>;
  #getOther!: ValueGetter<K, VOther>;

  constructor(options: TableTableJoinOptions<K, VThis, VOther, VOut>) {
    super();
    this.#options = options;
  }

  override init(context: ProcessorContext<K, Change<VOut>>): void {
    super.init(context);
    this.#getOther = this.#options.other.open(context);
  }

  process(record: Record<K, Change<VThis>>): void {
    const { key, value: change } = record;
    if (key === null || key === undefined) {
      dropped(this.context, 'null key', record);
      return;
    }
    const { rule, demand, versioned } = this.#options;
    if (versioned && change.outOfOrder === true) {
      dropped(this.context, 'late', record);
      return;
    }
    const row = this.#getOther(key);
    if (row === undefined && (rule.needsOther || (change.newValue === null && change.oldValue === null)))
      return;
    const other = row?.value ?? null;
    const newValue = this.#join(key, change.newValue, other);
    const oldValue = demand.oldValues ? this.#join(key, change.oldValue, other) : null;
    const timestamp = row === undefined ? record.timestamp : Math.max(record.timestamp, row.timestamp);
    const value = changeOf(newValue, oldValue, change.outOfOrder === true);
    this.context.forward({ ...record, value, timestamp });
  }

  #join(key: K, own: VThis | null, other: VOther | null): VOut | null {
    if (own === null && (this.#options.rule.needsOwn || other === null)) return null;
    return this.#options.joiner(own, other, key);
  }
}

/** The joined table as others see it when it has no store of its own: joined at each look. */
export function joinedView<K, VL, VR, VOut>(
  left: TableView<K, VL>,
  right: TableView<K, VR>,
  joiner: (left: VL | null, right: VR | null, key: K) => VOut | null,
  kind: JoinKind,
  demand: Demand,
): TableView<K, VOut> {
  return {
    versioned: false,
    reader: () => {
      const readers = { left: left.reader(), right: right.reader() };
      return {
        stores: [...new Set([...readers.left.stores, ...readers.right.stores])],
        open: (context) => {
          const getLeft = readers.left.open(context);
          const getRight = readers.right.open(context);
          return (key) => {
            const [l, r] = [getLeft(key), getRight(key)];
            if (l === undefined && (r === undefined || kind !== 'outer')) return undefined;
            if (r === undefined && kind === 'inner') return undefined;
            const value = joiner(l?.value ?? null, r?.value ?? null, key);
            if (value === null) return undefined;
            return { value, timestamp: Math.max(l?.timestamp ?? -1, r?.timestamp ?? -1) };
          };
        },
      };
    },
    sendOldValues: () => joinSendsOldValues(left, right, demand),
  };
}

type SendsOldValues = Pick<TableView<unknown, unknown>, 'sendOldValues'>;

/** Old results are made of old rows: both sides must send theirs. */
export function joinSendsOldValues(left: SendsOldValues, right: SendsOldValues, demand: Demand): boolean {
  left.sendOldValues(true);
  right.sendOldValues(true);
  demand.oldValues = true;
  return true;
}
