/** `millrace demo`: a shop with invented customers on the embedded broker, to look at. The default command. */
import { join } from 'node:path';
import type { Command } from 'commander';
import { type LogLevel, StreamsError } from '#streams';
import { DemoDriver } from '../demo/demo-driver.ts';
import type { FaultSwitches } from '../participants/faults.ts';
import { demoDelays } from '../participants/plan.ts';
import { byCount, observe, phaseCounts } from '../shop-observer.ts';
import { ensureTopics, ShopRuntime } from '../shop-runtime.ts';
import { timerProfiles } from '../timer-profiles.ts';
import { defaultPartitions, demoProgressTopic, topicSpecs } from '../topics.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { type House, openEmbeddedHouse } from './house.ts';
import { OrderBoard } from './order-board.ts';
import { decimalIn, integerIn, logLevel, portNumber, seedNumber } from './parse-options.ts';
import { workPath } from './paths.ts';
import { openStatusLine } from './progress.ts';
import { countLines, writeSummary } from './results.ts';
import { listenForStop, type StopSignal, withinStopTime } from './stop-signal.ts';
import { type CommandTelemetry, openTelemetry } from './telemetry.ts';
import { openWeb, type WebSource } from './web.ts';

interface DemoArguments {
  readonly orders?: number;
  readonly rate: number;
  readonly seed: number;
  readonly port: number;
  readonly dataDir: string;
  readonly once?: boolean;
  readonly summary?: string;
  readonly logLevel: LogLevel;
}

/** A little of everything that goes wrong in a shop, so that every branch is seen. */
const demoFaults: FaultSwitches = {
  slow: 0.02,
  decline: 0.04,
  outOfStock: 0.06,
  duplicate: 0.02,
  reorder: 0.02,
};
const onceOrders = 100;
const endedPhases = ['DELIVERED', 'CLOSED', 'CANCELLED', 'REJECTED'];
const applicationId = 'millrace-demo';

export function addDemo(program: Command, onExit: (code: ExitCode) => void): void {
  program
    .command('demo', { isDefault: true })
    .description('run a shop with invented customers on the embedded broker, with a dashboard (the default)')
    .option(
      '--orders <n>',
      'stop placing orders after n (with --once 100, else no end)',
      integerIn(1, 10_000_000),
    )
    .option('--rate <r>', 'orders per second', decimalIn(0.01, 10_000), 5)
    .option('--seed <s>', 'which customers: the same seed places the same orders', seedNumber, 1)
    .option('--port <port>', 'of the dashboard (0: any free port)', portNumber, 8080)
    .option('--data-dir <dir>', 'started again on the same folder it goes on where it was', workPath('demo'))
    .option('--once', 'stop when all orders have ended')
    .option('--summary <file>', 'write the summary as JSON')
    .option('--log-level <level>', 'error, warn, info, debug or silent', logLevel, 'error')
    .action(async (options: DemoArguments) => onExit(await demo(options)));
}

async function demo(options: DemoArguments): Promise<ExitCode> {
  const telemetry = openTelemetry(options.logLevel);
  const stop = listenForStop();
  const source: WebSource = { shop: undefined, board: undefined, hasOrders: true };
  const web = await openWeb({
    host: '127.0.0.1',
    port: options.port,
    title: 'embedded',
    metrics: telemetry.metrics,
    log: telemetry.log,
    source,
  });
  let house: House | undefined;
  try {
    house = await openEmbeddedHouse(options.dataDir, telemetry);
    process.stderr.write(`dashboard: ${web.url}   (Ctrl-C stops; started again it goes on)\n`);
    return await runDemo(options, house, source, telemetry, stop);
  } finally {
    stop.dispose();
    await web.close();
    await house?.close();
  }
}

