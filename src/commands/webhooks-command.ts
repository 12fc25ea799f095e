/** `inlet webhooks …` on the command line: options and help. They call a server like any client. */
import type { Command } from 'commander';
import { Option } from 'commander';
import { DELIVERY_STATUSES, EVENT_TYPES } from '../domain/webhook.ts';
import { EXIT } from '../exit.ts';
import { clientOptions } from './client.ts';
import { clientCommand } from './client-commands.ts';
import { parseNamespaces } from './key-options.ts';
import type { Screens } from './terminal.ts';
import type { DeliveriesOptions } from './webhook-deliveries.ts';
import { listDeliveries, replay, testEndpoint } from './webhook-deliveries.ts';
import { parseEndpointRate, parseEvents, parseSince } from './webhook-options.ts';
import type { EndpointFields } from './webhooks.ts';
import {
  createEndpoint,
  deleteEndpoint,
  listEndpoints,
  rotateSecret,
  showEndpoint,
  showSecret,
  updateEndpoint,
} from './webhooks.ts';

/** Of every command here: `url` is the server's. */
interface Common {
  readonly url?: string;
  readonly json: boolean;
}

interface Fields extends Pick<EndpointFields, 'description' | 'events'> {
  readonly namespaces?: ReturnType<typeof parseNamespaces>;
  readonly rate?: ReturnType<typeof parseEndpointRate>;
}

export function addWebhooksCommand(program: Command, terminal: Screens): void {
  const webhooks = program
    .command('webhooks')
    .description('manage the endpoints that events are sent to, and look at what was sent')
    .helpCommand(false);
  addEndpointCommands(webhooks, terminal);
  addSecretCommands(webhooks, terminal);
  addDeliveryCommands(webhooks, terminal);
}

function addEndpointCommands(webhooks: Command, terminal: Screens): void {
  paged(webhooks, 'list', 'list the endpoints, the newest first').action(
    async ({ url, ...options }: Common & { limit?: string; cursor?: string }) =>
      listEndpoints(await clientOptions(url, terminal.env), options, terminal.stdout),
  );

  withFields(
    command(
      webhooks,
      'create',
      'make an endpoint, and print the secret that its deliveries are signed with',
      "; the endpoint's own URL is the argument",
    ),
  )
    .argument('<endpoint url>', 'where events are sent to, like https://example.com/hooks')
    .option('--disabled', 'send nothing yet', false)
    .action(
      async (
        endpointUrl: string,
        { url, json, disabled, ...fields }: Common & Fields & { disabled: boolean },
      ) =>
        createEndpoint(
          await clientOptions(url, terminal.env),
          { ...fieldsOf(fields), disabled, json, url: endpointUrl },
          terminal,
        ),
    );

  ofEndpoint(webhooks, 'show', 'show an endpoint').action(async (id: string, { url, json }: Common) =>
    showEndpoint(await clientOptions(url, terminal.env), { id, json }, terminal.stdout),
  );

  const update = withFields(
    ofEndpoint(
      webhooks,
      'update',
      'change an endpoint: what is not named stays as it is',
      "; the endpoint's own URL is --endpoint-url",
    ),
  )
    .option('--endpoint-url <url>', 'where events are sent to')
    .addOption(
      new Option('--enable', 'send events (again), also where the receiver wants a pause').conflicts(
        'disable',
      ),
    )
    .option('--disable', 'send nothing; there are no new events for it then')
    .action(
      async (
        id: string,
        {
          url,
          json,
          endpointUrl,
          enable,
          disable,
          ...fields
        }: Common & Fields & { endpointUrl?: string; enable?: true; disable?: true },
      ) => {
        const changes = {
          ...fieldsOf(fields),
          ...(endpointUrl === undefined ? {} : { url: endpointUrl }),
          ...(enable || disable ? { disabled: disable === true } : {}),
        };
        if (Object.keys(changes).length === 0) update.error('error: say what is to change, see --help');
        await updateEndpoint(
          await clientOptions(url, terminal.env),
          { id, json, ...changes },
          terminal.stdout,
        );
      },
    );

  ofEndpoint(
    webhooks,
    'delete',
    'delete an endpoint, with its secrets and what is still to be sent to it',
  ).action(async (id: string, { url, json }: Common) =>
    deleteEndpoint(await clientOptions(url, terminal.env), { id, json }, terminal.stdout),
  );
}

