/**
 * The reference participants as a topology: payment provider, warehouse, carrier and mailer, each a processor
 * between its commands and its events. Called by shop-runtime.ts; an application of its own, because in a real
 * estate these are other people's services.
 */
import { jsonSerde, type Processor, type Serde, stringSerde, Topology } from '#streams';
import { MailerProcessor } from './participants/mailer.ts';
import {
  ParticipantProcessor,
  type ParticipantRole,
  participantStore,
} from './participants/participant-processor.ts';
import type { ParticipantOptions, ParticipantState } from './participants/plan.ts';
import type { ShopSerdes, TopicName } from './topics.ts';

interface Wiring {
  readonly role: ParticipantRole;
  readonly input: TopicName;
  readonly output: TopicName;
}

const wirings: readonly Wiring[] = [
  { role: 'payment', input: 'payment.commands', output: 'payment.events' },
  { role: 'warehouse', input: 'shipment.commands', output: 'shipment.events' },
  { role: 'carrier', input: 'shipment.events', output: 'tracking.scans' },
];

/** In a replay carrier and mailer have nothing to say, and are left out. */
export function createParticipantsTopology(serdes: ShopSerdes, options: ParticipantOptions): Topology {
  const topology = new Topology();
  const isReplay = options.mode === 'replay';
  for (const wiring of wirings) {
    if (!isReplay || wiring.role !== 'carrier') addParticipant(topology, serdes, wiring, options);
  }
  if (!isReplay) addMailer(topology, serdes);
  return topology;
}

function addParticipant(
  topology: Topology,
  serdes: ShopSerdes,
  { role, input, output }: Wiring,
  options: ParticipantOptions,
): void {
  const store = participantStore(role);
  topology.addStateStore({
    name: store,
    kind: 'key-value',
    keySerde: stringSerde as Serde<unknown>,
    valueSerde: jsonSerde<ParticipantState>() as Serde<unknown>,
    changelog: true,
    placement: 'record-key',
  });
  topology.addSource({
    name: input,
    topics: [input],
    keySerde: stringSerde,
    valueSerde: serdes[input] as Serde<unknown>,
  });
  topology.addProcessor({
    name: role,
    supplier: () => new ParticipantProcessor(role, options) as Processor<unknown, unknown>,
    parents: [input],
    stores: [store],
  });
  topology.addSink({
    name: `${role}-answers`,
    topic: output,
    keySerde: stringSerde,
    valueSerde: serdes[output] as Serde<unknown>,
    parents: [role],
  });
}

function addMailer(topology: Topology, serdes: ShopSerdes): void {
  topology.addSource({
    name: 'notification.commands',
    topics: ['notification.commands'],
    keySerde: stringSerde,
    valueSerde: serdes['notification.commands'] as Serde<unknown>,
  });
  topology.addProcessor({
    name: 'mailer',
    supplier: () => new MailerProcessor() as Processor<unknown, unknown>,
    parents: ['notification.commands'],
  });
}
