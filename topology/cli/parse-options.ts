/** Values of command-line options: each is checked where it is given, and refused by its name and bounds. */
import { InvalidArgumentError } from 'commander';
import type { LogLevel } from '#streams';

function numberIn(text: string, min: number, max: number, what: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= min && value <= max) return value;
  throw new InvalidArgumentError(`It is ${what} from ${min} to ${max}.`);
}

/** Bounds inclusive. */
export function integerIn(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = numberIn(text, min, max, 'a whole number');
    if (Number.isInteger(value)) return value;
    throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`);
  };
}

/** Bounds inclusive. */
export function decimalIn(min: number, max: number): (text: string) => number {
  return (text) => numberIn(text, min, max, 'a number');
}

/** Shape: letters, digits, dot, dash, underscore: it becomes a part of topic and folder names. */
export function applicationId(text: string): string {
  if (/^[A-Za-z0-9._-]{1,100}$/.test(text)) return text;
  throw new InvalidArgumentError('It is up to 100 letters, digits, dots, dashes and underscores.');
}

/** Shape: `host:port[,host:port]`. */
export function brokerList(text: string): string {
  if (text.split(',').every((part) => /^[^\s,:]+:\d{1,5}$/.test(part.trim()))) return text;
  throw new InvalidArgumentError('It is host:port, or several with commas between them.');
}

/** Shape: `http://host:port/path`. */
export function httpUrl(text: string): string {
  if (/^https?:\/\/[^\s/]+/.test(text)) return text.replace(/\/+$/, '');
  throw new InvalidArgumentError('It is an address that begins with http:// or https://.');
}

export const portNumber = integerIn(0, 65_535);
export const seedNumber = integerIn(0, 4_294_967_295);

const logLevels: readonly string[] = ['error', 'warn', 'info', 'debug', 'silent'] satisfies LogLevel[];

export function logLevel(text: string): LogLevel {
  if (logLevels.includes(text)) return text as LogLevel;
  throw new InvalidArgumentError(`It is one of ${logLevels.join(', ')}.`);
}
