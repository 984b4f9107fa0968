/**
 * Names that the builder made up. They carry a number that moves when an operator is put in before them, and
 * what is named by it (stores, changelogs, repartition topics) is then lost from sight.
 */
import { StreamsError } from '../base/errors.ts';
import type { Topology } from './topology.ts';

/** Made of Kafka Streams' prefixes and a number of ten digits. */
const generated = /(^|-)(KSTREAM|KTABLE|COGROUPKSTREAM)-[A-Z-]+-\d{10}(-|$)|-STATE-STORE-\d{10}(-|$)/;

export function isGeneratedName(name: string): boolean {
  return generated.test(name);
}

/** Kafka Streams' `ensure.explicit.internal.resource.naming`. Errors: TOPOLOGY_INVALID, naming what has no name. */
export function requireExplicitNames(topology: Topology): void {
  const stores = [...topology.stores(), ...topology.globalStores().map(({ store }) => store)]
    .map(({ name }) => name)
    .filter(isGeneratedName);
  const topics = topology
    .repartitions()
    .map(({ name }) => name)
    .filter(isGeneratedName);
  if (stores.length + topics.length === 0) return;
  const parts = [
    ...(stores.length === 0 ? [] : [`stores ${stores.join(', ')}`]),
    ...(topics.length === 0 ? [] : [`repartition topics ${topics.join(', ')}`]),
  ];
  throw new StreamsError('TOPOLOGY_INVALID', `these have generated names: ${parts.join('; ')}`, {
    hint: 'name stores by materialized.name or storeName, repartition topics by the name of grouped, joined or repartitioned; or unset ensureExplicitInternalResourceNaming',
  });
}
