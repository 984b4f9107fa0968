/** Stock decisions of one sku: who gets what, repeats, and a model check that nothing is promised twice. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { decideStock, type StockDecision } from '../../topology/inventory/decide-stock.ts';
import { availableQuantity, endedMax, type StockState } from '../../topology/inventory/stock-state.ts';
import { commandIdOf } from '../../topology/order/command-id.ts';
import type { InventoryCommand, InventoryEvent, InventoryReply } from '../../topology/schema-types.ts';

type CommandType = InventoryCommand['type'];

class Shelf {
  state: StockState | undefined;

  apply(input: InventoryCommand | InventoryEvent, attempt = 1): StockDecision {
    const decision = decideStock(this.state, input, { attempt, timestampMs: 1_000 });
    this.state = decision.state;
    return decision;
  }

  get sums(): { onHand: number; allocated: number; reserved: number; available: number } {
    const { onHand, allocated, reserved } = this.state as StockState;
    return { onHand, allocated, reserved, available: availableQuantity(this.state as StockState) };
  }
}

function command(type: CommandType, orderId: string, quantity: number, generation = 1): InventoryCommand {
  const common = { orderId, tenantId: 't', generation, lineId: 'l1', sku: 'sku', quantity, locationId: null };
  const commandId = commandIdOf('t', orderId, type, 'l1', generation);
  const rest = { expiresAt: null, waitAllowed: false, reasonCode: null, shipmentId: null };
  return { type, commandId, ...common, ...rest } as unknown as InventoryCommand;
}

let events = 0;
function received(quantity: number): InventoryEvent {
  const eventId = `received-${++events}`;
  return {
    type: 'StockReceived',
    eventId,
    occurredAt: 0,
    sourceSeq: null,
    sku: 'sku',
    locationId: null,
    quantity,
  };
}

function counted(onHand: number, sourceSeq: number | null = null): InventoryEvent {
  const eventId = `counted-${++events}`;
  return { type: 'StockCounted', eventId, occurredAt: 0, sourceSeq, sku: 'sku', locationId: null, onHand };
}

const typesOf = (replies: readonly InventoryReply[]) =>
  replies.map(({ type, quantity }) => `${type} ${quantity}`);

describe('the stock of a sku', () => {
  it('goes from the shelf to a hold, to a sale', () => {
    const shelf = new Shelf();
    shelf.apply(received(5));
    assert.deepEqual(typesOf(shelf.apply(command('ReserveStock', 'a', 2)).replies), ['StockReserved 2']);
    assert.deepEqual(shelf.sums, { onHand: 5, allocated: 0, reserved: 2, available: 3 });
    assert.deepEqual(shelf.apply(command('CommitReservation', 'a', 2)).replies, []);
    assert.deepEqual(shelf.sums, { onHand: 5, allocated: 2, reserved: 0, available: 3 });
    shelf.apply(command('CommitSale', 'a', 2));
    assert.deepEqual(shelf.sums, { onHand: 3, allocated: 0, reserved: 0, available: 3 });
  });

  it('gives the last unit to one of fifty buyers', () => {
    const shelf = new Shelf();
    shelf.apply(received(1));
    const replies = Array.from({ length: 50 }, (_, buyer) =>
      shelf.apply(command('ReserveStock', `order-${buyer}`, 1)).replies.map(({ type }) => type),
    ).flat();
    assert.equal(replies.filter((type) => type === 'StockReserved').length, 1);
    assert.equal(replies.filter((type) => type === 'StockRejected').length, 49);
    assert.equal(shelf.sums.available, 0);
  });

  it('answers a retry the same way again, with the same event', () => {
    const shelf = new Shelf();
    shelf.apply(received(1));
    const reserve = command('ReserveStock', 'a', 1);
    const first = shelf.apply(reserve, 1);
    const second = shelf.apply(reserve, 2);
    assert.deepEqual(second.replies, first.replies);
    assert.equal(shelf.sums.reserved, 1);
    const refused = command('ReserveStock', 'b', 1);
    const no = shelf.apply(refused, 1);
    shelf.apply(received(7));
    assert.deepEqual(
      shelf.apply(refused, 2).replies.map(({ type, eventId }) => [type, eventId]),
      no.replies.map(({ type, eventId }) => [type, eventId]),
    );
  });

  it('only counts the same attempt twice', () => {
    const shelf = new Shelf();
    shelf.apply(received(3));
    const reserve = command('ReserveStock', 'a', 1);
    shelf.apply(reserve);
    const before = shelf.state;
    const again = shelf.apply(reserve);
    assert.deepEqual([again.outcome, again.replies], ['duplicate', []]);
    assert.equal(again.state, before);
  });

  it('gives a hold back once, whatever is repeated', () => {
    const shelf = new Shelf();
    shelf.apply(received(3));
    shelf.apply(command('ReserveStock', 'a', 2));
    const release = command('ReleaseStock', 'a', 2);
    assert.deepEqual(typesOf(shelf.apply(release, 1).replies), ['StockReleased 2']);
    assert.deepEqual(typesOf(shelf.apply(release, 2).replies), ['StockReleased 2']);
    assert.deepEqual(shelf.sums, { onHand: 3, allocated: 0, reserved: 0, available: 3 });
  });

  it('gives back what is committed but not sold', () => {
    const shelf = new Shelf();
    shelf.apply(received(3));
    shelf.apply(command('ReserveStock', 'a', 2));
    shelf.apply(command('CommitReservation', 'a', 2));
    assert.deepEqual(typesOf(shelf.apply(command('ReleaseStock', 'a', 2)).replies), ['StockReleased 2']);
    assert.equal(shelf.sums.available, 3);
  });

  it('refuses a reserve that comes after its release, but not one of the next generation', () => {
    const shelf = new Shelf();
    shelf.apply(received(3));
    assert.deepEqual(typesOf(shelf.apply(command('ReleaseStock', 'a', 2)).replies), ['StockReleased 0']);
    const late = shelf.apply(command('ReserveStock', 'a', 2)).replies[0];
    assert.ok(late?.type === 'StockRejected' && late.reasonCode === 'released');
    assert.deepEqual(typesOf(shelf.apply(command('ReserveStock', 'a', 2, 2)).replies), ['StockReserved 2']);
  });

  it('says that a commit or sale has no hold, and leaves the shelf alone', () => {
    const shelf = new Shelf();
    shelf.apply(received(3));
    assert.equal(shelf.apply(command('CommitSale', 'a', 1)).outcome, 'unexpected');
    assert.equal(shelf.sums.onHand, 3);
  });

  it('never promises less than nothing when a count takes away what is held', () => {
    const shelf = new Shelf();
    shelf.apply(received(3));
    shelf.apply(command('ReserveStock', 'a', 3));
    assert.equal(shelf.apply(counted(1)).outcome, 'oversold');
    assert.equal(shelf.sums.available, 0);
  });

  it('takes a stock event once, and an older number not at all', () => {
    const shelf = new Shelf();
    const event = received(3);
    shelf.apply(event);
    assert.equal(shelf.apply(event).outcome, 'duplicate');
    shelf.apply(counted(10, 5));
    assert.equal(shelf.apply(counted(2, 4)).outcome, 'stale');
    assert.equal(shelf.sums.onHand, 10);
  });

  it('puts sellable returns back on the shelf, once', () => {
    const shelf = new Shelf();
    shelf.apply(received(1));
    const restock = command('Restock', 'a', 2);
    assert.deepEqual(typesOf(shelf.apply(restock, 1).replies), ['StockRestocked 2']);
    assert.deepEqual(typesOf(shelf.apply(restock, 2).replies), ['StockRestocked 2']);
    assert.equal(shelf.apply(restock, 2).outcome, 'duplicate');
    shelf.apply(command('WriteOffStock', 'b', 4));
    assert.equal(shelf.sums.onHand, 3);
  });

  it('forgets the oldest ended holds and no others', () => {
    const shelf = new Shelf();
    shelf.apply(received(1_000));
    shelf.apply(command('ReserveStock', 'open', 1));
    for (let order = 0; order < endedMax + 20; order++) {
      shelf.apply(command('ReserveStock', `o${order}`, 1));
      shelf.apply(command('ReleaseStock', `o${order}`, 1));
    }
    assert.equal(Object.keys(shelf.state?.holds ?? {}).length, endedMax + 1);
    assert.equal(shelf.sums.reserved, 1);
  });

  it('keeps its sums and never oversells, whatever comes', () => {
    const types: CommandType[] = [
      'ReserveStock',
      'ExtendReservation',
      'CommitReservation',
      'CommitSale',
      'ReleaseStock',
    ];
    const step = fc.record({
      type: fc.constantFrom(...types),
      order: fc.integer({ min: 0, max: 5 }),
      quantity: fc.integer({ min: 1, max: 3 }),
      attempt: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 8 }), fc.array(step, { maxLength: 60 }), (stock, steps) => {
        const shelf = new Shelf();
        shelf.apply(received(stock));
        for (const { type, order, quantity, attempt } of steps) {
          shelf.apply(command(type, `o${order}`, quantity), attempt);
          const { onHand, allocated, reserved } = shelf.sums;
          const holds = Object.values(shelf.state?.holds ?? {});
          const held = (status: string) =>
            holds.filter((hold) => hold.status === status).reduce((sum, hold) => sum + hold.quantity, 0);
          assert.deepEqual([allocated, reserved], [held('committed'), held('reserved')]);
          assert.ok(onHand >= allocated + reserved, 'what is held is there');
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
