/** `inlet webhooks …` for endpoints: list, make, show, change and delete them, and their secrets. */
import type { ClientOptions } from './client.ts';
import { call } from './client.ts';
import type { ListAnswer } from './print.ts';
import { printJson, printPage, withQuery } from './print.ts';
import type { Screen } from './terminal.ts';

/** An endpoint as the API shows it. */
interface Endpoint {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  readonly namespaces: readonly string[] | null;
  readonly events: readonly string[];
  readonly rate: number | null;
  readonly disabled_reason: string | null;
  readonly disabled_at: string | null;
  readonly failing_since: string | null;
  readonly paused_until: string | null;
  readonly created_by: string | null;
}

interface Secrets {
  readonly secret: string;
  readonly secrets: readonly { readonly secret: string; readonly expires_at: string | null }[];
}

/** What is said of an endpoint, as the API takes it; what is undefined isn't sent. */
export interface EndpointFields {
  readonly url?: string;
  readonly description?: string;
  readonly namespaces?: readonly string[] | null;
  readonly events?: readonly string[];
  readonly rate?: number | null;
  readonly disabled?: boolean;
}

export interface Output {
  readonly stdout: Screen;
  readonly stderr: Screen;
}

/** The path of an endpoint; of all of them without an id. */
export function endpointPath(id?: string, rest = ''): string {
  const endpoints = '/v1/webhooks/endpoints';
  return id === undefined ? endpoints : `${endpoints}/${encodeURIComponent(id)}${rest}`;
}

export async function listEndpoints(
  client: ClientOptions,
  { json, limit, cursor }: { json: boolean; limit?: string; cursor?: string },
  stdout: Screen,
): Promise<void> {
  const path = withQuery(endpointPath(), { limit, cursor });
  const page = await call<ListAnswer<Endpoint>>(client, 'GET', path);
  printPage(page, { json, line, none: 'no endpoints' }, stdout);
}

/** Makes an endpoint: the secret alone goes to standard output, so that a script can take it, and the rest beside. */
export async function createEndpoint(
  client: ClientOptions,
  { json, ...fields }: EndpointFields & { json: boolean },
  { stdout, stderr }: Output,
): Promise<void> {
  const { secret, ...endpoint } = await call<Endpoint & { secret: string }>(
    client,
    'POST',
    endpointPath(),
    fields,
  );
  if (json) return printJson({ ...endpoint, secret }, stdout);
  stdout.write(`${secret}\n`);
  stderr.write(
    `\nThis is the secret that deliveries are signed with; "inlet webhooks secret ${endpoint.id}" shows it again.\n` +
      `${line(endpoint)}\n`,
  );
}

export async function showEndpoint(
  client: ClientOptions,
  { id, json }: { id: string; json: boolean },
  stdout: Screen,
): Promise<void> {
  printEndpoint(await call<Endpoint>(client, 'GET', endpointPath(id)), json, stdout);
}

export async function updateEndpoint(
  client: ClientOptions,
  { id, json, ...fields }: EndpointFields & { id: string; json: boolean },
  stdout: Screen,
): Promise<void> {
  printEndpoint(await call<Endpoint>(client, 'PATCH', endpointPath(id), fields), json, stdout);
}

export async function deleteEndpoint(
  client: ClientOptions,
  { id, json }: { id: string; json: boolean },
  stdout: Screen,
): Promise<void> {
  await call(client, 'DELETE', endpointPath(id));
  if (json) return printJson({ id, status: 'deleted' }, stdout);
  stdout.write(`${id} is deleted, and nothing is sent to it any more\n`);
}

/** Prints the current secret of an endpoint on standard output, and those that still sign beside it. */
export async function showSecret(
  client: ClientOptions,
  { id, json }: { id: string; json: boolean },
  output: Output,
): Promise<void> {
  printSecrets(await call<Secrets>(client, 'GET', endpointPath(id, '/secret')), json, output);
}

/** Makes a new secret, and prints it like {@link showSecret}. */
export async function rotateSecret(
  client: ClientOptions,
  { id, json }: { id: string; json: boolean },
  output: Output,
): Promise<void> {
  printSecrets(await call<Secrets>(client, 'POST', endpointPath(id, '/rotate-secret')), json, output);
}

function printEndpoint(endpoint: Endpoint, json: boolean, stdout: Screen): void {
  if (json) printJson(endpoint, stdout);
  else stdout.write(`${line(endpoint)}\n`);
}

function printSecrets(answer: Secrets, json: boolean, { stdout, stderr }: Output): void {
  if (json) {
    printJson(answer, stdout);
    return;
  }
  stdout.write(`${answer.secret}\n`);
  for (const { secret, expires_at } of answer.secrets)
    if (expires_at !== null) stderr.write(`${secret} signs too, until ${expires_at}\n`);
}

function line(endpoint: Endpoint): string {
  const { id, url, description, namespaces, events, rate, created_by } = endpoint;
  const rights = [
    namespaces ? `namespaces ${namespaces.join(', ')}` : 'all namespaces',
    events.join(', '),
    ...(rate === null ? [] : [`${rate}/s`]),
    ...(description === '' ? [] : [JSON.stringify(description)]),
    ...(created_by === null ? [] : [`made by ${created_by}`]),
  ];
  return `${id}  ${stateOf(endpoint)}  ${url}: ${rights.join('; ')}`;
}

function stateOf({ disabled_reason, disabled_at, failing_since, paused_until }: Endpoint): string {
  if (disabled_at !== null) return `disabled (${disabled_reason}, ${disabled_at})`;
  if (paused_until !== null && Date.parse(paused_until) > Date.now()) return `paused until ${paused_until}`;
  return failing_since === null ? 'enabled' : `failing since ${failing_since}`;
}
