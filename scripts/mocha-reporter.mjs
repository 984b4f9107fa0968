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

/** How long after its last test a group may take to end before it says what keeps it. */
const lingerMs = 20_000;

/** The handles that keep the process alive, as Node's own report lists them. */
function whatIsOpen() {
  const { libuv } = process.report.getReport();
  const handles = libuv.filter(({ is_active, is_referenced }) => is_active && is_referenced);
  return [
    `resources: ${process.getActiveResourcesInfo().join(' ')}`,
    ...handles.map((handle) => JSON.stringify(handle)),
  ].join('\n');
}

export default class LedgerReporter extends Spec {
  constructor(runner, options) {
    super(runner, options);
    runner.once('end', () => {
      const tell = () =>
        process.stderr.write(`the tests have ended, and this is still open:\n${whatIsOpen()}\n`);
      setTimeout(tell, lingerMs).unref();
    });
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
