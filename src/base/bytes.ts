/** Order-preserving key bytes: what sorts as bytes in RocksDB sorts as values here. */

/** Eight bytes, big-endian, sign bit flipped: negative numbers sort before positive ones. */
export function sortableInteger(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigInt64BE(BigInt(value));
  bytes[0] = (bytes[0] as number) ^ 0x80;
  return bytes;
}

export function readSortableInteger(bytes: Buffer, at = 0): number {
  const copy = Buffer.from(bytes.subarray(at, at + 8));
  copy[0] = (copy[0] as number) ^ 0x80;
  return Number(copy.readBigInt64BE());
}

/** The smallest key greater than every key with this prefix; undefined when there is none (all 0xff). */
export function prefixEnd(prefix: Buffer): Buffer | undefined {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i] === 0xff) continue;
    const end = Buffer.from(prefix.subarray(0, i + 1));
    end[i] = (end[i] as number) + 1;
    return end;
  }
  return undefined;
}

/** A key as a string for maps: one character a byte, so string order is byte order. */
export function mapKey(bytes: Buffer): string {
  return bytes.toString('latin1');
}

export function fromMapKey(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}
