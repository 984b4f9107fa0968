/** `millrace replay`: real (or generated) Olist orders through the topology, as fast as it goes, and the comparison. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type LogLevel, StreamsError } from '#streams';
import { readOlistOrders } from '../olist/olist-orders.ts';
import { runReplay } from '../olist/replay.ts';
import type { ReplaySummary } from '../olist/replay-summary.ts';
import type { ShopRuntime } from '../shop-runtime.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { type House, openEmbeddedHouse, openKafkaHouse } from './house.ts';
import { OrderBoard } from './order-board.ts';
import {
  applicationId,
  brokerList,
  decimalIn,
  httpUrl,
  integerIn,
  logLevel,
  portNumber,
  seedNumber,
} from './parse-options.ts';
import { workPath } from './paths.ts';
import { openProgress, type Progress } from './progress.ts';
import { replayReport, writeSummary } from './results.ts';
import { listenForStop, type StopSignal } from './stop-signal.ts';
import { type CommandTelemetry, openTelemetry } from './telemetry.ts';
import { openWeb, type WebSource } from './web.ts';

interface ReplayArguments {
  readonly olist: string;
  readonly orders?: number;
  readonly shuffle?: number;
  readonly duplicate: number;
  readonly oversell: number;
  readonly kafka?: string;
  readonly registry?: string;
  readonly appId: string;
  readonly dataDir?: string;
  readonly reset?: boolean;
  readonly summary?: string;
  readonly port?: number;
  readonly logLevel: LogLevel;
}

export function addReplay(program: Command, onExit: (code: ExitCode) => void): void {
  program
    .command('replay')
    .description('run the orders of an Olist folder through the topology and compare with what was recorded')
    .requiredOption('--olist <dir>', 'folder with the Olist tables (.csv or .csv.gz)')
    .option('--orders <n>', 'only the first n orders by time of purchase', integerIn(1, 10_000_000))
    .option('--shuffle <seed>', 'send the events in a random order of this seed', seedNumber)
    .option('--duplicate <p>', 'send an event a second time with this chance', decimalIn(0, 1), 0)
    .option('--oversell <p>', 'cut the opening stock of this share of the products', decimalIn(0, 1), 0)
    .option('--kafka <brokers>', 'a Kafka cluster instead of the embedded broker', brokerList)
    .option('--registry <url>', 'its schema registry (needed with --kafka)', httpUrl)
    .option(
      '--app-id <id>',
      'application id: consumer group, internal topics',
      applicationId,
      'millrace-replay',
    )
    .option(
      '--data-dir <dir>',
      'keeps state there and goes on where it was (default: a new folder, removed at the end)',
    )
    .option('--reset', 'begin anew: delete the data directory (or on Kafka the topics) of an earlier replay')
    .option('--summary <file>', 'write the summary as JSON')
    .option('--port <port>', 'serve the dashboard there while it runs (0: any free port)', portNumber)
    .option('--log-level <level>', 'error, warn, info, debug or silent', logLevel, 'error')
    .action(async (options: ReplayArguments) => onExit(await replay(options)));
}

async function replay(options: ReplayArguments): Promise<ExitCode> {
  if (options.kafka !== undefined && options.registry === undefined) {
    throw new StreamsError('SETTING_INVALID', '--kafka needs a schema registry', {
      hint: 'add --registry http://host:port',
    });
  }
  const orders = (await readOlistOrders(options.olist)).slice(0, options.orders);
  const telemetry = openTelemetry(options.logLevel);
  const folder = dataFolder(options);
  const stop = listenForStop();
  let house: House | undefined;
  try {
    house = await openHouse(options, folder.path, telemetry);
    const summary = await run(options, orders, house, folder.path, telemetry, stop);
    if (summary === undefined) {
      process.stderr.write(interruptedNote(options));
      return exitCodes.interrupted;
    }
    await writeSummary(options.summary, summary);
    process.stdout.write(replayReport(summary));
    return isSound(summary) ? exitCodes.ok : exitCodes.failed;
  } finally {
    stop.dispose();
    await house?.close();
    folder.dispose();
  }
}

function isSound({ duplicateCommands, mismatches }: ReplaySummary): boolean {
  return duplicateCommands === 0 && mismatches.every(({ why }) => why !== 'unexplained');
}

function interruptedNote({ dataDir, kafka }: ReplayArguments): string {
  return dataDir !== undefined || kafka !== undefined
    ? 'stopped; the same command goes on from here\n'
    : 'stopped; with --data-dir the next start would go on from here\n';
}

function dataFolder({ dataDir, reset }: ReplayArguments): { path: string; dispose(): void } {
  if (dataDir !== undefined) {
    if (reset === true) rmSync(dataDir, { recursive: true, force: true });
    return { path: dataDir, dispose: () => {} };
  }
  mkdirSync(workPath(), { recursive: true });
  const path = mkdtempSync(workPath('replay-'));
  return { path, dispose: () => rmSync(path, { recursive: true, force: true }) };
}

async function openHouse(
  options: ReplayArguments,
  dataDir: string,
  telemetry: CommandTelemetry,
): Promise<House> {
  const { kafka, registry, appId } = options;
  if (kafka === undefined || registry === undefined) return openEmbeddedHouse(dataDir, telemetry);
  return openKafkaHouse({
    brokers: kafka,
    registryUrl: registry,
    clientId: appId,
    groupProtocol: 'classic',
    telemetry,
  });
}

async function run(
  options: ReplayArguments,
  orders: Awaited<ReturnType<typeof readOlistOrders>>,
  house: House,
  dataDir: string,
  telemetry: CommandTelemetry,
  stop: StopSignal,
): Promise<ReplaySummary | undefined> {
  const { broker, registry, schemas, clock, title } = house;
  const source: WebSource = { shop: undefined, board: undefined, hasOrders: true };
  const web =
    options.port === undefined
      ? undefined
      : await openWeb({
          host: '127.0.0.1',
          port: options.port,
          title,
          metrics: telemetry.metrics,
          log: telemetry.log,
          source,
        });
  if (web !== undefined) process.stderr.write(`dashboard: ${web.url}\n`);
  let progress: Progress | undefined;
  let following: Promise<void> | undefined;
  const followed = new AbortController();
  const onStarted = async (shop: ShopRuntime) => {
    if (web === undefined) return;
    source.shop = shop;
    source.board = new OrderBoard({ broker, serdes: shop.serdes, clock, log: telemetry.log });
    following = source.board.follow(followed.signal);
  };
  try {
    return await runReplay({
      orders,
      broker,
      registry,
      schemas,
      clock,
      telemetry,
      applicationId: options.appId,
      stateDir: join(dataDir),
      shuffleSeed: options.shuffle,
      duplicate: options.duplicate,
      oversell: options.oversell,
      reset: options.reset === true && options.kafka !== undefined,
      signal: stop.signal,
      onPlanned: ({ events }) => {
        progress = openProgress({ total: events, unit: 'events' });
      },
      onStarted,
      onProgress: ({ eventsSent, lag }) =>
        progress?.update(eventsSent, lag === 0 ? 'all worked off' : `${lag} records to work off`),
    });
  } finally {
    progress?.stop();
    followed.abort();
    await following;
    await web?.close();
  }
}
