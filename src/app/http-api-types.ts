/**
 * What the HTTP API answers, as types: the contract between whoever supplies the data (the shop's command
 * line), app/http-server.ts, which serves it, and dashboard/app.js, which reads it.
 *
 * Units: money in minor units of `currencyCode`, times in milliseconds since the epoch, rates as named.
 * A field may be added; one that is here may not change its meaning.
 */

/** One order as the list of the overview shows it. */
export interface RecentOrder {
  readonly orderId: string;
  readonly phase: string;
  readonly totalMinor: number;
  readonly currencyCode: string | null;
  /** How many lines it has. */
  readonly lines: number;
  readonly updatedAt: number;
}

/** One task of this instance, for whoever wants to see where the work is. */
export interface TaskOverview {
  /** Shape: `subtopology_partition`, for example `0_3`. */
  readonly taskId: string;
  /** RUNNING, RESTORING, or STANDBY for one that another instance runs and this one follows. */
  readonly state: string;
  /** Records that wait in the inputs, of a standby in its changelogs; absent when not known. */
  readonly lag?: number;
  /** While it restores: what is left, how fast it goes, and when it will have ended, if anything tells. */
  readonly restore?: {
    readonly remaining: number;
    readonly recordsPerSecond: number;
    readonly etaMs?: number;
  };
}

/** `GET /api/overview`, and each event of `GET /api/events`. */
export interface Overview {
  /** Which broker the instance stands on: `embedded`, `embedded (in memory)`, `kafka 127.0.0.1:9092`. */
  readonly broker: string;
  /** Of the runtime, `StreamsState`: `RUNNING`, `REBALANCING` (also while it restores), `ERROR` and so on. */
  readonly state: string;
  /** True when the instance owns restored tasks and answers from them. */
  readonly ready: boolean;
  readonly startedAt: number;
  /** When these numbers were read; they show committed state only. */
  readonly asOf: number;
  readonly orders: {
    readonly total: number;
    readonly byPhase: Readonly<Record<string, number>>;
  };
  readonly rates: {
    readonly ordersPerMinute: number;
    readonly eventsPerSecond: number;
  };
  /** Order: the last updated first. At most 50. */
  readonly recent: readonly RecentOrder[];
  readonly tasks?: readonly TaskOverview[];
}

/** The body of every answer that is not a success. */
export interface ApiProblem {
  /** A code of docs/errors.md, or one of the API's own: NOT_FOUND, HOST_REFUSED, TOO_MANY_LISTENERS, INTERNAL. */
  readonly code: string;
  readonly message: string;
  /** What to do about it, where there is something. */
  readonly hint?: string;
}
