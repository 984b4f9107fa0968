/** The form of a spec of one row of the order machine, and the histories that several of them begin with. */
import type { Row } from '../../../topology/order/row.ts';
import {
  authorized,
  cancel,
  dispatched,
  payment,
  placed,
  released,
  reserved,
  type SpecInput,
  scanned,
  timer,
} from './order-events.ts';

/** Given these inputs, when that one comes, then this and nothing else. Timers: `+name` starts, `-name` stops. */
export interface Spec {
  readonly row: Row;
  readonly name: string;
  readonly given: () => readonly SpecInput[];
  readonly when: () => SpecInput;
  readonly phase: string;
  readonly commands?: readonly string[];
  readonly timers?: readonly string[];
  readonly incidents?: readonly string[];
  readonly deadLetters?: readonly string[];
}

export const authorizing = (): SpecInput[] => [placed(), reserved('l1'), reserved('l2')];
export const confirmed = (): SpecInput[] => [...authorizing(), authorized()];
export const fulfilling = (): SpecInput[] => [...confirmed(), timer('graceRelease')];
export const shipped = (): SpecInput[] => [...fulfilling(), dispatched('s1'), dispatched('s2')];
export const delivered = (): SpecInput[] => [
  ...shipped(),
  scanned('s1', 'DELIVERED'),
  scanned('s2', 'DELIVERED'),
];
export const cancelling = (): SpecInput[] => [...confirmed(), cancel()];
export const cancelled = (): SpecInput[] => [
  ...cancelling(),
  released('l1', 2),
  released('l2'),
  payment('PaymentVoided'),
];

export const dispatchS1Timers = [
  '-accept:o1:s1',
  '-shipBy:o1:s1',
  '+transitSilence:o1:s1',
  '+promisedAt:o1:s1',
];
export const extended = ['ExtendReservation l1', 'ExtendReservation l2'];
export const released2 = ['ReleaseStock l1', 'ReleaseStock l2'];
