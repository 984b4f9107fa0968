/** `millrace topology`: what runs, drawn from the code that runs. Needs no broker. */
import { type Command, Option } from 'commander';
import { createAvroSerdes, loadSchemas, openEmbeddedRegistry, type Topology, wallClock } from '#streams';
import { noFaults } from '../participants/faults.ts';
import { demoDelays } from '../participants/plan.ts';
import { createParticipantsTopology } from '../participants-topology.ts';
import { createShopTopology } from '../shop-topology.ts';
import { timerProfiles } from '../timer-profiles.ts';
import { openShopSerdes } from '../topics.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { schemasFolder } from './paths.ts';

const formats = ['text', 'dot', 'json'] as const;
type Format = (typeof formats)[number];

export function addTopology(program: Command, onExit: (code: ExitCode) => void): void {
  program
    .command('topology')
    .description('print the topology that the other commands run')
    .addOption(
      new Option('--format <format>', 'text (as Kafka Streams prints it), dot (Graphviz) or json')
        .choices(formats)
        .default('text'),
    )
    .option('--participants', "the participants' topology instead of the shop's")
    .action(async ({ format, participants }: { format: Format; participants?: boolean }) => {
      process.stdout.write(render(await build(participants === true), format));
      onExit(exitCodes.ok);
    });
}

async function build(participants: boolean): Promise<Topology> {
  const schemas = await loadSchemas(schemasFolder);
  const registry = await openEmbeddedRegistry({ schemas });
  const avro = createAvroSerdes({ registry, schemas, autoRegister: true, clock: wallClock });
  const serdes = await openShopSerdes(avro);
  return participants
    ? createParticipantsTopology(serdes, { mode: 'shop', seed: 1, faults: noFaults, delays: demoDelays })
    : createShopTopology({
        applicationId: 'millrace',
        avro,
        serdes,
        profile: timerProfiles.webshop,
        withWatermark: false,
      });
}

function render(topology: Topology, format: Format): string {
  if (format === 'json') return `${JSON.stringify(topology.describeJson(), null, 2)}\n`;
  return format === 'dot' ? topology.describeDot() : topology.describe();
}
