/** A DSL topology under the test driver, with string keys and values unless a test says otherwise. */
import type { Topology } from '../../../src/graph/topology.ts';
import { type Serde, stringSerde } from '../../../src/serde/serde.ts';
import {
  TopologyTestDriver,
  type TopologyTestDriverOptions,
} from '../../../src/testing/topology-test-driver.ts';

export const strings = { keySerde: stringSerde, valueSerde: stringSerde };

export class Rig {
  readonly driver: TopologyTestDriver;

  constructor(topology: Topology, options: TopologyTestDriverOptions = {}) {
    this.driver = new TopologyTestDriver(topology, options);
  }

  static async open(topology: Topology): Promise<Rig> {
    const rig = new Rig(topology);
    await rig.driver.open();
    return rig;
  }

  async pipe(topic: string, key: string | null, value: string | null, timestamp = 0): Promise<void> {
    await this.driver.createInputTopic(topic, stringSerde, stringSerde).pipe(key, value, timestamp);
  }

  /** Shape: `key=value@timestamp`, of what came since the last call. */
  read<V>(topic: string, valueSerde: Serde<V>): string[];
  read(topic: string): string[];
  read(topic: string, valueSerde: Serde<unknown> = stringSerde as Serde<unknown>): string[] {
    return this.driver
      .createOutputTopic(topic, stringSerde, valueSerde)
      .readAll()
      .map(({ key, value, timestamp }) => `${key}=${value}@${timestamp}`);
  }

  async close(): Promise<void> {
    await this.driver.close();
  }
}
