/** `inlet keys …` on the command line: options and help. What they do is in keys.ts. */
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import type { Scope } from '../domain/api-key.ts';
import { SCOPES } from '../domain/api-key.ts';
import type { Database } from '../store/database.ts';
import { parseExpiry, parseName, parseNamespaces, parseRate, parseScopes } from './key-options.ts';
import type { CreateKeyOptions } from './keys.ts';
import type { Screens } from './terminal.ts';

const DEFAULT_SCOPES: readonly Scope[] = ['read', 'write'];

const HELP = `
Works on DATABASE_URL, or on the embedded Postgres of an "inlet serve" that runs under INLET_DATA_DIR.`;

interface CreateOptions extends Omit<CreateKeyOptions, 'scopes' | 'namespaces'> {
  readonly scopes?: readonly Scope[];
  readonly namespaces?: ReturnType<typeof parseNamespaces>;
}

export function addKeysCommand(program: Command, terminal: Screens): void {
  const keys = program
    .command('keys')
    .description('make, list and revoke API keys (kept in the database, beside those of INLET_API_KEYS)')
    .helpCommand(false);

  keys
    .command('create')
    .description('make an API key and print it, this once')
    .requiredOption('--name <name>', 'what it is for', parseName)
    .option(
      '--scopes <scopes>',
      `what it may do: ${SCOPES.join(', ')}, separated by commas (default: ${DEFAULT_SCOPES.join()})`,
      parseScopes,
    )
    .option('--namespaces <list>', 'where, separated by commas (default: *, which is all)', parseNamespaces)
    .option('--rate <rate>', 'most requests for each second, like 100/s (default: no limit)', parseRate)
    .option('--object-rate <rate>', 'most written objects for each second (default: no limit)', parseRate)
    .option(
      '--expires <date>',
      'until when, like 2030-01-31, 2030-01-31T12:00:00Z or 90d (default: for ever)',
      (text: string) => parseExpiry(text),
    )
    .option('--json', 'print it as JSON', false)
    .addHelpText('after', HELP)
    .action(async ({ scopes = DEFAULT_SCOPES, namespaces = '*', ...options }: CreateOptions) => {
      const { createKey } = await import('./keys.ts');
      await onDatabase(terminal, (database) =>
        createKey(
          database,
          { scopes, namespaces: namespaces === '*' ? undefined : namespaces, ...options },
          terminal,
        ),
      );
    });

  keys
    .command('list')
    .description('list all API keys of the database, with when they were last used')
    .option('--json', 'print them as JSON', false)
    .addHelpText('after', HELP)
    .action(async ({ json }: { json: boolean }) => {
      const { listKeys } = await import('./keys.ts');
      await onDatabase(terminal, (database) => listKeys(database, json, terminal.stdout));
    });

  keys
    .command('revoke')
    .description('revoke an API key, for good')
    .argument('<key id>', 'as "inlet keys list" shows it')
    .option(
      '--disable-endpoints',
      'disable the webhook endpoints that it made, or whose URL it has set; also where it is revoked already',
      false,
    )
    .option('--json', 'print the outcome as JSON', false)
    .addHelpText('after', HELP)
    .action(async (id: string, options: { json: boolean; disableEndpoints: boolean }) => {
      const { revokeKey } = await import('./keys.ts');
      await onDatabase(terminal, (database) => revokeKey(database, { id, ...options }, terminal.stdout));
    });
}

/** Every `inlet …` loads this module, so what needs Postgres is loaded by the command that uses it. */
async function onDatabase({ env }: Screens, use: (database: Database) => Promise<void>): Promise<void> {
  const { withAdminDatabase } = await import('./admin-database.ts');
  await withAdminDatabase(readConfig(env), use);
}
