/**
 * The settings of `millrace run` and `millrace participants`: one table with name, default, unit, bounds and
 * meaning, from which values are read, `--help` is printed and docs/config.md is written (a test compares).
 * The environment is read here and nowhere else.
 */
import { StreamsError } from '#streams';
import { timerProfiles } from '../timer-profiles.ts';

type Kind = 'text' | 'integer' | 'boolean' | 'choice';

/** One row of the table. Units are in `unit` and, for numbers, in the last word of the name. */
export interface SettingRow {
  readonly name: string;
  readonly kind: Kind;
  /** Undefined: has to be given. An empty text: may be absent. */
  readonly fallback: string | undefined;
  readonly unit: string;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  readonly meaning: string;
}

const prefix = 'MILLRACE_';

export const settingRows = {
  brokers: {
    name: 'MILLRACE_BROKERS',
    kind: 'text',
    fallback: undefined,
    unit: 'host:port,…',
    meaning: 'Kafka brokers to begin with.',
  },
  kafkaProperties: {
    name: 'MILLRACE_KAFKA_PROPERTIES',
    kind: 'text',
    fallback: '',
    unit: 'name=value;…',
    meaning: "More properties of the Kafka client, in librdkafka's names (TLS, SASL).",
  },
  registryUrl: {
    name: 'MILLRACE_REGISTRY_URL',
    kind: 'text',
    fallback: undefined,
    unit: 'URL',
    meaning: "Schema registry with Confluent's REST API.",
  },
  registerSchemas: {
    name: 'MILLRACE_REGISTER_SCHEMAS',
    kind: 'boolean',
    fallback: 'false',
    unit: 'true or false',
    meaning: 'Registers schemas that are missing; otherwise a missing one is refused at start.',
  },
  createTopics: {
    name: 'MILLRACE_CREATE_TOPICS',
    kind: 'boolean',
    fallback: 'false',
    unit: 'true or false',
    meaning: "Creates the shop's topics when they are missing.",
  },
  partitions: {
    name: 'MILLRACE_PARTITIONS',
    kind: 'integer',
    fallback: '4',
    unit: 'partitions',
    min: 1,
    max: 1_000,
    meaning: 'Partitions of topics that are created.',
  },
  applicationId: {
    name: 'MILLRACE_APPLICATION_ID',
    kind: 'text',
    fallback: 'millrace',
    unit: 'name',
    meaning: 'Names the consumer group, the internal topics and the state folder.',
  },
  instanceId: {
    name: 'MILLRACE_INSTANCE_ID',
    kind: 'text',
    fallback: '',
    unit: 'name',
    meaning: 'Static member: unique per instance, stable over restarts. Empty: a dynamic member.',
  },
  transactionalId: {
    name: 'MILLRACE_TRANSACTIONAL_ID',
    kind: 'text',
    fallback: '',
    unit: 'name',
    meaning: 'Unique per instance, stable over restarts. Empty: application id and instance id.',
  },
  processingGuarantee: {
    name: 'MILLRACE_PROCESSING_GUARANTEE',
    kind: 'choice',
    fallback: 'exactly_once_v2',
    unit: 'name',
    choices: ['exactly_once_v2', 'at_least_once'],
    meaning:
      'The same for all instances. At least once: no transactions; a crash may repeat events and commands.',
  },
  onOrphanedState: {
    name: 'MILLRACE_ON_ORPHANED_STATE',
    kind: 'choice',
    fallback: 'refuse',
    unit: 'name',
    choices: ['refuse', 'warn'],
    meaning:
      'What to do at a start whose topology has no use for state that is there; going back to an older release needs warn.',
  },
  stateDir: {
    name: 'MILLRACE_STATE_DIR',
    kind: 'text',
    fallback: '.millrace/state',
    unit: 'folder',
    meaning: 'Local state (RocksDB); kept over restarts it saves the restore.',
  },
  timerProfile: {
    name: 'MILLRACE_TIMER_PROFILE',
    kind: 'choice',
    fallback: 'webshop',
    unit: 'name',
    choices: Object.keys(timerProfiles),
    meaning: 'How long the order machine waits for what.',
  },
  commitIntervalMs: {
    name: 'MILLRACE_COMMIT_INTERVAL_MS',
    kind: 'integer',
    fallback: '100',
    unit: 'ms',
    min: 5,
    max: 60_000,
    meaning: 'Between two commits: the floor of the latency.',
  },
  transactionTimeoutMs: {
    name: 'MILLRACE_TRANSACTION_TIMEOUT_MS',
    kind: 'integer',
    fallback: '10000',
    unit: 'ms',
    min: 1_000,
    max: 900_000,
    meaning: 'The longest transaction; bounds what a dead instance delays.',
  },
  sessionTimeoutMs: {
    name: 'MILLRACE_SESSION_TIMEOUT_MS',
    kind: 'integer',
    fallback: '45000',
    unit: 'ms',
    min: 1_000,
    max: 900_000,
    meaning: 'Silence after which an instance counts as dead (classic group protocol; else the broker says).',
  },
  numStandbyReplicas: {
    name: 'MILLRACE_NUM_STANDBY_REPLICAS',
    kind: 'integer',
    fallback: '0',
    unit: 'replicas',
    min: 0,
    max: 10,
    meaning: 'Copies of each task kept up to date on other instances; the same for all instances.',
  },
  machine: {
    name: 'MILLRACE_HOST',
    kind: 'text',
    fallback: '',
    unit: 'name',
    meaning: 'The machine, as a name: no copy is kept on the machine of the owner. Empty: one of its own.',
  },
  zone: {
    name: 'MILLRACE_ZONE',
    kind: 'text',
    fallback: '',
    unit: 'name',
    meaning: "Where the machine is: copies are kept in other zones than the owner's, if there are any.",
  },
  cacheEntriesMax: {
    name: 'MILLRACE_CACHE_ENTRIES_MAX',
    kind: 'integer',
    fallback: '10000',
    unit: 'entries',
    min: 1,
    max: 10_000_000,
    meaning: 'Decoded values kept in memory, per store and task.',
  },
  memoryBudgetMb: {
    name: 'MILLRACE_MEMORY_BUDGET_MB',
    kind: 'integer',
    fallback: '0',
    unit: 'MB',
    min: 0,
    max: 10_000_000,
    meaning: 'Above it the instance commits, closes and ends with code 5, to be started again. 0: no budget.',
  },
  maxTaskIdleMs: {
    name: 'MILLRACE_MAX_TASK_IDLE_MS',
    kind: 'integer',
    fallback: '0',
    unit: 'ms',
    min: -1,
    max: 3_600_000,
    meaning:
      'How long a task waits for an input that was read to its end, before it takes a later record of another. -1: not even for what is on the broker.',
  },
  timestampAheadMsMax: {
    name: 'MILLRACE_TIMESTAMP_AHEAD_MS_MAX',
    kind: 'integer',
    fallback: '3600000',
    unit: 'ms',
    min: 0,
    max: 31_536_000_000,
    meaning: 'A record further ahead of the clock does not move stream time.',
  },
  host: {
    name: 'MILLRACE_HTTP_HOST',
    kind: 'text',
    fallback: '127.0.0.1',
    unit: 'address',
    meaning:
      'Where metrics, health and the dashboard are served. Others than this machine can then see orders.',
  },
  port: {
    name: 'MILLRACE_HTTP_PORT',
    kind: 'integer',
    fallback: '8080',
    unit: 'port',
    min: 0,
    max: 65_535,
    meaning: '0 takes any free one.',
  },
  logLevel: {
    name: 'MILLRACE_LOG_LEVEL',
    kind: 'choice',
    fallback: 'info',
    unit: 'level',
    choices: ['error', 'warn', 'info', 'debug'],
    meaning: 'Least level of the log lines (JSON, on stderr).',
  },
} as const satisfies Record<string, SettingRow>;

