/** Waiting for a condition with a deadline: what tests do instead of sleeping. */

export interface EventuallyOptions {
  /** Default: 10 s. */
  readonly timeoutMs?: number;
  /** What is waited for, for the message when it does not come. */
  readonly what: string;
}

/** Resolves with the first value of `condition` that is neither false nor undefined nor null; asks every 10 ms. */
export async function eventually<T>(
  condition: () => T | Promise<T>,
  options: EventuallyOptions,
): Promise<NonNullable<Exclude<T, false>>> {
  const timeoutMs = options.timeoutMs ?? 10_000;
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== false && value !== undefined && value !== null) {
      return value as NonNullable<Exclude<T, false>>;
    }
    if (Date.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${options.what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
