/** The topics of a replay: what it creates, and that `--reset` knows all of them, the engine's own included. */
import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { instancesTopic } from '../../src/assign/instance-entry.ts';
import { silentTelemetry } from '../../src/base/telemetry-port.ts';
import { wallClock } from '../../src/base/wall-clock.ts';
import { openEmbeddedBroker } from '../../src/broker/embedded-broker.ts';
import { openEmbeddedRegistry } from '../../src/registry/embedded-registry.ts';
import { loadSchemas } from '../../src/registry/schema-files.ts';
import { createAvroSerdes } from '../../src/serde/avro-serde.ts';
import { planApplication } from '../../src/task/task-plan.ts';
import { replayTopics } from '../../topology/olist/replay.ts';
import { noFaults } from '../../topology/participants/faults.ts';
import { noDelays, type ParticipantOptions } from '../../topology/participants/plan.ts';
import { createParticipantsTopology } from '../../topology/participants-topology.ts';
import { participantsIdOf, ShopRuntime } from '../../topology/shop-runtime.ts';
import { createShopTopology } from '../../topology/shop-topology.ts';
import { timerProfiles } from '../../topology/timer-profiles.ts';
import { defaultPartitions, openShopSerdes, topicSpecs, topics } from '../../topology/topics.ts';

const applicationId = 'topics-test';
const participants: ParticipantOptions = { mode: 'replay', seed: 1, faults: noFaults, delays: noDelays };

describe('the topics of a replay', () => {
  it('keep events for ever, because they are years old, and states by key', () => {
    for (const { name, config } of replayTopics()) {
      const compacted = name === 'orchestration.state' || name === 'replay.progress';
      assert.equal(config?.['cleanup.policy'], compacted ? 'compact' : 'delete', name);
      if (!compacted) assert.equal(config?.['retention.ms'], '-1', name);
    }
  });

  it('share a partition count by key, and differ where the keys do', () => {
    const specs = topicSpecs({ order: 6, sku: 3, trackingNumber: 5 }, false);
    const counts = new Map(specs.map(({ name, partitions }) => [name, partitions]));
    assert.deepEqual(
      ['purchase.events', 'inventory.replies', 'inventory.commands', 'tracking.scans'].map((name) =>
        counts.get(name),
      ),
      [6, 6, 3, 5],
    );
    assert.deepEqual(
      topics.filter(({ isCommand }) => isCommand).map(({ name }) => name),
      ['inventory.commands', 'payment.commands', 'shipment.commands', 'notification.commands'],
    );
  });

  it('are known to --reset with all that the engine makes for itself', async () => {
    const clock = wallClock;
    const schemas = await loadSchemas('schemas');
    const registry = await openEmbeddedRegistry({ schemas });
    const broker = await openEmbeddedBroker({ backend: undefined, clock });
    const profile = timerProfiles['olist-replay'];
    const shop = await ShopRuntime.create({
      broker,
      registry,
      schemas,
      registerSchemas: true,
      settings: { applicationId },
      stateDir: 'unused',
      profile,
      withWatermark: true,
      runShop: true,
      participants,
      clock,
      telemetry: silentTelemetry,
    });
    const avro = createAvroSerdes({ registry, schemas, autoRegister: true, clock });
    const serdes = await openShopSerdes(avro);
    const external = new Map(
      replayTopics(defaultPartitions).map(({ name, partitions }) => [name, partitions]),
    );
    const made = [
      planApplication(
        await createShopTopology({ applicationId, avro, serdes, profile, withWatermark: true }),
        applicationId,
        external,
      ),
      planApplication(
        createParticipantsTopology(serdes, participants),
        participantsIdOf(applicationId),
        external,
      ),
    ].flatMap((plan) => [...plan.internalTopics.map(({ name }) => name), instancesTopic(plan.applicationId)]);
    assert.deepEqual([...new Set(shop.internalTopics)].sort(), [...new Set(made)].sort());
    await broker.close();
    await registry.close();
  });
});