type Rows = typeof settingRows;
type ValueOf<R extends SettingRow> = R['kind'] extends 'integer'
  ? number
  : R['kind'] extends 'boolean'
    ? boolean
    : string;
export type Settings = { readonly [Name in keyof Rows]: ValueOf<Rows[Name]> };

/**
 * Errors: SETTING_INVALID, naming the variable, what is wrong and what would be right.
 */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const entries = Object.entries(settingRows).map(([key, row]) => [
    key,
    readSetting(row, environment[row.name]),
  ]);
  return Object.fromEntries(entries) as Settings;
}

/** Names that look like settings and are none: a typing error, or another program's. */
export function unknownSettings(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set<string>(Object.values(settingRows).map(({ name }) => name));
  return Object.keys(environment).filter(
    (name) => name.startsWith(prefix) && !known.has(name) && !/^MILLRACE_(TEST_|PID_LEDGER$)/.test(name),
  );
}

function readSetting(row: SettingRow, given: string | undefined): string | number | boolean {
  const text = given === undefined || given.trim() === '' ? row.fallback : given.trim();
  if (text === undefined) throw invalid(row, 'is not set');
  if (row.kind === 'boolean') {
    if (text !== 'true' && text !== 'false') throw invalid(row, `is ${JSON.stringify(text)}`);
    return text === 'true';
  }
  if (row.kind === 'choice' && row.choices?.includes(text) !== true) {
    throw invalid(row, `is ${JSON.stringify(text)}`);
  }
  if (row.kind !== 'integer') return text;
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || value < (row.min ?? 0) || value > (row.max ?? Number.MAX_SAFE_INTEGER)) {
    throw invalid(row, `is ${JSON.stringify(text)}`);
  }
  return value;
}

