/** `inlet queue …` on the command line: options and help. What they do is in queue.ts. */
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import type { Database } from '../store/database.ts';
import type { Screens } from './terminal.ts';

const HELP = `
Works on DATABASE_URL, or on the embedded Postgres of an "inlet serve" that runs under INLET_DATA_DIR.`;

interface Options {
  readonly json: boolean;
}

export function addQueueCommand(program: Command, terminal: Screens): void {
  const queue = program
    .command('queue')
    .description("what may have been lost with the queue, and which queue is this Inlet's")
    .helpCommand(false);

  queue
    .command('losses')
    .description('list losses of acknowledged writes, with the requests that processes still remembered')
    .option('--json', 'print them as JSON', false)
    .addHelpText('after', HELP)
    .action(async ({ json }: Options) => {
      const { listLosses } = await import('./queue.ts');
      await onDatabase(terminal, (database) => listLosses(database, json, terminal.stdout));
    });

  queue
    .command('accept-loss')
    .description('list losses as "losses" does, and end the warnings of /readyz and the metrics about them')
    .option('--json', 'print them as JSON', false)
    .addHelpText('after', HELP)
    .action(async ({ json }: Options) => {
      const { acceptLoss } = await import('./queue.ts');
      await onDatabase(terminal, (database) => acceptLoss(database, json, terminal.stdout));
    });

  queue
    .command('adopt')
    .description('make the queue at REDIS_URL that of this database, which takes the place of another one')
    .addHelpText('after', HELP)
    .action(async () => {
      const { adopt } = await import('./queue.ts');
      const config = readConfig(terminal.env);
      await onDatabase(terminal, (database) => adopt(database, config, terminal.stdout));
    });
}

/** Every `inlet …` loads this module, so what needs Postgres is loaded by the command that uses it. */
async function onDatabase({ env }: Screens, use: (database: Database) => Promise<void>): Promise<void> {
  const { withAdminDatabase } = await import('./admin-database.ts');
  await withAdminDatabase(readConfig(env), use);
}
