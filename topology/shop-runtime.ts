/**
 * The shop put together and run: topics, serdes, the shop's application and, where wanted, that of the
 * participants, in one process. Called by every command that runs something (demo, replay, run, participants).
 * It opens no broker and no registry: it is given them, and leaves them open.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type AvroSchemas,
  type Broker,
  type Clock,
  createAvroSerdes,
  deadLetterTopic,
  openRocksDbBackend,
  type SchemaRegistry,
  StreamsApp,
  StreamsError,
  type StreamsSettings,
  type Telemetry,
  type TopicSpec,
  type Topology,
} from '#streams';
import type { ParticipantOptions } from './participants/plan.ts';
import { createParticipantsTopology } from './participants-topology.ts';
import { createShopTopology } from './shop-topology.ts';
import type { TimerProfile } from './timer-profiles.ts';
import { openShopSerdes, type ShopSerdes } from './topics.ts';

export interface ShopOptions {
  readonly broker: Broker;
  readonly registry: SchemaRegistry;
  readonly schemas: AvroSchemas;
  readonly registerSchemas: boolean;
  /** The shop's own settings; the participants get the same with `-participants` after the names. */
  readonly settings: StreamsSettings;
  readonly stateDir: string;
  readonly profile: TimerProfile;
  readonly withWatermark: boolean;
  /** False runs the participants only. */
  readonly runShop: boolean;
  /** Undefined: they run elsewhere, or not at all. */
  readonly participants: ParticipantOptions | undefined;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

export function participantsIdOf(applicationId: string): string {
  return `${applicationId}-participants`;
}

/** Creates what is missing. Errors: TOPIC_MISMATCH (another number of partitions), BROKER_UNAVAILABLE. */
export async function ensureTopics(broker: Broker, clock: Clock, specs: readonly TopicSpec[]): Promise<void> {
  for (;;) {
    const missing = await missingTopics(broker, specs);
    if (missing.length === 0) return;
    try {
      await broker.admin.createTopics(missing);
    } catch (error) {
      // The shop and the participants may start at the same moment, and the other was first with one: look again.
      if (!(error instanceof StreamsError) || error.code !== 'TOPIC_EXISTS') throw error;
      await clock.sleep(100);
    }
  }
}

async function missingTopics(broker: Broker, specs: readonly TopicSpec[]): Promise<readonly TopicSpec[]> {
  const found = await broker.admin.describeTopics(specs.map(({ name }) => name));
  for (const [index, spec] of specs.entries()) {
    const there = found[index];
    if (there === undefined || there.partitions === spec.partitions) continue;
    throw new StreamsError('TOPIC_MISMATCH', `topic ${spec.name} has ${there.partitions} partitions`, {
      context: { topic: spec.name },
      hint: `this shop was asked for ${spec.partitions}; ask for the number that is there (run: MILLRACE_PARTITIONS), which all topics of the shop must have, and if the shop has run before, move its state by millrace repartition`,
    });
  }
  return specs.filter((_, index) => found[index] === undefined);
}

export class ShopRuntime {
  readonly serdes: ShopSerdes;
  readonly #parts: readonly Part[];

  private constructor(serdes: ShopSerdes, parts: readonly Part[]) {
    this.serdes = serdes;
    this.#parts = parts;
  }

  /** Looks up or registers the schemas and builds the applications; nothing runs yet. */
  static async create(options: ShopOptions): Promise<ShopRuntime> {
    const { registry, schemas, registerSchemas, settings, clock, telemetry, participants } = options;
    const avro = createAvroSerdes({
      registry,
      schemas,
      autoRegister: registerSchemas,
      clock,
      log: telemetry.log,
    });
    const serdes = await openShopSerdes(avro);
    const { profile, withWatermark } = options;
    const { applicationId } = settings;
    const parts: Part[] = [];
    if (options.runShop) {
      const topology = await createShopTopology({ applicationId, avro, serdes, profile, withWatermark });
      parts.push(newPart(options, settings, topology));
    }
    if (participants !== undefined) {
      const topology = createParticipantsTopology(serdes, participants);
      parts.push(newPart(options, participantSettings(settings), topology));
    }
    return new ShopRuntime(serdes, parts);
  }

  /** The application that the operator looks at: the shop, or where it runs elsewhere the participants. */
  get main(): StreamsApp {
    const first = this.#parts[0];
    if (first !== undefined) return first.app;
    throw new StreamsError('SETTING_INVALID', 'neither the shop nor the participants were asked for');
  }

  /** What each consumer group reads, by the topics' full names. */
  get inputs(): readonly { readonly groupId: string; readonly topics: readonly string[] }[] {
    return this.#parts.map(({ groupId, topology }) => ({
      groupId,
      topics: topology
        .nodes()
        .flatMap((node) => (node.kind === 'source' ? node.topics : []))
        .map(({ name, internal }) => (internal ? `${groupId}-${name}` : name)),
    }));
  }

  /**
   * The topics that the applications make for themselves: tokens, instances, repartitions, changelogs and dead letters.
   * Whoever deletes a shop's topics deletes these with them, or old state would meet new events.
   */
  get internalTopics(): readonly string[] {
    return this.#parts.flatMap(({ groupId, topology }) => {
      const stores = [
        ...topology.stores().map(({ name }) => name),
        ...topology.subtopologies().map(({ id }) => `task-${id}`),
      ];
      const inputs = topology.nodes().flatMap((node) => (node.kind === 'source' ? node.topics : []));
      return [
        `${groupId}-tasks`,
        `${groupId}-instances`,
        ...topology.repartitions().map(({ name }) => `${groupId}-${name}`),
        ...stores.map((store) => `${groupId}-${store}-changelog`),
        ...inputs.map(({ name, internal }) => deadLetterTopic(internal ? `${groupId}-${name}` : name)),
      ];
    });
  }

  get ready(): boolean {
    return this.#apps().every((app) => app.ready);
  }

  /** Resolves with the error when any of the applications has died. */
  get failure(): Promise<StreamsError> {
    return Promise.race(this.#apps().map((app) => app.failure));
  }

  async start(): Promise<void> {
    for (const app of this.#apps()) await app.start();
  }

  /** Commits, leaves the groups, closes the stores. Idempotent. */
  async stop(): Promise<void> {
    await Promise.all(this.#apps().map((app) => app.stop()));
  }

  #apps(): readonly StreamsApp[] {
    return this.#parts.map(({ app }) => app);
  }
}

function participantSettings(settings: StreamsSettings): StreamsSettings {
  const { transactionalId, applicationId } = settings;
  return {
    ...settings,
    applicationId: participantsIdOf(applicationId),
    ...(transactionalId === undefined ? {} : { transactionalId: participantsIdOf(transactionalId) }),
  };
}

interface Part {
  readonly groupId: string;
  readonly topology: Topology;
  readonly app: StreamsApp;
}

function newPart(options: ShopOptions, settings: StreamsSettings, topology: Topology): Part {
  const folder = (taskId: string) => join(options.stateDir, settings.applicationId, taskId);
  const app = new StreamsApp({
    topology,
    settings,
    broker: options.broker,
    openTaskBackend: (taskId) => openRocksDbBackend(folder(taskId)),
    destroyTaskBackend: (taskId) => rm(folder(taskId), { recursive: true, force: true }),
    clock: options.clock,
    telemetry: options.telemetry,
  });
  return { groupId: settings.applicationId, topology, app };
}
