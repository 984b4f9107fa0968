/**
 * Asks the broker what the group has for a member whose client library is silent. Owned by kafka-group-member.ts, one
 * for each client object.
 *
 * In the new group protocol the library says nothing to a member for which the group has nothing, and such an instance
 * would never be ready. A library that has given up joining in silence, seen after lost answers to its first
 * heartbeats, shows in the same answer.
 */
import type { Clock } from '../base/clock-port.ts';
import type { Logger } from '../base/telemetry-port.ts';
import { asNativeError } from './kafka-errors.ts';

/** Between two askings. */
const pauseMs = 1_000;
/** A member that the group has not known for so long, while the broker answers, is not joining any more. */
const unknownMsMax = 30_000;

export type Share = 'some' | 'none' | 'not a member';

export interface ShareWatchOptions {
  readonly groupId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly shareInGroup: () => Promise<Share>;
}

export class ShareWatch {
  readonly #options: ShareWatchOptions;
  #isAsking = false;
  #askedMs: number;
  #unknownSinceMs: number | undefined;

  constructor(options: ShareWatchOptions) {
    this.#options = options;
    this.#askedMs = options.clock.monotonicMs();
  }

  /**
   * Asks when it is time to, beside the polls; call it with each. `found`: the group has settled with nothing for the
   * member, or has not known it for long.
   */
  look(found: (finding: 'none' | 'not a member') => void): void {
    const { clock, log, groupId, shareInGroup } = this.#options;
    if (this.#isAsking || clock.monotonicMs() - this.#askedMs < pauseMs) return;
    this.#isAsking = true;
    shareInGroup()
      .then(
        (share) => {
          if (share === 'none' || (share === 'not a member' && this.#isUnknownForLong())) found(share);
          if (share !== 'not a member') this.#unknownSinceMs = undefined;
        },
        (error: unknown) =>
          log.debug('the group does not tell the share of this member', {
            group: groupId,
            reason: asNativeError(error).message,
          }),
      )
      .finally(() => {
        this.#isAsking = false;
        this.#askedMs = clock.monotonicMs();
      });
  }

  #isUnknownForLong(): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    this.#unknownSinceMs ??= nowMs;
    return nowMs - this.#unknownSinceMs >= unknownMsMax;
  }
}
