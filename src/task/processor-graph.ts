/**
 * The nodes of one task, alive: a processor instance per node, records forwarded by plain calls from parent
 * to child, sinks into the collector. Knows nothing of queues, rounds or commits.
 */
import { must } from '../base/assert.ts';
import type { Clock } from '../base/clock-port.ts';
import { StreamsError } from '../base/errors.ts';
import type { AsyncNodeProcessor } from '../graph/async-step.ts';
import type { ProcessorNode, SinkNode, SourceNode } from '../graph/node.ts';
import type {
  Processor,
  ProcessorContext,
  PunctuationType,
  Record,
  RecordMetadata,
  StateStore,
  Timer,
  Timers,
} from '../graph/processor.ts';
import type { Serde } from '../serde/serde.ts';
import type { LoadRequest, TaskState } from '../store/task-state.ts';
import type { CallOutcome } from './async-calls.ts';
import type { Collector } from './collector.ts';
import { deepFreeze, isFrozenWrite } from './freeze.ts';
import type { GlobalStores } from './global-stores.ts';
import { openStore } from './open-store.ts';
import type { QueuedRecord } from './record-queue.ts';
import type { TaskPlan } from './task-plan.ts';
import type { StoredTimer, TimerIndex } from './timer-index.ts';
import { StateMiss, type TaskStore } from './typed-stores.ts';

export interface ProcessorGraphOptions {
  readonly plan: TaskPlan;
  readonly applicationId: string;
  readonly state: TaskState;
  /** What every processor may read besides its own stores. */
  readonly globals: GlobalStores | undefined;
  /** Records and stored values cannot be changed in place; for tests. */
  readonly frozen: boolean;
  readonly timers: TimerIndex;
  readonly collector: Collector;
  readonly clock: Clock;
  readonly currentRecord: () => QueuedRecord | undefined;
  readonly streamTimeMs: () => number;
  readonly requestCommit: () => void;
  /** The next result of an async step for the record that is being processed. Errors: those of its call. */
  readonly resultOf: (step: string) => Exclude<CallOutcome, { type: 'failed' }>;
  readonly dropped: (drop: DroppedRecord) => void;
}

/** What an operator or a processor said of the record at hand: it has no effect. */
export interface DroppedRecord {
  readonly node: string;
  readonly reason: string;
  readonly details: Readonly<globalThis.Record<string, string | number>>;
}

interface LiveNode {
  readonly node: ProcessorNode;
  readonly processor: Processor<unknown, unknown>;
  readonly context: ProcessorContext<unknown, unknown>;
  readonly stores: readonly (StateStore & TaskStore)[];
  /** Serializes timer keys: the node's own serde for them, else the first source's (its keys are this node's). */
  readonly keySerde: Serde<unknown>;
}

interface Punctuation {
  readonly type: PunctuationType;
  readonly intervalMs: number;
  readonly callback: (timestampMs: number) => void;
  dueMs: number | undefined;
}

export class ProcessorGraph {
  readonly #options: ProcessorGraphOptions;
  readonly #stores = new Map<string, StateStore & TaskStore>();
  /** Those with work of their own: removing what has expired. */
  readonly #kept: TaskStore[] = [];
  readonly #live = new Map<string, LiveNode>();
  readonly #punctuations = new Set<Punctuation>();
  readonly #sinks = new Map<string, SinkNode>();
  /** Nodes whose reads can be loaded from the source record alone, by source. */
  readonly #reachable = new Map<string, { node: LiveNode; direct: boolean }[]>();

  constructor(options: ProcessorGraphOptions) {
    this.#options = options;
    const { plan, state } = options;
    const services = {
      clocks: options.timers,
      expired: (store: string, timestampMs: number) =>
        options.dropped({ node: store, reason: 'expired', details: { timestamp: timestampMs } }),
    };
    for (const { spec } of plan.stores) {
      if (spec.name === plan.taskStore) continue;
      const store = openStore(spec, state, services, options.frozen);
      this.#stores.set(spec.name, store);
      if (store.upkeep !== undefined) this.#kept.push(store);
    }
    for (const node of plan.subtopology.sinks) this.#sinks.set(node.name, node);
    for (const node of plan.subtopology.processors) this.#live.set(node.name, this.#bringToLife(node));
    for (const source of plan.subtopology.sources)
      this.#reachable.set(source.name, this.#reachableFrom(source));
  }

