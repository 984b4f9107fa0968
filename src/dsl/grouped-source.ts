/**
 * A grouped stream on its way to an aggregate: the repartition topic, when the key had changed, is made by the
 * first aggregate; a second one shares it if the group has a name, as in Kafka Streams. Plain, windowed and
 * cogrouped aggregates of one group use the same one.
 */
import type { DslGraph, StreamHandle } from './dsl-graph.ts';

export class GroupedSource<K, V> {
  readonly graph: DslGraph;
  readonly stream: StreamHandle<K, V>;
  readonly #name: string | undefined;
  #repartitioned: StreamHandle<K, V> | undefined;

  constructor(graph: DslGraph, stream: StreamHandle<K, V>, name: string | undefined) {
    this.graph = graph;
    this.stream = stream;
    this.#name = name;
  }

  /** The stream by its present key. `store` names the topic of a group without name. */
  partitioned(store: string): StreamHandle<K, V> {
    if (!this.stream.keyChanged) return this.stream;
    if (this.#repartitioned !== undefined && this.#name !== undefined) {
      // Names are taken all the same, so that those after them are Kafka Streams'.
      this.graph.repartitionNames(this.#name);
      return this.#repartitioned;
    }
    this.#repartitioned = this.graph.repartition(this.stream, this.#name ?? store, {}, true);
    return this.#repartitioned;
  }
}
