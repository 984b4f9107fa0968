/** Types of kafka.mjs for the tests, which are TypeScript. */
export interface KafkaOptions {
  readonly brokers?: number;
  /** The first broker's port; the others follow. A free one when left out. */
  readonly port?: number;
  readonly dataDir?: string;
  readonly heapMb?: number;
  /** Further lines for server.properties. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** The controller is a process of its own and survives the brokers. Default false: every broker is one too. */
  readonly controllerApart?: boolean;
}

/** Brokers are numbered from 0, in the order of the bootstrap list. */
export interface KafkaCluster {
  readonly bootstrap: string;
  readonly ports: readonly number[];
  /** Undefined where a broker is not running. */
  readonly pids: readonly (number | undefined)[];
  readonly dataDir: string;
  kill(index: number): Promise<void>;
  pause(index: number): void;
  resume(index: number): void;
  restart(index: number): Promise<void>;
  waitUntilReady(): Promise<void>;
  stop(options?: { readonly kill?: boolean }): Promise<void>;
}

export function startKafka(options?: KafkaOptions): Promise<KafkaCluster>;

export function serverProperties(
  state: unknown,
  broker: unknown,
  dataFolder: string,
): Record<string, string | number | boolean>;
