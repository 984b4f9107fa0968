/**
 * What a RocksDB folder is made of, from its manifest: the tables that are part of the database, the first log that
 * is still needed, and the last change that the tables' writer knew of. Used by rocksdb-damage.ts.
 *
 * Knows the edits that a database without column families and blob files is given; for any other it gives up, and
 * RocksDB's own checks are all there are.
 * Source: RocksDB 6.17, db/version_edit.cc.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readLogRecords } from './rocksdb-log-format.ts';

export interface RocksDbManifest {
  /** Tables by file number, with their sizes in bytes. */
  readonly tables: ReadonlyMap<number, number>;
  /** Logs below this number are not replayed any more. */
  readonly firstLog: number;
  readonly lastSequence: number;
}

const tags = {
  comparator: 1,
  logNumber: 2,
  nextFile: 3,
  lastSequence: 4,
  compactCursor: 5,
  deletedFile: 6,
  newFile: 7,
  prevLogNumber: 9,
  minLogNumberToKeep: 10,
  newFile2: 100,
  newFile3: 102,
  newFile4: 103,
  columnFamily: 200,
  maxColumnFamily: 203,
} as const;
/** From here on a tag that is not known may be passed over: a length and as many bytes follow. */
const ignorableTags = 1 << 13;
const endOfCustomFields = 1;

class NotUnderstood extends Error {}

class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new NotUnderstood();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  skipSlice(): void {
    const bytes = this.varint();
    this.#at += bytes;
    if (this.#at > this.#bytes.length) throw new NotUnderstood();
  }
}

class ManifestReader {
  readonly tables = new Map<number, number>();
  firstLog = 0;
  lastSequence = 0;

  /** Deleted first, then added, as RocksDB applies an edit. */
  apply(record: Buffer): void {
    const edit = new Cursor(record);
    const added: [number, number][] = [];
    while (!edit.isAtEnd) this.#field(edit, added);
    for (const [number, bytes] of added) this.tables.set(number, bytes);
  }

  #field(edit: Cursor, added: [number, number][]): void {
    const tag = edit.varint();
    switch (tag) {
      case tags.comparator:
        edit.skipSlice();
        return;
      case tags.logNumber:
        this.firstLog = Math.max(this.firstLog, edit.varint());
        return;
      case tags.lastSequence:
        this.lastSequence = Math.max(this.lastSequence, edit.varint());
        return;
      case tags.nextFile:
      case tags.prevLogNumber:
      case tags.minLogNumberToKeep:
      case tags.maxColumnFamily:
        edit.varint();
        return;
      case tags.columnFamily:
        if (edit.varint() !== 0) throw new NotUnderstood();
        return;
      case tags.compactCursor:
        edit.varint();
        edit.skipSlice();
        return;
      case tags.deletedFile:
        edit.varint();
        this.tables.delete(edit.varint());
        return;
      case tags.newFile:
      case tags.newFile2:
      case tags.newFile3:
      case tags.newFile4:
        added.push(newFile(tag, edit));
        return;
      default:
        if (tag < ignorableTags) throw new NotUnderstood();
        edit.skipSlice();
    }
  }
}

/** Number and size of a table that an edit adds. */
function newFile(tag: number, edit: Cursor): [number, number] {
  edit.varint();
  const number = edit.varint();
  if (tag === tags.newFile3) edit.varint();
  const bytes = edit.varint();
  edit.skipSlice();
  edit.skipSlice();
  if (tag !== tags.newFile) {
    edit.varint();
    edit.varint();
  }
  if (tag === tags.newFile4) while (edit.varint() !== endOfCustomFields) edit.skipSlice();
  return [number, bytes];
}

/** Undefined when there is none, or none that can be understood: RocksDB then says what is wrong with it. */
export async function readManifest(folder: string): Promise<RocksDbManifest | undefined> {
  const current = await readFile(join(folder, 'CURRENT'), 'utf8').catch(() => '');
  const name = /^(MANIFEST-\d+)\n$/.exec(current)?.[1];
  if (name === undefined) return undefined;
  const reader = new ManifestReader();
  try {
    await readLogRecords(join(folder, name), Number.POSITIVE_INFINITY, (record) => reader.apply(record));
    return reader;
  } catch {
    return undefined;
  }
}
