/** The class behind BranchedKStream: a splitting node, and a node for each branch to start from. */

import type { BranchedKStream, BranchMap, KStream } from './api.ts';
import type { DslGraph, StreamHandle } from './dsl-graph.ts';
import { PassThrough } from './operators/pass-through.ts';
import { type Branches, StreamBranch } from './operators/stream-branch.ts';
import { type Branched, invalidTopology, type Predicate, type TypePredicate } from './options.ts';

export class BranchedKStreamImpl<K, V, B extends BranchMap = BranchMap> implements BranchedKStream<K, V, B> {
  readonly #graph: DslGraph;
  readonly #source: StreamHandle<K, V>;
  readonly #splitter: string;
  readonly #branches: Branches<K, V> = { cases: [], fallback: undefined };
  readonly #streams: Record<string, KStream<K, V>> = {};
  #closed = false;

  constructor(graph: DslGraph, source: StreamHandle<K, V>, named: string | undefined) {
    this.#graph = graph;
    this.#source = source;
    this.#splitter = graph.nodeName(named, 'KSTREAM-BRANCH-');
    const branches = this.#branches;
    graph.addOperator({
      name: this.#splitter,
      parents: [source.node],
      supplier: () => new StreamBranch(branches),
      keepsKey: true,
    });
  }

  branch<N extends string, V2 extends V>(
    predicate: TypePredicate<K, V, V2>,
    branched: Branched<N>,
  ): BranchedKStream<K, V, B & Readonly<Record<N, KStream<K, V2>>>>;
  branch<N extends string>(
    predicate: Predicate<K, V>,
    branched: Branched<N>,
  ): BranchedKStream<K, V, B & Readonly<Record<N, KStream<K, V>>>>;
  branch(predicate: Predicate<K, V>, { name }: Branched<string>): unknown {
    const node = this.#add(name, name);
    this.#branches.cases.push({ node, predicate });
    return this;
  }

  defaultBranch(): B & { readonly default: KStream<K, V> };
  defaultBranch<N extends string>(branched: Branched<N>): B & Readonly<Record<N, KStream<K, V>>>;
  defaultBranch(branched?: Branched<string>): unknown {
    this.#branches.fallback = this.#add(branched?.name ?? 'default', branched?.name ?? '0');
    return this.noDefaultBranch();
  }

  noDefaultBranch(): B {
    this.#closed = true;
    return this.#streams as unknown as B;
  }

  #add(name: string, suffix: string): string {
    if (this.#closed) throw invalidTopology(`${this.#splitter} has its default branch already`);
    if (this.#streams[name] !== undefined)
      throw invalidTopology(`${this.#splitter} has two branches named ${name}`);
    const node = this.#graph.nodeName(`${this.#splitter}${suffix}`, '');
    this.#graph.addOperator({
      name: node,
      parents: [this.#splitter],
      supplier: () => new PassThrough<K, V>(),
      keepsKey: true,
    });
    this.#streams[name] = this.#graph.stream<K, V>({ ...this.#source, node });
    return node;
  }
}
