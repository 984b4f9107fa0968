/**
 * Stock decisions as a processor keyed by sku: the single writer of a sku's stock, so the last unit goes to one
 * buyer. Commands and stock events in, replies out to the child `inventory-replies`, keyed by order. It decides
 * nothing itself (decide-stock.ts does) and ignores records without a value.
 */
import type { KeyValueStore, Prefetch, Processor, ProcessorContext, Record } from '#streams';
import { textHeader } from '#streams';
import { attemptOf, headerKeys, headersOf, idOf, traceparentOf } from '../headers.ts';
import type { InventoryCommand, InventoryEvent } from '../schema-types.ts';
import { decideStock, type StockOutcome } from './decide-stock.ts';
import type { StockState } from './stock-state.ts';

/** The child that replies go to. */
export const inventoryRepliesOutput = 'inventory-replies';
/** The store of StockState by sku. */
export const stockStore = 'stock';

const source = '/millrace/inventory';

export interface StockProcessorOptions {
  /** Told of what became of each input, for counters; must not throw. */
  readonly onOutcome?: (outcome: StockOutcome, type: string) => void;
}

type StockInput = InventoryCommand | InventoryEvent;

export class StockProcessor implements Processor<string, StockInput, string, unknown> {
  readonly #options: StockProcessorOptions;
  #context: ProcessorContext<string, unknown> | undefined;
  #stock: KeyValueStore<string, StockState> | undefined;

  constructor(options: StockProcessorOptions = {}) {
    this.#options = options;
  }

  init(context: ProcessorContext<string, unknown>): void {
    this.#context = context;
    this.#stock = context.getStateStore<KeyValueStore<string, StockState>>(stockStore);
  }

  *prefetch(record: Record<string, StockInput>): Iterable<Prefetch> {
    if (record.value !== null) yield { store: stockStore, key: record.value.sku };
  }

  process(record: Record<string, StockInput>): void {
    const input: StockInput | null = record.value;
    if (input === null || this.#context === undefined || this.#stock === undefined) return;
    const { timestamp, headers } = record;
    const before = this.#stock.get(input.sku);
    const decision = decideStock(before, input, { attempt: attemptOf(headers), timestampMs: timestamp });
    if (decision.state !== before) this.#stock.put(input.sku, decision.state);
    for (const reply of decision.replies) {
      const out = headersOf({
        id: reply.eventId,
        source,
        type: reply.type,
        timeMs: timestamp,
        subject: reply.orderId,
        traceparent: traceparentOf(headers, reply.orderId),
        causationId: idOf(headers, reply.commandId),
        tenantId: textHeader(headers, headerKeys.tenantId) ?? '',
      });
      this.#context.forward(
        { key: reply.orderId, value: reply, timestamp, headers: out },
        inventoryRepliesOutput,
      );
    }
    this.#options.onOutcome?.(decision.outcome, input.type);
  }
}
