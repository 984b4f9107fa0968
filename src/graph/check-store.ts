/** What a store's definition has to say, checked where it is added. Called by Topology. */
import { StreamsError } from '../base/errors.ts';
import type { StoreSpec } from './node.ts';

/** Errors: TOPOLOGY_INVALID. */
export function checkStore(spec: StoreSpec): void {
  const { name, kind, retentionMs, historyRetentionMs, cacheEntriesMax } = spec;
  if (kind === 'versioned' && !((historyRetentionMs ?? -1) >= 0))
    throw invalid(
      `versioned store ${name} needs its historyRetentionMs`,
      'in milliseconds: how far back a version can be read or put',
    );
  // What an operator keeps may be over in the moment in which it came, as a session without a gap.
  const leastMs = spec.expiry === 'operator' ? 0 : 1;
  if ((kind === 'window' || kind === 'session') && !((retentionMs ?? -1) >= leastMs))
    throw invalid(
      `${kind} store ${name} needs its retentionMs`,
      'in milliseconds, at least 1: how far back from the newest a row is kept; Infinity keeps for ever',
    );
  if (spec.changelogConfig !== undefined && !spec.changelog)
    throw invalid(
      `store ${name} has settings for its changelog, and no changelog`,
      'leave one of both out: changelogConfig, or that it is not logged',
    );
  if (cacheEntriesMax !== undefined && !(Number.isSafeInteger(cacheEntriesMax) && cacheEntriesMax >= 1))
    throw invalid(`store ${name} cannot cache ${cacheEntriesMax} entries`, 'at least 1');
}

function invalid(sentence: string, hint: string): StreamsError {
  return new StreamsError('TOPOLOGY_INVALID', sentence, { hint });
}
