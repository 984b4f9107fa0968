// What the scripts tell a person. Everything goes to stderr: stdout belongs to the program that is started, or
// to the one line that another program wants to read.

/** A failure that a person can mend: what is wrong, and the line to type. */
export class SetupError extends Error {
  constructor(message, { type, details } = {}) {
    super(message);
    this.name = 'SetupError';
    this.type = type;
    this.details = details;
  }

  /** The text that is shown: details first, so that the thing to do is what stays in sight. */
  toText() {
    const lines = [];
    if (this.details) lines.push(this.details.trimEnd(), '');
    lines.push(`millrace: ${this.message}`);
    if (this.type) lines.push('millrace: type this, then try again:', `    ${this.type}`);
    return lines.join('\n');
  }
}

export function say(text) {
  process.stderr.write(`millrace: ${text}\n`);
}

/** For example "3 min 20 s", or "8.4 s". */
export function duration(milliseconds) {
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** Runs a script's main function: a failure becomes a message and exit code 1, a stack only where it is a bug. */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    process.stderr.write(`${error instanceof SetupError ? error.toText() : (error?.stack ?? error)}\n`);
    process.exitCode = 1;
  }
}
