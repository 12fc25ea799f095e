/** `inlet failed …` on the command line: options and help. */
import type { Command } from 'commander';
import { Option } from 'commander';
import type { ReplayOrder } from '../domain/batch.ts';
import { REPLAY_ORDERS } from '../domain/batch.ts';
import { EXIT } from '../exit.ts';
import { clientOptions } from './client.ts';
import { clientCommand } from './client-commands.ts';
import type { FailedListOptions } from './failed.ts';
import { discardFailed, listFailed, showFailed } from './failed.ts';
import { replayFailed } from './failed-replay.ts';
import type { Screens } from './terminal.ts';

/** Of every command here: `url` is the server's. */
interface Common {
  readonly namespace: string;
  readonly url?: string;
  readonly json: boolean;
}

interface Choice extends Common {
  readonly all: boolean;
}

export function addFailedCommand(program: Command, terminal: Screens): void {
  const failed = program
    .command('failed')
    .description('look at accepted objects that could not be stored, replay and discard them')
    .helpCommand(false);

  common(failed, 'list', 'list the failed objects of a namespace, those of the newest request first')
    .option('--request <id>', 'only those of this request')
    .option('--limit <count>', 'how many at most (1 to 500)')
    .option('--cursor <cursor>', 'where to go on, from the page before')
    .action(async ({ url, ...options }: FailedListOptions & { url?: string }) =>
      listFailed(await clientOptions(url, terminal.env), options, terminal.stdout),
    );

  common(failed, 'show', 'show a failed object, with its text as it was sent')
    .argument('<request id>', 'like req_01h2m7qdmdjckc30e1mnq6xqfd')
    .argument('<index>', 'its place in the request, from 0; of a file its line')
    .action(async (requestId: string, index: string, { url, ...options }: Common) =>
      showFailed(await clientOptions(url, terminal.env), { requestId, index, ...options }, terminal.stdout),
    );

  choosing(failed, 'replay', 'try once more to store failed objects')
    .addOption(
      new Option(
        '--order <order>',
        'whether writes that were accepted since still win (original), or not (now)',
      )
        .choices(REPLAY_ORDERS)
        .default('original'),
    )
    .option('--wait', 'wait until they are stored or have failed again; the latter exits with 1', false)
    .addHelpText('after', '\nExit code 1 also where some have failed and none of them can be replayed.')
    .action(
      async (
        requestId: string | undefined,
        index: string | undefined,
        { url, all, ...options }: Choice & { order: ReplayOrder; wait: boolean },
        command: Command,
      ) => {
        requireChoice(command, requestId, all);
        const client = await clientOptions(url, terminal.env);
        const allStored = await replayFailed(client, { requestId, index, ...options }, terminal);
        terminal.exitCode = allStored ? EXIT.done : EXIT.failed;
      },
    );

  choosing(
    failed,
    'discard',
    'discard failed objects: their text is gone then, and their request stays failed',
  ).action(
    async (
      requestId: string | undefined,
      index: string | undefined,
      { url, all, ...options }: Choice,
      command: Command,
    ) => {
      requireChoice(command, requestId, all);
      const client = await clientOptions(url, terminal.env);
      await discardFailed(client, { requestId, index, ...options }, terminal.stdout);
    },
  );
}

function common(parent: Command, name: string, description: string): Command {
  return clientCommand(parent, name)
    .description(description)
    .requiredOption('-n, --namespace <namespace>', 'whose objects')
    .option('--json', 'print JSON', false);
}

/** A command for one object, those of a request, or all. */
function choosing(parent: Command, name: string, description: string): Command {
  return common(parent, name, description)
    .argument('[request id]', 'those of this request')
    .argument('[index]', 'the one at this place of it')
    .option('--all', 'all of the namespace', false);
}

/** @throws CommanderError where it isn't said which, in one way */
function requireChoice(command: Command, requestId: string | undefined, all: boolean): void {
  if ((requestId !== undefined) === all) {
    command.error('error: say which are meant: a request id, or --all for all of the namespace');
  }
}
