/**
 * The command line: parses, runs one command, and turns what happened into an exit code. Called by main.ts.
 * Results go to stdout, everything else to stderr. An error is one sentence with its place and what to do;
 * `--log-level debug` adds the stack.
 */
import { Command, CommanderError } from 'commander';
import { StreamsError } from '#streams';
import { addDemo } from './command-demo.ts';
import { addOrder } from './command-order.ts';
import { addRepartition } from './command-repartition.ts';
import { addReplay } from './command-replay.ts';
import { addParticipants, addRun } from './command-run.ts';
import { addTopology } from './command-topology.ts';
import { type ExitCode, exitCodeOf, exitCodes, exitCodesHelp } from './exit-codes.ts';

function createProgram(onExit: (code: ExitCode) => void): Command {
  const program = new Command('millrace')
    .description("A shop's orders from purchase to delivered parcel, exactly once.")
    .addHelpText('after', exitCodesHelp)
    .showHelpAfterError('(add --help for what there is)')
    .showSuggestionAfterError()
    .exitOverride();
  addDemo(program, onExit);
  addReplay(program, onExit);
  addRun(program, onExit);
  addParticipants(program, onExit);
  addRepartition(program, onExit);
  addTopology(program, onExit);
  addOrder(program, onExit);
  for (const command of program.commands) {
    command
      .exitOverride()
      .showHelpAfterError('(add --help for what there is)')
      .helpOption('-h, --help', 'show this');
  }
  return program;
}

/** Runs one command; never throws. Shape: `argv` as node's, the first two are left out. */
export async function runCli(argv: readonly string[]): Promise<ExitCode> {
  let code: ExitCode = exitCodes.ok;
  try {
    const program = createProgram((exitCode) => {
      code = exitCode;
    });
    refuseUnknownCommand(program, argv[2]);
    await program.parseAsync([...argv]);
    return code;
  } catch (error) {
    // Commander has printed its own sentence already; help and version end with code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.wrongUsage;
    report(error, argv.includes('debug'));
    return exitCodeOf(error);
  }
}

/** The default command takes no words, so that a mistyped one would be said to be too many arguments of `demo`. */
function refuseUnknownCommand(program: Command, word: string | undefined): void {
  const known = ['help', ...program.commands.map((command) => command.name())];
  if (word === undefined || word.startsWith('-') || known.includes(word)) return;
  program.error(`error: there is no command ${word}; there are ${known.slice(1).join(', ')}`);
}

function report(error: unknown, withStack: boolean): void {
  const text =
    error instanceof StreamsError
      ? `${error.code}: ${error.message}`
      : `${error instanceof Error ? error.message : String(error)}`;
  process.stderr.write(`${text}\n`);
  const unexpected = !(error instanceof StreamsError);
  if ((withStack || unexpected) && error instanceof Error) process.stderr.write(`${error.stack}\n`);
}
