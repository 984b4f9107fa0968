/** One request at a time to a forked process that answers each with `{ result }` or `{ error }`. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class ForkedWorker<Request extends object> {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stderr = '';

  /** `file`: a compiled file beside this one. */
  constructor(
    file: string,
    options: { readonly env?: Readonly<Record<string, string>>; readonly execArgv?: readonly string[] } = {},
  ) {
    this.child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
      env: { ...process.env, UV_THREADPOOL_SIZE: '16', ...options.env },
      execArgv: [...(options.execArgv ?? [])],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4_000);
    });
    this.ended = new Promise((resolve) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  async ask<Result = void>(request: Request): Promise<Result> {
    const answered = new Promise<{ result?: Result; error?: string }>((resolve, reject) => {
      const done = (answer: { result?: Result; error?: string }) => {
        this.child.off('exit', died);
        resolve(answer);
      };
      const died = () => {
        this.child.off('message', done);
        reject(new Error(`the process has ended: ${this.#stderr}`));
      };
      this.child.once('message', done);
      this.child.once('exit', died);
    });
    this.child.send(request);
    const { result, error } = await answered;
    if (error !== undefined) throw new Error(error);
    return result as Result;
  }

  /** Ends it, however it is. */
  async kill(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.ended;
  }
}
