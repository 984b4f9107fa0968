/**
 * What may go wrong in a participant, each as a probability, and the dice for it: a hash of the seed, the command and
 * the question. The same command is so treated alike in every run and after every restart. Pure.
 */
import { createHash } from 'node:crypto';

/** Probabilities, 0 to 1. */
export interface FaultSwitches {
  /** An answer takes ten times as long. */
  readonly slow: number;
  /** A payment is declined. */
  readonly decline: number;
  /** A product has too little stock; asked by whoever fills the shelves of a demo (`isShort`). */
  readonly outOfStock: number;
  /** An answer comes twice, with the same event id. */
  readonly duplicate: number;
  /** An answer is held back, so that later ones overtake it. */
  readonly reorder: number;
}

export const noFaults: FaultSwitches = { slow: 0, decline: 0, outOfStock: 0, duplicate: 0, reorder: 0 };

/** Uniform in [0, 1), always the same for the same arguments. */
export function dice(seed: number, subject: string, question: string): number {
  const digest = createHash('sha256').update(`${seed}/${question}/${subject}`).digest();
  return digest.readUInt32BE(0) / 0x1_0000_0000;
}

/** True for the share `faults.outOfStock` of all products. */
export function isShort(seed: number, sku: string, faults: FaultSwitches): boolean {
  return dice(seed, sku, 'outOfStock') < faults.outOfStock;
}
