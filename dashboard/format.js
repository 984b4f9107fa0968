/**
 * Values as text, and the phases of an order as the page knows them. Pure; used by every view.
 */

/** The way of an order that goes well, with what it waits for in each phase. */
export const mainPhases = [
  { phase: 'RESERVING', says: 'waiting for stock' },
  { phase: 'AUTHORIZING', says: 'waiting for payment' },
  { phase: 'CONFIRMED', says: 'paid, not yet released' },
  { phase: 'FULFILLING', says: 'at the warehouse' },
  { phase: 'SHIPPED', says: 'with the carrier' },
  { phase: 'DELIVERED', says: 'arrived' },
];

/** The other phases; `tone` is their colour. */
export const sidePhases = [
  { phase: 'PENDING', says: 'events came before the purchase', tone: 'wait' },
  { phase: 'BACKORDERED', says: 'waiting for new stock', tone: 'wait' },
  { phase: 'CANCELLING', says: 'being undone', tone: 'warn' },
  { phase: 'CANCELLED', says: 'undone', tone: 'quiet' },
  { phase: 'REJECTED', says: 'could not be served', tone: 'bad' },
  { phase: 'CLOSED', says: 'delivered, return window over', tone: 'good' },
];

const ended = new Set(['DELIVERED', 'CLOSED', 'CANCELLED', 'REJECTED']);

export function isEnded(phase) {
  return ended.has(phase);
}

/** A colour name for a phase, an order's flag or a state of a payment or shipment. */
export function toneOf(word) {
  if (/^(CREATED|STARTING|PENDING|BACKORDERED|REQUESTED)$/.test(word)) return 'wait';
  if (/^(NOT_RUNNING|STOPPED|CANCELLED|VOIDED|REFUNDED)$/.test(word)) return 'quiet';
  if (/ERROR|REJECTED|DECLINED|LOST|INCIDENT|FAILED|EXCEPTION|BREACHED|RETURN_TO_SENDER/.test(word))
    return 'bad';
  if (/CANCELLING|HOLD|RESTORING|REBALANCING|SHUTDOWN/.test(word)) return 'warn';
  if (/DELIVERED|CLOSED|CAPTURED|RUNNING/.test(word)) return 'good';
  return 'flow';
}

/** `OUT_FOR_DELIVERY` → `Out for delivery`. */
export function words(constant) {
  const text = String(constant).replaceAll('_', ' ').toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

export function count(value) {
  return whole.format(value);
}

/** A rate: one decimal while it is small. */
export function rate(value) {
  return Math.abs(value) < 10 ? tenth.format(value) : whole.format(value);
}

/** Money from minor units; the currency knows how many decimals it has. */
export function money(minor, currencyCode) {
  if (typeof minor !== 'number') return '–';
  try {
    const format = new Intl.NumberFormat(undefined, { style: 'currency', currency: currencyCode });
    return format.format(minor / 10 ** format.resolvedOptions().maximumFractionDigits);
  } catch {
    return `${tenth.format(minor / 100)} ${currencyCode ?? ''}`.trim();
  }
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
const dayAndClock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export function clockTime(ms) {
  return clock.format(ms);
}

export function dateTime(ms) {
  return typeof ms === 'number' ? dayAndClock.format(ms) : '–';
}

const precise = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

export function preciseTime(ms) {
  return precise.format(ms);
}

/** The time between two moments of one order; with a minus when its clocks disagree. */
export function gap(ms) {
  const sign = ms < 0 ? '−' : '+';
  const size = Math.abs(ms);
  if (size < 1000) return `${sign}${whole.format(size)} ms`;
  return size < 10_000 ? `${sign}${tenth.format(size / 1000)} s` : `${sign}${span(size / 1000)}`;
}

/** How long ago, seen from the instance's own clock; a date when it is more than a day. */
export function ago(ms, asOfMs) {
  const seconds = Math.round((asOfMs - ms) / 1000);
  if (seconds < 0 || seconds >= 86_400) return dateTime(ms);
  if (seconds < 2) return 'now';
  return `${span(seconds)} ago`;
}

/** Shape: the two largest units, `3 d 4 h`, `5 min 2 s`. */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}
