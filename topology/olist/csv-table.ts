/**
 * One CSV table of an Olist folder, read strictly: the gateway of `csv-parse`. Called by olist-orders.ts.
 *
 * A table may be `orders.csv.gz`, `orders.csv`, or have Kaggle's name `olist_orders_dataset.csv[.gz]`.
 * Every complaint names the file, the line and the column. It never guesses: a value that does not fit its
 * column is a problem, not a zero.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { CsvError, parse } from 'csv-parse/sync';
import { StreamsError } from '#streams';

const unzip = promisify(gunzip);

/** What is wrong with a value. Shape: `line` counts from 1 and includes the header. */
export interface CsvProblem {
  readonly file: string;
  readonly line: number;
  readonly column: string;
  readonly problem: string;
}

const tableSuffixes = ['.csv.gz', '.csv'];

/** Beyond this many problems the rest is only counted: a wrong separator would make one for each cell. */
const problemsShownMax = 10;

async function readFirst(folder: string, names: readonly string[]): Promise<{ file: string; bytes: Buffer }> {
  for (const file of names) {
    try {
      return { file, bytes: await readFile(join(folder, file)) };
    } catch (error) {
      const code = (error as { code?: string }).code;
      if (code === 'ENOENT' || code === 'ENOTDIR') continue;
      throw new StreamsError('INPUT_MISSING', `${file} cannot be read`, {
        context: { file: join(folder, file) },
        cause: error,
      });
    }
  }
  if (!(await isFolder(folder))) {
    throw new StreamsError('INPUT_MISSING', 'there is no such folder', { context: { folder } });
  }
  throw new StreamsError('INPUT_MISSING', `the Olist folder has no table ${names[0]}`, {
    context: { folder },
    hint: `looked for ${names.join(', ')}`,
  });
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** A row that can be asked for typed values; what does not fit is added to the table's problems. */
export class CsvRow {
  readonly #table: CsvTable;
  readonly #cells: readonly string[];
  readonly line: number;

  constructor(table: CsvTable, cells: readonly string[], line: number) {
    this.#table = table;
    this.#cells = cells;
    this.line = line;
  }

  /** The text of a column; empty is a problem. */
  text(column: string): string {
    const value = this.raw(column);
    if (value === '') this.report(column, 'is empty');
    return value;
  }

  /** The text of a column, possibly empty. */
  raw(column: string): string {
    return (this.#cells[this.#table.columnIndex(column)] ?? '').trim();
  }

  /** A whole number >= 0. */
  integer(column: string): number {
    const value = this.raw(column);
    if (/^\d{1,9}$/.test(value)) return Number(value);
    this.report(column, `${JSON.stringify(value)} is not a whole number`);
    return 0;
  }

  /** Minor units (cents) of a decimal number with at most two places. */
  minorUnits(column: string): number {
    const value = this.raw(column);
    const cents = parseMinorUnits(value);
    if (cents !== undefined) return cents;
    this.report(column, `${JSON.stringify(value)} is not an amount with at most two decimals`);
    return 0;
  }

  /** Milliseconds since the epoch of a time that must be there. */
  time(column: string): number {
    const value = this.optionalTime(column);
    if (value !== undefined) return value;
    if (this.raw(column) === '') this.report(column, 'is empty');
    return 0;
  }

  /** Milliseconds since the epoch; undefined when the cell is empty (or wrong, which is a problem). */
  optionalTime(column: string): number | undefined {
    const value = this.raw(column);
    if (value === '') return undefined;
    const ms = parseTime(value);
    if (ms === undefined) {
      this.report(column, `${JSON.stringify(value)} is not a time like 2017-11-24 18:05:00`);
    }
    return ms;
  }

  /** Adds a problem of this row. */
  report(column: string, problem: string): void {
    this.#table.report({ file: this.#table.file, line: this.line, column, problem });
  }
}

export class CsvTable {
  readonly file: string;
  readonly rows: readonly CsvRow[];
  readonly #columns: ReadonlyMap<string, number>;
  readonly #problems: CsvProblem[];

  private constructor(
    file: string,
    header: readonly string[],
    cells: readonly { readonly record: readonly string[]; readonly line: number }[],
    problems: CsvProblem[],
  ) {
    this.file = file;
    this.#columns = new Map(header.map((name, index) => [name.trim(), index]));
    this.#problems = problems;
    this.rows = cells.map(({ record, line }) => new CsvRow(this, record, line));
  }

  /**
   * Reads a table and checks its header. Arguments: `problems` collects what its cells are asked for and
   * do not give, so that all tables of a folder are reported at once.
   * Errors: INPUT_MISSING (no such file, with the names that were tried), INPUT_INVALID (not gzip, not CSV,
   * a column is missing).
   */
  static async read(
    folder: string,
    name: string,
    columns: readonly string[],
    problems: CsvProblem[],
  ): Promise<CsvTable> {
    const names = [name, `olist_${name}_dataset`].flatMap((base) =>
      tableSuffixes.map((suffix) => `${base}${suffix}`),
    );
    const { file, bytes } = await readFirst(folder, names);
    const parsed = parseCsv(file, await decompress(file, bytes));
    const header = parsed[0];
    if (header === undefined) {
      throw new StreamsError('INPUT_INVALID', `${file} is empty`, { context: { file, line: 1 } });
    }
    const table = new CsvTable(file, header.record, parsed.slice(1), problems);
    const missing = columns.filter((column) => !table.#columns.has(column));
    if (missing.length > 0) {
      throw new StreamsError('INPUT_INVALID', `${file} has no column ${missing.join(', ')}`, {
        context: { file, line: 1, column: missing[0] ?? '' },
        hint: `its columns are ${header.record.join(', ')}`,
      });
    }
    return table;
  }

  columnIndex(column: string): number {
    return this.#columns.get(column) ?? -1;
  }

  report(problem: CsvProblem): void {
    this.#problems.push(problem);
  }
}

async function decompress(file: string, bytes: Buffer): Promise<string> {
  if (!file.endsWith('.gz')) return bytes.toString('utf8');
  try {
    return (await unzip(bytes)).toString('utf8');
  } catch (error) {
    throw new StreamsError('INPUT_INVALID', `${file} is not a complete gzip file`, {
      context: { file },
      cause: error,
    });
  }
}

interface ParsedRow {
  readonly record: string[];
  readonly line: number;
}

function parseCsv(file: string, text: string): ParsedRow[] {
  try {
    // `lines` is the line a row ends on; no cell of these tables holds a line break, so it is its line.
    const rows = parse(text, { bom: true, info: true, skip_empty_lines: true }) as unknown as {
      readonly record: string[];
      readonly info: { readonly lines: number };
    }[];
    return rows.map(({ record, info }) => ({ record, line: info.lines }));
  } catch (error) {
    const lines = error instanceof CsvError ? (error as { lines?: number }).lines : undefined;
    throw new StreamsError(
      'INPUT_INVALID',
      `${file} is not CSV: ${error instanceof Error ? error.message : String(error)}`,
      { context: { file, ...(lines === undefined ? {} : { line: lines }) }, cause: error },
    );
  }
}

/** Throws INPUT_INVALID with the first problems, each with file, line and column; nothing when there is none. */
export function throwProblems(problems: readonly CsvProblem[]): void {
  const first = problems[0];
  if (first === undefined) return;
  const shown = problems
    .slice(0, problemsShownMax)
    .map(({ file, line, column, problem }) => `${file} line ${line}, column ${column}: ${problem}`);
  const rest = problems.length - shown.length;
  const lines = rest > 0 ? [...shown, `and ${rest} more`] : shown;
  throw new StreamsError('INPUT_INVALID', lines.join('; '), {
    context: { file: first.file, line: first.line, column: first.column },
    hint: 'nothing was sent; correct the file and start again',
  });
}

/** Cents of a decimal text; undefined when it is none. */
export function parseMinorUnits(text: string): number | undefined {
  const match = /^(-?)(\d{1,12})(?:\.(\d{1,2}))?$/.exec(text);
  if (match === null) return undefined;
  const cents = Number(match[2]) * 100 + Number((match[3] ?? '').padEnd(2, '0'));
  return match[1] === '-' && cents !== 0 ? -cents : cents;
}

const daysOfMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Milliseconds since the epoch of `YYYY-MM-DD HH:MM:SS` (the time may be absent); undefined when it is none.
 * The tables carry no zone; all their times are of one place, so reading them as UTC keeps their distances.
 */
export function parseTime(text: string): number | undefined {
  const match = /^(\d{4})-(\d{2})-(\d{2})(?:[ T](\d{2}):(\d{2}):(\d{2}))?$/.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const leap = month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = (daysOfMonth[month - 1] ?? 0) + (leap ? 1 : 0);
  if (day < 1 || day > days || hour > 23 || minute > 59 || second > 59) return undefined;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}
