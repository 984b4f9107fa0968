/**
 * `millrace repartition`: after topics got more partitions, moves the application's state to where its keys belong now.
 * Offline; everything comes from the environment, as for `run`. Broken off, it is simply called again.
 */
import type { Command } from 'commander';
import { createAvroSerdes, type LogLevel, repartitionState } from '#streams';
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
    .addHelpText('after', settingsHelp())
    .action(async ({ participants }: { participants?: boolean }) =>
      onExit(await move(participants === true)),
    );
}

async function move(participants: boolean): Promise<ExitCode> {
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
    const moved = await repartitionState({
      topology: await topologyOf(settings, house, participants),
      settings: {
        applicationId: participants ? participantsIdOf(settings.applicationId) : settings.applicationId,
        sessionTimeoutMs: settings.sessionTimeoutMs,
      },
      broker: house.broker,
      clock: house.clock,
      log: telemetry.log,
    });
    for (const { topic, from, to, rows } of moved)
      process.stdout.write(`${topic}: ${from} -> ${to} partitions, ${rows} rows\n`);
    if (moved.length === 0) process.stdout.write('all state lies where it belongs\n');
    return exitCodes.ok;
  } finally {
    await house.close();
  }
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
