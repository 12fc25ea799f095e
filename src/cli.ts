#!/usr/bin/env node
/** The inlet command as a process: it runs what its arguments say, and ends with the exit code of that. */
import { createProgram, reportError } from './commands/program.ts';

try {
  await createProgram(process).parseAsync();
} catch (error) {
  process.exit(reportError(error, process.stderr));
}