async function runDemo(
  options: DemoArguments,
  house: House,
  source: WebSource,
  telemetry: CommandTelemetry,
  stop: StopSignal,
): Promise<ExitCode> {
  const { broker, clock } = house;
  await ensureTopics(broker, clock, [
    ...topicSpecs(defaultPartitions, false),
    { name: demoProgressTopic, partitions: 1, config: { 'cleanup.policy': 'compact' } },
  ]);
  const shop = await createShop(options, house, telemetry);
  const beganMs = clock.monotonicMs();
  const target = options.orders ?? (options.once === true ? onceOrders : undefined);
  const { seed, rate } = options;
  const driver = new DemoDriver({
    broker,
    serdes: shop.serdes,
    clock,
    seed,
    rate,
    orders: target,
    faults: demoFaults,
    signal: stop.signal,
  });
  const board = new OrderBoard({ broker, serdes: shop.serdes, clock, log: telemetry.log });
  const followed = new AbortController();
  let following: Promise<void> | undefined;
  try {
    await driver.open();
    const placedBefore = driver.placed;
    await shop.start();
    source.shop = shop;
    source.board = board;
    following = board.follow(followed.signal);
    const died = shop.failure.then((error) => {
      throw error;
    });
    const work = Promise.all([driver.run(), showUntilDone(options, target, house, board, driver, stop)]);
    await Promise.race([work, died]);
    await driver.close();
    await withinStopTime(shop.stop());
    const seconds = (clock.monotonicMs() - beganMs) / 1000;
    return await report(options, { house, shop, target, seconds, placedHere: driver.placed - placedBefore });
  } finally {
    followed.abort();
    await driver.close();
    await shop.stop();
    await following;
  }
}

function createShop(
  options: DemoArguments,
  { broker, registry, schemas, clock }: House,
  telemetry: CommandTelemetry,
): Promise<ShopRuntime> {
  return ShopRuntime.create({
    broker,
    registry,
    schemas,
    registerSchemas: true,
    settings: { applicationId, commitIntervalMs: 50 },
    stateDir: join(options.dataDir, 'state'),
    profile: timerProfiles.demo,
    withWatermark: false,
    runShop: true,
    participants: { mode: 'shop', seed: options.seed, faults: demoFaults, delays: demoDelays },
    clock,
    telemetry,
  });
}

/** Resolves when it was stopped, or with `--once` when all orders have ended. */
async function showUntilDone(
  { once }: DemoArguments,
  target: number | undefined,
  { clock }: House,
  board: OrderBoard,
  driver: DemoDriver,
  stop: StopSignal,
): Promise<void> {
  const line = openStatusLine();
  try {
    while (!stop.signal.aborted) {
      const ended = board.count(endedPhases);
      line.show(statusText(board, driver.placed, ended, target));
      if (once === true && target !== undefined && ended >= target) {
        stop.stop();
        return;
      }
      await clock.sleep(250, stop.signal);
    }
  } finally {
    line.stop();
  }
}

function statusText(board: OrderBoard, placed: number, ended: number, target: number | undefined): string {
  const open = Object.entries(byCount(board.byPhase()))
    .filter(([phase]) => !endedPhases.includes(phase))
    .map(([phase, count]) => `${phase.toLowerCase()} ${count}`);
  const done = target === undefined ? `${ended} ended` : `${ended}/${target} ended`;
  return [`${placed} orders placed`, done, ...open].join(' | ');
}

async function report(
  options: DemoArguments,
  run: {
    readonly house: House;
    readonly shop: ShopRuntime;
    readonly target: number | undefined;
    readonly seconds: number;
    readonly placedHere: number;
  },
): Promise<ExitCode> {
  const { house, shop, target, seconds, placedHere } = run;
  const observed = await observe(house.broker, shop.serdes);
  const phases = phaseCounts(observed.snapshots.values());
  const orders = observed.snapshots.size;
  const ended = endedPhases.reduce((sum, phase) => sum + (phases[phase] ?? 0), 0);
  const summary = {
    input: 'demo',
    broker: house.broker.kind,
    seed: options.seed,
    orders,
    ended,
    phases,
    commands: observed.commands,
    duplicateCommands: observed.duplicateCommands,
    deadLetters: observed.deadLetters,
    seconds: Math.round(seconds * 1000) / 1000,
    ordersPerSecond: Math.round((placedHere / Math.max(seconds, 0.001)) * 10) / 10,
  };
  await writeSummary(options.summary, summary);
  const lines = [`${orders} orders, ${ended} of them ended:`, ...countLines(phases)];
  process.stdout.write(`${lines.join('\n')}\n`);
  if (summary.duplicateCommands > 0) {
    throw new StreamsError('INVARIANT_BROKEN', `${summary.duplicateCommands} commands went out twice`);
  }
  if (options.once !== true) return exitCodes.ok;
  return ended >= (target ?? 0) ? exitCodes.ok : exitCodes.interrupted;
}
