// npm run faults: every test of test/faults, the slow ones too, with the servers they need. About an hour.
// npm run faults -- f02 f06: only the files whose name contains one of the words.
//
// The last line is "N passed, N failed", as that of npm test, which runs the fast ones of these by itself.
import { runTests } from './test.mjs';

const words = process.argv.slice(2);
await runTests(words.length === 0 ? ['test/faults/'] : words.map((word) => `test/faults/${word}`), {
  withSlow: true,
});
