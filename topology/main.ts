#!/usr/bin/env node
/** The program `millrace`. What it does is in cli/. */
import { runCli } from './cli/cli.ts';

// Not process.exitCode: a client library's thread must not keep a finished program alive.
process.exit(await runCli(process.argv));