  /** Calls every processor's `init`. After an abort it is called again: processors keep no state of their own. */
  init(): void {
    this.#punctuations.clear();
    for (const { processor, context } of this.#live.values()) processor.init?.(context);
  }

  process(source: SourceNode, record: Record<unknown, unknown>): void {
    for (const child of source.children) this.#deliver(child, record, true);
  }

  /** What the record will read, as far as it can be told before it is processed. */
  collectReads(source: SourceNode, record: Record<unknown, unknown>, into: LoadRequest[]): void {
    this.#collectUpkeep(into);
    for (const { node, direct } of this.#reachable.get(source.name) ?? []) {
      const declared = direct ? node.processor.prefetch?.(record) : undefined;
      if (declared !== undefined) {
        for (const read of declared) into.push(...this.#store(node, read.store).requests(read));
      } else for (const store of node.stores) into.push(...requestsForKey(store, record.key));
    }
  }

  collectTimerReads(timer: StoredTimer, into: LoadRequest[]): void {
    this.#collectUpkeep(into);
    const node = this.#timerNode(timer);
    const declared = node.processor.prefetchTimer?.(this.#typedTimer(node, timer));
    if (declared !== undefined) {
      for (const read of declared) into.push(...this.#store(node, read.store).requests(read));
    } else {
      const key = node.keySerde.deserialize(timer.key, '');
      for (const store of node.stores) into.push(...requestsForKey(store, key));
    }
  }

  /** Once a round: the first that asks for anything asks for this too. */
  #collectUpkeep(into: LoadRequest[]): void {
    if (into.length > 0) return;
    for (const store of this.#kept) into.push(...(store.upkeep?.() ?? []));
  }

  fireTimer(timer: StoredTimer): void {
    const node = this.#timerNode(timer);
    must(node.processor.onTimer, `processor ${timer.node} has a timer and no onTimer`).call(
      node.processor,
      this.#typedTimer(node, timer),
      node.context,
    );
  }

  /**
   * The calls that are due, one per schedule, for the task to run each under a savepoint; missed ticks are
   * skipped onto the original grid, as Kafka Streams does.
   */
  duePunctuations(type: PunctuationType, nowMs: number): (() => void)[] {
    const due: (() => void)[] = [];
    if (nowMs < 0) return due;
    for (const punctuation of this.#punctuations) {
      if (punctuation.type !== type) continue;
      if (punctuation.dueMs === undefined) {
        punctuation.dueMs = type === 'stream-time' ? 0 : nowMs + punctuation.intervalMs;
      }
      // A wall that went back must not silence it for as long as it went: a tick is never further away than one.
      if (type === 'wall-clock-time' && punctuation.dueMs - nowMs > punctuation.intervalMs)
        punctuation.dueMs = nowMs + punctuation.intervalMs;
      if (nowMs < punctuation.dueMs) continue;
      const missed = Math.floor((nowMs - punctuation.dueMs) / punctuation.intervalMs);
      punctuation.dueMs += (missed + 1) * punctuation.intervalMs;
      due.push(() => punctuation.callback(nowMs));
    }
    return due;
  }

  /** The processor of a node with an async step. */
  asyncProcessor(name: string): AsyncNodeProcessor {
    const { processor } = must(this.#live.get(name), `node ${name} is not part of this task`);
    // What the supplier of a node with an async step makes.
    return processor as unknown as AsyncNodeProcessor;
  }

  close(): void {
    for (const { processor } of this.#live.values()) processor.close?.();
  }

  #bringToLife(node: ProcessorNode): LiveNode {
    const stores = node.stores.map((name) =>
      must(this.#stores.get(name), `store ${name} is not part of this task`),
    );
    const firstSource = must(this.#options.plan.subtopology.sources[0], 'a sub-topology has a source');
    const keySerde = node.timerKeySerde ?? firstSource.keySerde;
    return { node, processor: node.supplier(), stores, keySerde, context: this.#contextOf(node, keySerde) };
  }

  /** Walks down from the source while keys are kept. */
  #reachableFrom(source: SourceNode): { node: LiveNode; direct: boolean }[] {
    const found = new Map<string, { node: LiveNode; direct: boolean }>();
    const walk = (children: readonly string[], direct: boolean): void => {
      for (const name of children) {
        const live = this.#live.get(name);
        if (live === undefined || found.has(name)) continue;
        const reads = live.stores.length > 0 || (direct && live.processor.prefetch !== undefined);
        if (reads) found.set(name, { node: live, direct });
        if (live.node.keepsKey) walk(live.node.children, false);
      }
    };
    walk(source.children, true);
    return [...found.values()];
  }

  #deliver(child: string, record: Record<unknown, unknown>, fromSource: boolean): void {
    if (this.#options.frozen) deepFreeze(record);
    const live = this.#live.get(child);
    if (live === undefined) {
      const sink = this.#sinks.get(child);
      if (sink === undefined)
        throw new StreamsError('INVARIANT_BROKEN', `node ${child} is not part of this sub-topology`);
      this.#options.collector.send(sink, record);
      return;
    }
    try {
      if (live.node.asyncStep === undefined) live.processor.process(record);
      else this.#applyResult(child, record);
    } catch (error) {
      if (this.#options.frozen && isFrozenWrite(error))
        throw new StreamsError(
          'PROCESSING_FAILED',
          `processor ${child} changed in place what it was given, has forwarded or has stored`,
          {
            context: { node: child },
            hint: 'make a new one: { ...record, value: { ...record.value, … } }',
            cause: error,
            kind: 'user',
          },
        );
      // A hand-written processor directly under its source had its say in `prefetch`: what it did not
      // declare there is its mistake, and to run it twice could repeat effects outside.
      if (
        error instanceof StateMiss &&
        live.node.handWritten &&
        fromSource &&
        live.processor.prefetch !== undefined
      ) {
        throw new StreamsError('STATE_NOT_LOADED', `processor ${child} read state it had not declared`, {
          context: { node: child, store: error.store },
          hint: 'return the key from its prefetch(record)',
        });
      }
      throw error;
    }
  }

  #applyResult(step: string, record: Record<unknown, unknown>): void {
    const outcome = this.#options.resultOf(step);
    if (outcome.type === 'result') this.asyncProcessor(step).process(record, outcome.result);
  }

  #contextOf(node: ProcessorNode, keySerde: Serde<unknown>): ProcessorContext<unknown, unknown> {
    const { plan, applicationId, clock, currentRecord, streamTimeMs, requestCommit, dropped } = this.#options;
    return {
      taskId: plan.taskId,
      applicationId,
      recordMetadata: (): RecordMetadata | undefined => {
        const current = currentRecord();
        if (current === undefined) return undefined;
        const { batch, index } = current;
        return { topic: batch.topic, partition: batch.partition, offset: batch.offset(index) };
      },
      forward: (record, childName) => {
        if (childName === undefined) {
          for (const child of node.children) this.#deliver(child, record, false);
        } else if (node.children.includes(childName)) this.#deliver(childName, record, false);
        else {
          throw new StreamsError(
            'TOPOLOGY_INVALID',
            `${node.name} forwards to ${childName}, which is not its child`,
            {
              context: { node: node.name },
              hint: `its children are ${node.children.join(', ') || 'none'}`,
            },
          );
        }
      },
      getStateStore: <S extends StateStore>(name: string): S => {
        const global = this.#globalStore(name);
        if (global !== undefined) return global as StateStore as S;
        if (!node.stores.includes(name)) {
          throw new StreamsError(
            'STORE_UNKNOWN',
            `store ${name} is not connected to processor ${node.name}`,
            {
              context: { node: node.name, store: name },
              hint: `name it in addProcessor's stores; connected are ${node.stores.join(', ') || 'none'}`,
            },
          );
        }
        return must(this.#stores.get(name), `store ${name} is not part of this task`) as StateStore as S;
      },
      timers: this.#timersOf(node, keySerde),
      schedule: (intervalMs, type, callback) => {
        const punctuation: Punctuation = { type, intervalMs, callback, dueMs: undefined };
        this.#punctuations.add(punctuation);
        return () => this.#punctuations.delete(punctuation);
      },
      recordDropped: (reason, details = {}) => dropped({ node: node.name, reason, details }),
      commit: requestCommit,
      currentSystemTimeMs: () => clock.nowMs(),
      currentStreamTimeMs: streamTimeMs,
    };
  }

  #timersOf(node: ProcessorNode, keySerde: Serde<unknown>): Timers<unknown> {
    const { timers } = this.#options;
    const bytes = (key: unknown): Buffer =>
      must(keySerde.serialize(key, ''), 'a timer key cannot be null', { node: node.name });
    return {
      schedule: ({ key, name, dueMs, clock }) =>
        timers.schedule({ node: node.name, name, key: bytes(key), clock, dueMs }),
      cancel: (key, name) => timers.cancel({ node: node.name, name, key: bytes(key) }),
      advanceWatermark: (toMs) => {
        if (toMs > (timers.clock('watermark') ?? -1)) timers.setClock('watermark', toMs);
      },
    };
  }

  #timerNode(timer: StoredTimer): LiveNode {
    const live = this.#live.get(timer.node);
    if (live !== undefined) return live;
    throw new StreamsError(
      'TOPOLOGY_INVALID',
      `a stored timer belongs to processor ${timer.node}, which this topology does not have`,
      {
        context: { node: timer.node, taskId: this.#options.plan.taskId },
        hint: 'keep the processor under its name until its timers have fired',
      },
    );
  }

  #typedTimer(live: LiveNode, timer: StoredTimer): Timer<unknown> {
    return {
      key: live.keySerde.deserialize(timer.key, ''),
      name: timer.name,
      dueMs: timer.dueMs,
      clock: timer.clock,
    };
  }

  #store(live: LiveNode, name: string): TaskStore {
    const store = live.stores.find((other) => other.name === name) ?? this.#globalStore(name);
    if (store !== undefined) return store;
    throw new StreamsError(
      'STORE_UNKNOWN',
      `prefetch of ${live.node.name} names store ${name}, which is not connected to it`,
      {
        context: { node: live.node.name, store: name },
      },
    );
  }

  #globalStore(name: string): (StateStore & TaskStore) | undefined {
    const { globals } = this.#options;
    if (globals?.has(name) !== true) return undefined;
    const store = this.#stores.get(name) ?? globals.open(name);
    if (store !== undefined) this.#stores.set(name, store);
    return store;
  }
}

/** A guess at what will be read: a key that the store's serde cannot take is simply not guessed. */
function requestsForKey(store: TaskStore, key: unknown): LoadRequest[] {
  try {
    return store.requestsForKey(key);
  } catch {
    return [];
  }
}
