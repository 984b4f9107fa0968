/** What a thread is told when it is made: settings with their units, and the parts that it works with. */
import type { OpenBackend } from '../base/backend-port.ts';
import type { Clock } from '../base/clock-port.ts';
import type { Logger } from '../base/telemetry-port.ts';
import type { Broker } from '../broker/broker-port.ts';
import type { CommitStep, ProcessingGuarantee } from '../commit/commit-cycle.ts';
import type { FailurePolicy } from '../failure/failure-policy.ts';
import type { ApplicationPlan } from '../task/task-plan.ts';

export interface ThreadSettings {
  readonly clientId: string;
  readonly instanceId: string | undefined;
  readonly transactionalId: string;
  readonly transactionTimeoutMs: number;
  /** Default: exactly_once_v2. */
  readonly processingGuarantee?: ProcessingGuarantee | undefined;
  readonly sessionTimeoutMs: number;
  readonly commitIntervalMs: number;
  /** A commit is due early when so many records and changes wait. */
  readonly commitRecordsMax: number;
  readonly pollMs: number;
  readonly pollRecordsMax: number;
  readonly bufferedRecordsMax: number;
  /** Whatever comes first: records can be a megabyte each. */
  readonly bufferedBytesMax: number;
  readonly cacheEntriesMax: number;
  readonly timestampAheadMsMax: number;
  /** See `InputPatience`. */
  readonly maxTaskIdleMs: number;
  /** Unchanged offsets are committed again after so long, or the broker forgets them. */
  readonly recommitMs: number;
  /** What closing may take when the loop has failed. */
  readonly shutdownMsMax: number;
  /** Undefined: there are no standbys, and nothing is done or made for them. */
  readonly standby: StandbySettings | undefined;
}

/** This instance's place among the others, and how many standbys a task shall have. */
export interface StandbySettings {
  readonly numStandbys: number;
  /** Unique among the instances, stable over restarts. */
  readonly name: string;
  readonly host: string | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly spreadTags: readonly string[];
  /** An instance that has said nothing for three of these counts as gone. */
  readonly heartbeatMs: number;
}

export interface ThreadOptions {
  readonly plan: ApplicationPlan;
  readonly broker: Broker;
  /** Opens a task's backend; the path is below the application's state directory. */
  readonly openTaskBackend: OpenBackend;
  /** Removes a task's local state, for the one rebuild that the rules know. */
  readonly destroyTaskBackend: (taskId: string) => Promise<void>;
  readonly settings: ThreadSettings;
  readonly failurePolicy: FailurePolicy;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onCommitted: (seconds: number) => void;
  /** For tests that crash at a step of the commit cycle. */
  readonly onCommitStep?: ((step: CommitStep) => void) | undefined;
}

/** Between two tries of what failed for the broker's sake. */
export const retryMs = 200;
