// Mocha's spec reporter, which also writes one line per event to a file. The lines are written as the tests run, so
// the totals are right even when the run hangs and is killed, and the test that hung is known.
import { appendFileSync } from 'node:fs';
import Mocha from 'mocha';

const { Spec } = Mocha.reporters;

/** The first lines of what a test failed with: whoever sees only the end of a long run needs no more to begin. */
function reasonOf(error) {
  if (error === undefined) return undefined;
  return String(error?.stack ?? error)
    .split('\n')
    .filter((line) => line.trim() !== '' && !/node:internal|node:assert|node_modules/.test(line))
    .slice(0, 16)
    .join('\n');
}

export default class LedgerReporter extends Spec {
  constructor(runner, options) {
    super(runner, options);
    const file = process.env.MILLRACE_TEST_RESULTS;
    if (!file) return;
    const note = (event) => (test, error) => {
      const line = { event, title: test.fullTitle(), file: test.file, reason: reasonOf(error) };
      appendFileSync(file, `${JSON.stringify(line)}\n`);
    };
    runner.on('test', note('begin'));
    runner.on('hook', note('begin'));
    runner.on('pass', note('pass'));
    runner.on('fail', note('fail'));
    // A skipped test is a failure here: forbid-pending says so, and this makes it count.
    runner.on('pending', note('skip'));
  }
}
