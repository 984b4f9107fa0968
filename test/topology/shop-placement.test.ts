/** What `millrace repartition` needs of the shop and the participants: every store says where its rows belong. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'mocha';
import {
  createAvroSerdes,
  loadSchemas,
  openEmbeddedRegistry,
  stringSerde,
  type Topology,
  wallClock,
} from '#streams';
import { noFaults } from '../../topology/participants/faults.ts';
import { demoDelays } from '../../topology/participants/plan.ts';
import { createParticipantsTopology } from '../../topology/participants-topology.ts';
import { createShopTopology } from '../../topology/shop-topology.ts';
import { timerProfiles } from '../../topology/timer-profiles.ts';
import { openShopSerdes } from '../../topology/topics.ts';

const schemasFolder = fileURLToPath(new URL('../../../schemas', import.meta.url));

async function topologies(): Promise<readonly Topology[]> {
  const schemas = await loadSchemas(schemasFolder);
  const registry = await openEmbeddedRegistry({ schemas });
  const avro = createAvroSerdes({ registry, schemas, autoRegister: true, clock: wallClock });
  const serdes = await openShopSerdes(avro);
  const shop = await createShopTopology({
    applicationId: 'millrace',
    avro,
    serdes,
    profile: timerProfiles.webshop,
    withWatermark: false,
  });
  const options = { mode: 'shop', seed: 1, faults: noFaults, delays: demoDelays } as const;
  return [shop, createParticipantsTopology(serdes, options)];
}

describe('the state of the shop and of the participants', () => {
  it('can be moved to other partition counts: it is keyed by its records’ keys', async () => {
    for (const topology of await topologies()) {
      assert.ok(topology.stores().length > 0);
      for (const store of topology.stores()) {
        assert.equal(store.placement, 'record-key', store.name);
        assert.equal(store.keySerde.name, stringSerde.name, store.name);
      }
      for (const node of topology.nodes()) {
        if (node.kind === 'source') assert.equal(node.keySerde.name, stringSerde.name, node.name);
        if (node.kind === 'processor') assert.equal(node.timerKeySerde, undefined, node.name);
      }
    }
  });
});
