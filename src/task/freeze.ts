/**
 * Values that processors must not change in place, made so that they cannot: for the test driver, where a mistake
 * shall show. A running task does without, for it costs.
 */

/** Freezes plain data all the way down; bytes, maps and sets cannot be, and stay as they are. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Object.isFrozen(value) || ArrayBuffer.isView(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) deepFreeze(part);
  return value;
}

/** Whether an error is what a write to something frozen throws. */
export function isFrozenWrite(error: unknown): boolean {
  return (
    error instanceof TypeError &&
    /read only property|not extensible|Cannot delete property|Cannot redefine property/.test(error.message)
  );
}
