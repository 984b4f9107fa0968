/** The program as its users start it: a process of its own. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { eventually } from './eventually.ts';

const program = fileURLToPath(new URL('../../topology/main.js', import.meta.url));

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCli {
  readonly child: ChildProcess;
  readonly result: Promise<CliResult>;
  /** What it has said so far. */
  stderr(): string;
  stdout(): string;
}

/** The folder it runs in is a new one, so that nothing is found or left behind. */
export function startCli(
  args: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string } = {},
): RunningCli {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: options.cwd ?? newFolder(),
    env: { ...process.env, UV_THREADPOOL_SIZE: '16', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said.stderr += text;
  });
  const result = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ code, signal, ...said }));
  });
  return { child, result, stderr: () => said.stderr, stdout: () => said.stdout };
}

export function runCli(
  args: readonly string[],
  options?: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string },
): Promise<CliResult> {
  return startCli(args, options).result;
}

export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'millrace-cli-'));
}

/** The address that it printed. */
export async function dashboardOf(running: RunningCli): Promise<string> {
  const named = () => /http:\/\/127\.0\.0\.1:\d+/.exec(running.stderr())?.[0];
  await eventually(() => named() !== undefined || running.child.exitCode !== null, {
    // Topics and schemas are made before, by several processes at once.
    timeoutMs: 120_000,
    what: 'the program names its dashboard',
  });
  const url = named();
  if (url === undefined) throw new Error(`the program has ended: ${running.stderr()}`);
  return url;
}

export async function getJson<T>(url: string): Promise<T | undefined> {
  const response = await fetch(url).catch(() => undefined);
  return response?.ok === true ? ((await response.json()) as T) : undefined;
}

/** What scripts/explain-olist.mjs says of a folder, from its files alone. */
export async function explainOlist(
  args: readonly string[],
): Promise<{ orders: number; mismatches: Record<string, string>; refused: string[] }> {
  const { stdout } = await promisify(execFile)(process.execPath, ['scripts/explain-olist.mjs', ...args], {
    maxBuffer: 64 * 1024 * 1024,
  });
  return JSON.parse(stdout) as { orders: number; mismatches: Record<string, string>; refused: string[] };
}
