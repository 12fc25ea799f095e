/**
 * The inlet command: its subcommands and their help. What only roles need is loaded with them: that takes about half a
 * second, which the short commands can do without.
 */
import { Command, CommanderError } from 'commander';
import { SETTINGS } from '../config/settings.ts';
import { OperatorError } from '../errors.ts';
import { EXIT } from '../exit.ts';
import { VERSION } from '../version.ts';
import { addImportCommand, addRequestsCommand } from './client-commands.ts';
import { addFailedCommand } from './failed-command.ts';
import { addKeysCommand } from './keys-command.ts';
import { addOpenApiCommand } from './openapi.ts';
import { addQueueCommand } from './queue-command.ts';
import { addRoleCommands } from './role-commands.ts';
import type { Terminal } from './terminal.ts';
import { Screen, screensOf } from './terminal.ts';
import { addWebhooksCommand } from './webhooks-command.ts';

/**
 * Makes the command. Its `parseAsync` runs it, and rejects with what went wrong, which {@link reportError} prints.
 * @param terminal what it reads and writes; commands that run and fail set its exit code
 */
export function createProgram(terminal: Terminal): Command {
  const screens = screensOf(terminal);
  const program = new Command('inlet')
    .description(
      'Self-hosted ingestion API: takes JSON objects, answers at once, and upserts them into Postgres.',
    )
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => screens.stdout.write(text),
      writeErr: (text) => screens.stderr.write(text),
    })
    .addHelpText('after', settingsHelp());
  addRoleCommands(program, terminal);
  addImportCommand(program, screens);
  addRequestsCommand(program, screens);
  addWebhooksCommand(program, screens);
  addFailedCommand(program, screens);
  addKeysCommand(program, screens);
  addQueueCommand(program, screens);
  addOpenApiCommand(program, terminal);
  return program;
}

/** Tells what went wrong. @returns the exit code that stands for it */
export function reportError(error: unknown, stderr: Terminal['stderr']): number {
  const screen = new Screen(stderr);
  if (error instanceof CommanderError) {
    // Help and version come as errors too; commander has printed whatever there is to say.
    return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  }
  if (error instanceof OperatorError) screen.write(`inlet: ${error.message}\n`);
  else screen.write(`inlet: ${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT.failed;
}

function settingsHelp(): string {
  const rows = Object.values(SETTINGS).map(({ variable, default: value, description }) => {
    const shown = value === undefined ? '' : ` (default ${value})`;
    return `  ${variable.padEnd(28)} ${description.replaceAll('`', '')}${shown}`;
  });
  return `\nSettings, as environment variables:\n${rows.join('\n')}\n`;
}
