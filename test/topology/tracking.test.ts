/** Scans find their order by tracking number, early or late, once each. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import type { ShipmentDispatched, TrackingScanned, TrackingStatus } from '../../topology/schema-types.ts';
import {
  decideTracking,
  type TrackingState,
  trackingRanks,
  waitingMax,
} from '../../topology/tracking/decide-tracking.ts';

const entry: ShipmentDispatched = {
  type: 'ShipmentDispatched',
  eventId: 'dispatched',
  occurredAt: 1,
  sourceSeq: null,
  orderId: 'o1',
  shipmentId: 'o1:s1',
  sellerId: 's1',
  carrierCode: 'post',
  trackingNumber: 'T1',
  lines: [],
};

function scan(
  status: TrackingStatus,
  scannedAt: number,
  eventId = `scan-${status}-${scannedAt}`,
): TrackingScanned {
  return {
    type: 'TrackingScanned',
    eventId,
    occurredAt: scannedAt,
    sourceSeq: null,
    carrierCode: 'post',
    trackingNumber: 'T1',
    status,
    location: null,
    scannedAt,
  };
}

function run(inputs: readonly (TrackingScanned | ShipmentDispatched)[]) {
  let state: TrackingState | undefined;
  const decisions = inputs.map((input) => {
    const decision = decideTracking(state, input);
    state = decision.state;
    return decision;
  });
  return { state, decisions, updates: decisions.flatMap(({ updates }) => updates) };
}

describe('the index of tracking numbers', () => {
  it('tells the order of each scan', () => {
    const { updates } = run([entry, scan('IN_TRANSIT', 5)]);
    assert.deepEqual(
      updates.map(({ orderId, shipmentId, status, rank, occurredAt }) => [
        orderId,
        shipmentId,
        status,
        rank,
        occurredAt,
      ]),
      [['o1', 'o1:s1', 'IN_TRANSIT', trackingRanks.IN_TRANSIT, 5]],
    );
  });

  it('keeps scans that come before the dispatch and tells them in their order', () => {
    const { decisions, updates } = run([scan('DELIVERED', 9), scan('IN_TRANSIT', 5), entry]);
    assert.deepEqual(
      decisions.map(({ outcome }) => outcome),
      ['waiting', 'waiting', 'applied'],
    );
    assert.deepEqual(
      updates.map(({ status }) => status),
      ['IN_TRANSIT', 'DELIVERED'],
    );
  });

  it('gives one update for a scan that comes twice, also around the dispatch', () => {
    const again = scan('IN_TRANSIT', 5);
    const { updates, state } = run([again, again, entry, again, entry]);
    assert.equal(updates.length, 1);
    assert.equal(state?.waiting.length, 0);
  });

  it('refuses scans beyond its bound and says so', () => {
    const scans = Array.from({ length: waitingMax + 1 }, (_, at) => scan('IN_TRANSIT', at));
    assert.equal(run(scans).decisions.at(-1)?.outcome, 'refused');
  });

  it('keeps the first shipment when a number is used twice', () => {
    const other = { ...entry, eventId: 'other', orderId: 'o2', shipmentId: 'o2:s1' };
    const { decisions, state } = run([entry, other]);
    assert.equal(decisions.at(-1)?.outcome, 'conflict');
    assert.equal(state?.parcel?.orderId, 'o1');
  });

  it('gives the same updates in any order of arrival', () => {
    const all = [
      entry,
      scan('PICKED_UP', 2),
      scan('IN_TRANSIT', 5),
      scan('OUT_FOR_DELIVERY', 7),
      scan('DELIVERED', 9),
    ];
    const ids = (inputs: typeof all) =>
      run(inputs)
        .updates.map(({ eventId }) => eventId)
        .sort();
    fc.assert(
      fc.property(fc.shuffledSubarray([...all, ...all], { minLength: all.length * 2 }), (inputs) => {
        assert.deepEqual(ids(inputs), ids(all));
      }),
    );
  });
});
