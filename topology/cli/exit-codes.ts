/** What the program's exit codes mean, and which error gets which. Printed by `millrace --help`. */
import { type ErrorCode, StreamsError } from '#streams';

export const exitCodes = {
  ok: 0,
  failed: 1,
  wrongUsage: 2,
  unreachable: 3,
  inUse: 4,
  startAgain: 5,
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodesHelp = `
Exit codes:
  0    done
  1    failed: the run ended with an error, a replay found duplicates or orders it cannot
       explain, or repartition --check found records that are not processed
  2    wrong usage, a wrong setting, or input that cannot be read (the message names file, line and column)
  3    the broker, the registry or the running instance does not answer
  4    the port or the data directory is in use by another process
  5    ended in good order because its memory budget is used up: to be started again (npm start does)
  130  interrupted (Ctrl-C, SIGTERM) before it was done; started again it goes on where it was
`;

const ofCode: Partial<Record<ErrorCode, ExitCode>> = {
  SETTING_INVALID: exitCodes.wrongUsage,
  INPUT_MISSING: exitCodes.wrongUsage,
  INPUT_INVALID: exitCodes.wrongUsage,
  SCHEMA_INVALID: exitCodes.wrongUsage,
  BROKER_UNAVAILABLE: exitCodes.unreachable,
  REGISTRY_UNAVAILABLE: exitCodes.unreachable,
  INSTANCE_UNREACHABLE: exitCodes.unreachable,
  PORT_IN_USE: exitCodes.inUse,
  STORE_LOCKED: exitCodes.inUse,
};

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof StreamsError ? (ofCode[error.code] ?? exitCodes.failed) : exitCodes.failed;
}
