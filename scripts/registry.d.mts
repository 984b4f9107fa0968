/** Types of registry.mjs for the tests, which are TypeScript. */
export interface RegistryOptions {
  /** A free one when left out. */
  readonly port?: number;
  /** Makes it durable; in memory when left out. */
  readonly dataDir?: string;
  /** Where its log and the note of its process go; the data folder when left out. */
  readonly stateDir?: string;
  readonly compatibility?: string;
  readonly heapMb?: number;
}

export interface RegistryServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number | undefined;
  restart(): Promise<void>;
  kill(): Promise<void>;
  stop(options?: { readonly kill?: boolean }): Promise<void>;
}

export function startRegistry(options?: RegistryOptions): Promise<RegistryServer>;
