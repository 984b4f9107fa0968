/** `millrace run` and `millrace participants`: production on Kafka, everything from the environment. */
import type { Command } from 'commander';
import { type LogLevel, type ProcessingGuarantee, StreamsError, type StreamsSettings } from '#streams';
import { type FaultSwitches, noFaults } from '../participants/faults.ts';
import { demoDelays, type ParticipantOptions } from '../participants/plan.ts';
import { ensureTopics, ShopRuntime } from '../shop-runtime.ts';
import { type TimerProfileName, timerProfiles } from '../timer-profiles.ts';
import { topicSpecs } from '../topics.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { type House, openKafkaHouse } from './house.ts';
import { memoryBudgetUsedUp } from './memory-budget.ts';
import { OrderBoard } from './order-board.ts';
import { decimalIn, seedNumber } from './parse-options.ts';
import { parseProperties, readSettings, type Settings, settingsHelp, unknownSettings } from './settings.ts';
import { environment } from './settings-source.ts';
import { listenForStop, type StopSignal, withinStopTime } from './stop-signal.ts';
import { type CommandTelemetry, openTelemetry } from './telemetry.ts';
import { openWeb, type WebSource } from './web.ts';

export function addRun(program: Command, onExit: (code: ExitCode) => void): void {
  program
    .command('run')
    .description('run the shop on Kafka; everything comes from the environment (see below)')
    .addHelpText('after', settingsHelp())
    .action(async () => onExit(await runOnKafka(undefined)));
}

interface ParticipantArguments {
  readonly seed: number;
  readonly slow: number;
  readonly decline: number;
  readonly duplicate: number;
  readonly reorder: number;
}

export function addParticipants(program: Command, onExit: (code: ExitCode) => void): void {
  const chance = decimalIn(0, 1);
  program
    .command('participants')
    .description('run the reference payment provider, warehouse, carrier and mailer on Kafka')
    .option('--seed <s>', 'of their answers: the same command gets the same answer', seedNumber, 1)
    .option('--slow <p>', 'chance that an answer takes ten times as long', chance, noFaults.slow)
    .option('--decline <p>', 'chance that a payment is declined', chance, noFaults.decline)
    .option('--duplicate <p>', 'chance that an answer comes twice', chance, noFaults.duplicate)
    .option('--reorder <p>', 'chance that an answer is overtaken by later ones', chance, noFaults.reorder)
    .addHelpText('after', settingsHelp())
    .action(async ({ seed, ...faults }: ParticipantArguments) =>
      onExit(await runOnKafka(participantOptions(seed, { ...noFaults, ...faults }))),
    );
}

function participantOptions(seed: number, faults: FaultSwitches): ParticipantOptions {
  return { mode: 'shop', seed, faults, delays: demoDelays };
}

/** `participants` undefined: the shop. */
async function runOnKafka(participants: ParticipantOptions | undefined): Promise<ExitCode> {
  const settings = readSettings(environment());
  const telemetry = openTelemetry(settings.logLevel as LogLevel);
  for (const name of unknownSettings(environment())) {
    telemetry.log.warn('the environment has a variable that looks like a setting and is none', { name });
  }
  const source: WebSource = { shop: undefined, board: undefined, hasOrders: participants === undefined };
  const stop = listenForStop();
  const web = await openWeb({
    host: settings.host,
    port: settings.port,
    title: `kafka ${settings.brokers}`,
    metrics: telemetry.metrics,
    log: telemetry.log,
    source,
  });
  let house: House | undefined;
  try {
    house = await openKafkaHouse({
      brokers: settings.brokers,
      registryUrl: settings.registryUrl,
      clientId: settings.applicationId,
      properties: parseProperties(settings.kafkaProperties),
      telemetry,
    });
    return await runUntilStopped({ settings, house, source, telemetry, stop, participants });
  } finally {
    stop.dispose();
    await web.close();
    await house?.close();
  }
}

async function runUntilStopped(options: {
  readonly settings: Settings;
  readonly house: House;
  readonly source: WebSource;
  readonly telemetry: CommandTelemetry;
  readonly stop: StopSignal;
  readonly participants: ParticipantOptions | undefined;
}): Promise<ExitCode> {
  const { settings, house, source, telemetry, stop, participants } = options;
  const { broker, registry, schemas, clock } = house;
  const { partitions } = settings;
  if (settings.createTopics) {
    const counts = { order: partitions, sku: partitions, trackingNumber: partitions };
    await ensureTopics(broker, clock, topicSpecs(counts, false));
  }
  const shop = await ShopRuntime.create({
    broker,
    registry,
    schemas,
    registerSchemas: settings.registerSchemas,
    settings: streamsSettings(settings),
    stateDir: settings.stateDir,
    profile: timerProfiles[settings.timerProfile as TimerProfileName],
    withWatermark: false,
    runShop: participants === undefined,
    participants,
    clock,
    telemetry,
  });
  const followed = new AbortController();
  let following: Promise<void> | undefined;
  try {
    await shop.start();
    source.shop = shop;
    if (participants === undefined) {
      source.board = new OrderBoard({ broker, serdes: shop.serdes, clock, log: telemetry.log });
      following = source.board.follow(followed.signal);
    }
    telemetry.log.info('running', { application: settings.applicationId, broker: house.title });
    const usedUp = memoryBudgetUsedUp({
      budgetMb: settings.memoryBudgetMb,
      clock,
      log: telemetry.log,
      signal: followed.signal,
      residentBytes: () => process.memoryUsage.rss(),
    }).then(() => exitCodes.startAgain);
    const end = await Promise.race([stop.requested, shop.failure, usedUp]);
    if (end instanceof StreamsError) throw end;
    telemetry.log.info('stopping', { application: settings.applicationId });
    await withinStopTime(shop.stop());
    return end ?? exitCodes.ok;
  } finally {
    followed.abort();
    await shop.stop();
    await following;
  }
}

function streamsSettings(settings: Settings): StreamsSettings {
  const { applicationId, instanceId, transactionalId } = settings;
  return {
    applicationId,
    ...(instanceId === '' ? {} : { instanceId }),
    ...(transactionalId === '' ? {} : { transactionalId }),
    processingGuarantee: settings.processingGuarantee as ProcessingGuarantee,
    commitIntervalMs: settings.commitIntervalMs,
    transactionTimeoutMs: settings.transactionTimeoutMs,
    sessionTimeoutMs: settings.sessionTimeoutMs,
    onOrphanedState: settings.onOrphanedState as 'refuse' | 'warn',
    numStandbyReplicas: settings.numStandbyReplicas,
    ...(settings.machine === '' ? {} : { host: settings.machine }),
    ...(settings.zone === '' ? {} : { clientTags: { zone: settings.zone } }),
    rackAwareAssignmentTags: ['zone'],
    cacheEntriesMax: settings.cacheEntriesMax,
    maxTaskIdleMs: settings.maxTaskIdleMs,
    timestampAheadMsMax: settings.timestampAheadMsMax,
  };
}
