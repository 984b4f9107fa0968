/** The public interface for tests: named exports only. Imported as `millrace/testing` (`#streams/testing`). */
export { ManualClock } from '../base/manual-clock.ts';
export {
  type TestInputTopic,
  type TestOutputTopic,
  TopologyTestDriver,
  type TopologyTestDriverOptions,
} from './topology-test-driver.ts';
