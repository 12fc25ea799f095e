/** `inlet import` and `inlet requests …` on the command line: options and help. They call a server like any client. */
import type { Command } from 'commander';
import { EXIT } from '../exit.ts';
import { clientOptions } from './client.ts';
import { importFile } from './import.ts';
import type { ListOptions } from './requests.ts';
import { listRequests, showRequest } from './requests.ts';
import type { Screens } from './terminal.ts';

const HELP = `
The key comes from INLET_API_KEY; for an Inlet on this machine also from where "inlet serve" has kept one (INLET_DATA_DIR).`;

export function addImportCommand(program: Command, terminal: Screens): void {
  clientCommand(program, 'import')
    .description(
      'upload a file of objects, one JSON object a line (plain, .gz, .br, .zst; "-" is standard input), and follow it to the end',
    )
    .argument('<file>', 'the file, or - for standard input')
    .requiredOption('-n, --namespace <namespace>', 'where the objects go')
    .option('--json', 'print the outcome as JSON', false)
    .action(async (file: string, options: { namespace: string; url?: string; json: boolean }) => {
      const client = await clientOptions(options.url, terminal.env);
      const allStored = await importFile(client, { file, ...options }, terminal);
      terminal.exitCode = allStored ? EXIT.done : EXIT.failed;
    });
}

export function addRequestsCommand(program: Command, terminal: Screens): void {
  const requests = program.command('requests').description('look at requests').helpCommand(false);

  clientCommand(requests, 'list')
    .description("list a namespace's requests, newest first")
    .requiredOption('-n, --namespace <namespace>', 'whose requests')
    .option('--status <status>', 'only those that are queued, uploading, ingesting, succeeded or failed')
    .option('--limit <count>', 'how many at most (1 to 500)')
    .option('--cursor <cursor>', 'where to go on, from the page before')
    .option('--json', 'print the answer as JSON', false)
    .action(async ({ url, ...options }: ListOptions & { url?: string }) =>
      listRequests(await clientOptions(url, terminal.env), options, terminal.stdout),
    );

  clientCommand(requests, 'show')
    .description('show what became of a request')
    .argument('<request id>', 'like req_01h2m7qdmdjckc30e1mnq6xqfd')
    .requiredOption('-n, --namespace <namespace>', 'whose request')
    .option('--json', 'print the answer as JSON', false)
    .action(
      async (requestId: string, { url, ...options }: { namespace: string; url?: string; json: boolean }) =>
        showRequest(await clientOptions(url, terminal.env), { requestId, ...options }, terminal),
    );
}

/**
 * A command that calls a server.
 * @param not what else one might take its `--url` for
 */
export function clientCommand(parent: Command, name: string, not = ''): Command {
  return parent
    .command(name)
    .option('--url <url>', `where Inlet is (default: INLET_URL, or this machine at PORT or 8080)${not}`)
    .addHelpText('after', HELP);
}
