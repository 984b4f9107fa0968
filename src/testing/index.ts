/** The public interface for tests: named exports only. Imported as `millrace/testing` (`#streams/testing`). */
export { ManualClock } from '../base/manual-clock.ts';
export type { CommittedRecord } from './simulation/cluster-view.ts';
export {
  type CommitStep,
  commitSteps,
  coverageTable,
  type FaultCoverage,
  type FaultKind,
  faultKinds,
} from './simulation/faults.ts';
export type { SimulatedApplication } from './simulation/simulated-machine.ts';
export {
  type ClusterView,
  type CommittedView,
  type SimulationInput,
  type SimulationOptions,
  type SimulationReport,
  simulate,
} from './simulation/simulation.ts';
export {
  type TestInputTopic,
  type TestOutputTopic,
  TopologyTestDriver,
  type TopologyTestDriverOptions,
} from './topology-test-driver.ts';
