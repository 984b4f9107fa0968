/**
 * The class behind BranchedKStream: a splitting node, and a node for each branch to start from. The types of the
 * result are api.ts's; here it is an object that grows.
 */

import type { KStream } from './api.ts';
import type { DslGraph, StreamHandle } from './dsl-graph.ts';
import { PassThrough } from './operators/pass-through.ts';
import { type Branches, StreamBranch } from './operators/stream-branch.ts';
import { type Branched, type BranchedConsumer, invalidTopology, type Predicate } from './options.ts';

type AnyBranched<K, V> =
  | Branched<string, KStream<K, V>, object | null | undefined>
  | BranchedConsumer<string, KStream<K, V>>;

export class BranchedKStreamImpl<K, V> {
  readonly #graph: DslGraph;
  readonly #source: StreamHandle<K, V>;
  readonly #splitter: string;
  /** Before each key of the result. A generated name is left out: no program can know it. */
  readonly #prefix: string;
  readonly #branches: Branches<K, V> = { cases: [], fallback: undefined };
  readonly #names = new Set<string>();
  readonly #streams: Record<string, object> = {};
  #closed = false;

  constructor(graph: DslGraph, source: StreamHandle<K, V>, named: string | undefined) {
    this.#graph = graph;
    this.#source = source;
    this.#splitter = graph.nodeName(named, 'KSTREAM-BRANCH-');
    this.#prefix = named ?? '';
    const branches = this.#branches;
    graph.addOperator({
      name: this.#splitter,
      parents: [source.node],
      supplier: () => new StreamBranch(branches),
      keepsKey: true,
    });
  }

  branch(predicate: Predicate<K, V>, branched: AnyBranched<K, V> = {}): this {
    const node = this.#add(this.#branches.cases.length + 1, branched);
    this.#branches.cases.push({ node, predicate });
    this.#use(node, branched);
    return this;
  }

  defaultBranch(branched: AnyBranched<K, V> = {}): object {
    const node = this.#add(0, branched);
    this.#branches.fallback = node;
    this.#closed = true;
    this.#use(node, branched);
    return this.#streams;
  }

  noDefaultBranch(): object {
    this.#closed = true;
    return this.#streams;
  }

  /** Order: before the branch is used, for what hangs below it takes names of its own. */
  #add(index: number, branched: AnyBranched<K, V>): string {
    const name = branched.name ?? String(index);
    if (this.#closed) throw invalidTopology(`${this.#splitter} has its default branch already`);
    if (this.#names.has(name)) throw invalidTopology(`${this.#splitter} has two branches named ${name}`);
    this.#names.add(name);
    const node = this.#graph.nodeName(`${this.#splitter}${name}`, '');
    this.#graph.addOperator({
      name: node,
      parents: [this.#splitter],
      supplier: () => new PassThrough<K, V>(),
      keepsKey: true,
    });
    return node;
  }

  #use(node: string, branched: AnyBranched<K, V>): void {
    const stream = this.#graph.stream<K, V>({ ...this.#source, node });
    if ('withConsumer' in branched) {
      branched.withConsumer(stream);
      return;
    }
    const result = branched.withFunction === undefined ? stream : branched.withFunction(stream);
    const key = `${this.#prefix}${node.slice(this.#splitter.length)}`;
    if (result !== null && result !== undefined) this.#streams[key] = result;
  }
}
