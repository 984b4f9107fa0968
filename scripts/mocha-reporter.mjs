// Mocha's spec reporter, which also writes one line per event to a file. The lines are written as the tests run, so
// the totals are right even when the run hangs and is killed, and the test that hung is known.
import { appendFileSync } from 'node:fs';
import Mocha from 'mocha';

const { Spec } = Mocha.reporters;

export default class LedgerReporter extends Spec {
  constructor(runner, options) {
    super(runner, options);
    const file = process.env.MILLRACE_TEST_RESULTS;
    if (!file) return;
    const note = (event) => (test) => {
      appendFileSync(file, `${JSON.stringify({ event, title: test.fullTitle(), file: test.file })}\n`);
    };
    runner.on('test', note('begin'));
    runner.on('hook', note('begin'));
    runner.on('pass', note('pass'));
    runner.on('fail', note('fail'));
    // A skipped test is a failure here: forbid-pending says so, and this makes it count.
    runner.on('pending', note('skip'));
  }
}