function invalid(row: SettingRow, problem: string): StreamsError {
  return new StreamsError('SETTING_INVALID', `${row.name} ${problem}`, {
    context: { setting: row.name },
    hint: `it is ${boundsOf(row)}: ${row.meaning}`,
  });
}

/** Shape: `5 to 60000 ms`, `one of a, b`, `host:port,…`. */
export function boundsOf(row: SettingRow): string {
  if (row.kind === 'choice') return `one of ${row.choices?.join(', ')}`;
  return row.kind === 'integer' ? `${row.min} to ${row.max} ${row.unit}` : row.unit;
}

/** Shape: what stands in the column for the default. */
export function fallbackOf(row: SettingRow): string {
  if (row.fallback === undefined) return 'required';
  return row.fallback === '' ? 'none' : row.fallback;
}

/** The table for `--help`. */
export function settingsHelp(): string {
  const rows: readonly SettingRow[] = Object.values(settingRows);
  const width = Math.max(...rows.map(({ name }) => name.length));
  const lines = rows.map(
    (row) =>
      `  ${row.name.padEnd(width)}  ${row.meaning}\n  ${''.padEnd(width)}  ${boundsOf(row)}; default: ${fallbackOf(row)}`,
  );
  return `\nSettings (environment):\n${lines.join('\n')}\n`;
}

/** docs/config.md. */
export function settingsMarkdown(): string {
  const rows: readonly SettingRow[] = Object.values(settingRows);
  const table = rows.map(
    (row) => `| \`${row.name}\` | ${fallbackOf(row)} | ${boundsOf(row)} | ${row.meaning} |`,
  );
  return `# Settings

\`millrace run\` and \`millrace participants\` take everything from the environment. A wrong value is refused at start
by its name; a variable that begins with \`MILLRACE_\` and is not in this table is reported as a warning. The table
is printed by \`millrace run --help\` as well; both come from \`topology/cli/settings.ts\`.

| Name | Default | Unit and bounds | Meaning |
| --- | --- | --- | --- |
${table.join('\n')}
`;
}

/** Shape of the text: `name=value;name=value`. Errors: SETTING_INVALID. */
export function parseProperties(text: string): Readonly<Record<string, string>> {
  const parts = text.split(';').filter((part) => part.trim() !== '');
  return Object.fromEntries(
    parts.map((part) => {
      const at = part.indexOf('=');
      if (at <= 0) throw invalid(settingRows.kafkaProperties, `has the part ${JSON.stringify(part)}`);
      return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    }),
  );
}
