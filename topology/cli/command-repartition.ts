/**
 * `millrace repartition`: after topics got more partitions, moves the application's state to where its keys belong now.
 * Offline; everything comes from the environment, as for `run`. Broken off, it is simply called again.
 */
import type { Command } from 'commander';
import {
  createAvroSerdes,
  type LogLevel,
  type RepartitionOptions,
  repartitionState,
  unreadInputs,
} from '#streams';
import { noFaults } from '../participants/faults.ts';
import { demoDelays } from '../participants/plan.ts';
import { createParticipantsTopology } from '../participants-topology.ts';
import { participantsIdOf } from '../shop-runtime.ts';
import { createShopTopology } from '../shop-topology.ts';
import { type TimerProfileName, timerProfiles } from '../timer-profiles.ts';
import { openShopSerdes } from '../topics.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { type House, openKafkaHouse } from './house.ts';
import { parseProperties, readSettings, type Settings, settingsHelp } from './settings.ts';
import { environment } from './settings-source.ts';
import { openTelemetry } from './telemetry.ts';

export function addRepartition(program: Command, onExit: (code: ExitCode) => void): void {
  program
    .command('repartition')
    .description(
      'after topics got more partitions: move the state to where its keys belong now; all instances are stopped',
    )
    .option('--participants', "the participants' state instead of the shop's")
    .option(
      '--check',
      'move nothing; say which inputs are not read to their end, before topics get more partitions',
    )
    .addHelpText('after', settingsHelp())
    .action(async ({ participants, check }: { participants?: boolean; check?: boolean }) =>
      onExit(await onApplication(participants === true, check === true ? checkRead : move)),
    );
}

type Application = Pick<RepartitionOptions, 'topology' | 'settings' | 'broker' | 'clock' | 'log'>;

async function onApplication(
  participants: boolean,
  act: (application: Application) => Promise<ExitCode>,
): Promise<ExitCode> {
  const settings = readSettings(environment());
  const telemetry = openTelemetry(settings.logLevel as LogLevel);
  const house = await openKafkaHouse({
    brokers: settings.brokers,
    registryUrl: settings.registryUrl,
    clientId: settings.applicationId,
    properties: parseProperties(settings.kafkaProperties),
    telemetry,
  });
  try {
    return await act({
      topology: await topologyOf(settings, house, participants),
      settings: {
        applicationId: participants ? participantsIdOf(settings.applicationId) : settings.applicationId,
        sessionTimeoutMs: settings.sessionTimeoutMs,
      },
      broker: house.broker,
      clock: house.clock,
      log: telemetry.log,
    });
  } finally {
    await house.close();
  }
}

async function move(application: Application): Promise<ExitCode> {
  const moved = await repartitionState(application);
  for (const { topic, from, to, rows } of moved)
    process.stdout.write(`${topic}: ${from} -> ${to} partitions, ${rows} rows\n`);
  if (moved.length === 0) process.stdout.write('all state lies where it belongs\n');
  return exitCodes.ok;
}

async function checkRead(application: Application): Promise<ExitCode> {
  const unread = await unreadInputs(application);
  for (const { topic, partition, records } of unread)
    process.stdout.write(`${topic}-${partition}: ${records} records are not processed\n`);
  if (unread.length > 0) return exitCodes.failed;
  process.stdout.write('all inputs are read to their ends\n');
  return exitCodes.ok;
}

async function topologyOf(settings: Settings, { registry, schemas, clock }: House, participants: boolean) {
  const { applicationId, registerSchemas } = settings;
  const avro = createAvroSerdes({ registry, schemas, autoRegister: registerSchemas, clock });
  const serdes = await openShopSerdes(avro);
  if (participants)
    return createParticipantsTopology(serdes, {
      mode: 'shop',
      seed: 1,
      faults: noFaults,
      delays: demoDelays,
    });
  const profile = timerProfiles[settings.timerProfile as TimerProfileName];
  return createShopTopology({ applicationId, avro, serdes, profile, withWatermark: false });
}