function addSecretCommands(webhooks: Command, terminal: Screens): void {
  ofEndpoint(webhooks, 'secret', "print an endpoint's secret, and those that still sign").action(
    async (id: string, { url, json }: Common) =>
      showSecret(await clientOptions(url, terminal.env), { id, json }, terminal),
  );

  ofEndpoint(
    webhooks,
    'rotate-secret',
    'make a new secret and print it; the one before still signs for 24 hours',
  ).action(async (id: string, { url, json }: Common) =>
    rotateSecret(await clientOptions(url, terminal.env), { id, json }, terminal),
  );
}

function addDeliveryCommands(webhooks: Command, terminal: Screens): void {
  ofEndpoint(
    webhooks,
    'test',
    'send a test event, and say what came of it (exit code 1: it was not delivered)',
  ).action(async (id: string, { url, json }: Common) => {
    const client = await clientOptions(url, terminal.env);
    const delivered = await testEndpoint(client, { id, json }, terminal.stdout);
    terminal.exitCode = delivered ? EXIT.done : EXIT.failed;
  });

  ofEndpoint(webhooks, 'replay', 'send again what could not be delivered, and at once what is still pending')
    .requiredOption(
      '--since <time>',
      'only events that came then or later, like 2h, 3d, 2026-11-22 or 2026-11-22T19:00:00Z',
      (text: string) => parseSince(text),
    )
    .option('--all', 'also what was delivered', false)
    .action(async (id: string, { url, since, all, json }: Common & { since: string; all: boolean }) =>
      replay(
        await clientOptions(url, terminal.env),
        { id, since, status: all ? 'all' : 'failed', json },
        terminal.stdout,
      ),
    );

  paged(webhooks, 'deliveries', 'list what was sent and what is to be, with attempts, the newest event first')
    .option('--endpoint <endpoint id>', 'only those to this endpoint')
    .option('--webhook-id <webhook id>', 'only those of this event')
    .addOption(
      new Option('--status <status>', 'only those that are at this point').choices(DELIVERY_STATUSES),
    )
    .action(async ({ url, ...options }: Common & DeliveriesOptions) =>
      listDeliveries(await clientOptions(url, terminal.env), options, terminal.stdout),
    );
}

function command(parent: Command, name: string, description: string, not?: string): Command {
  return clientCommand(parent, name, not)
    .description(description)
    .option('--json', 'print the answer as JSON', false);
}

function paged(parent: Command, name: string, description: string): Command {
  return command(parent, name, description)
    .option('--limit <count>', 'how many at most (1 to 500)')
    .option('--cursor <cursor>', 'where to go on, from the page before');
}

function ofEndpoint(parent: Command, name: string, description: string, not?: string): Command {
  return command(parent, name, description, not).argument(
    '<endpoint id>',
    'as "inlet webhooks list" shows it',
  );
}

/** What can be said of an endpoint when it is made and when it is changed. */
function withFields(of: Command): Command {
  return of
    .option('--description <text>', 'what it is, for people')
    .option(
      '--namespaces <list>',
      'whose events, separated by commas, or * for all that the key may see (new ones: *)',
      parseNamespaces,
    )
    .option('--events <list>', `which events: ${EVENT_TYPES.join(', ')} (new ones: both)`, parseEvents)
    .option('--rate <rate>', 'most deliveries for each second, like 100/s, or none', parseEndpointRate);
}

/** As the API takes them: `*` and `none` are null there. */
function fieldsOf({ namespaces, rate, ...fields }: Fields): EndpointFields {
  return {
    ...fields,
    ...(namespaces === undefined ? {} : { namespaces: namespaces === '*' ? null : namespaces }),
    ...(rate === undefined ? {} : { rate: rate === 'none' ? null : rate }),
  };
}
