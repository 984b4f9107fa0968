/** Wall-clock timers of a task while the clock of its host is set back: late, and never again and again. */
import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'mocha';
import type { Processor, ProcessorContext, Record, Timer } from '../../../src/graph/processor.ts';
import { Topology } from '../../../src/graph/topology.ts';
import { stringSerde } from '../../../src/serde/serde.ts';
import { WallClockGate } from '../../../src/thread/wall-clock-gate.ts';
import { CommitBench, EagerClock } from '../../support/commit-bench.ts';

const everyMs = 1_000;

/** Every record starts a timer that starts itself anew each second. */
class Ticks implements Processor<string, string> {
  readonly #onTick: () => void;

  constructor(onTick: () => void) {
    this.#onTick = onTick;
  }

  #context!: ProcessorContext<unknown, unknown>;

  init(context: ProcessorContext<unknown, unknown>): void {
    this.#context = context;
  }

  process({ key }: Record<string, string>): void {
    this.#tickAgain(key);
  }

  onTimer({ key }: Timer<string>): void {
    this.#onTick();
    this.#tickAgain(key);
  }

  #tickAgain(key: string): void {
    const dueMs = this.#context.currentSystemTimeMs() + everyMs;
    this.#context.timers.schedule({ key, name: 'tick', dueMs, clock: 'wall' });
  }
}

describe('the gate of wall-clock timers', () => {
  let bench: CommitBench | undefined;
  afterEach(async () => {
    await bench?.close();
    bench = undefined;
  });

  it('waits for the clock that was set back after the ends were asked for, and fires once', async () => {
    let ticks = 0;
    const onTick = (): void => {
      ticks += 1;
      if (ticks > 5) throw new Error('the timer fires again and again');
    };
    const clock = new EagerClock();
    const topology = new Topology()
      .addSource({ name: 'in', topics: ['words'], keySerde: stringSerde, valueSerde: stringSerde })
      .addProcessor({ name: 'tick', supplier: () => new Ticks(onTick), parents: ['in'] });
    const opened = await CommitBench.open({ topology, clock });
    bench = opened;
    await opened.produce(['a']);
    await opened.poll();
    await opened.task.processRound(10);
    const gate = new WallClockGate(opened.broker, clock);
    const turn = async (): Promise<void> => {
      await gate.fire(opened.task, opened.position);
      await clock.yield();
    };
    clock.advance(everyMs + 500);
    await turn();
    assert.ok(gate.waiting, 'the ends are on their way');
    clock.advance(-100_000);
    await turn();
    assert.deepEqual([ticks, gate.waiting], [0, false]);
    clock.advance(100_000);
    await turn();
    await turn();
    assert.equal(ticks, 1);
  });
});
