/** The one place of the shop that reads the process's environment; settings.ts says what the variables mean. */

export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env;
}
