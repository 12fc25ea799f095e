/** Fills an Inlet over its API, as any client does. */
import { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientOptions } from '../../src/commands/client.ts';
import { call } from '../../src/commands/client.ts';
import { importFile } from '../../src/commands/import.ts';
import { count } from '../../src/commands/progress.ts';
import type { RequestAnswer } from '../../src/commands/requests.ts';
import { isDone, requestPath } from '../../src/commands/requests.ts';
import { Screen } from '../../src/commands/terminal.ts';
import { OperatorError } from '../../src/errors.ts';
import type { Namespace, Shop, Write } from './data.ts';
import { PRODUCT_SCHEMA } from './data.ts';

/** No name below `.invalid` exists (RFC 2606), so every delivery fails and is retried. */
const UNREACHABLE_URL = 'https://receiver.invalid/inlet';

const OBJECTS_PER_REQUEST = 50;
const POLL_MS = 100;

/** How long a request may take to be stored, in milliseconds. */
const PATIENCE_MS = 60_000;

/** What was made. */
export interface Filled {
  readonly endpointId: string;
  readonly importId: string;
  /** Lines of the import that were stored, and that failed. */
  readonly imported: number;
  readonly unreadable: number;
}

interface Request {
  readonly namespace: Namespace;
  readonly requestId: string;
}

/**
 * Writes a shop, changes and deletes some of it, and imports a file. Each step is stored before the next one begins, so that
 * every version is kept.
 * @param screen is told of each step
 * @throws OperatorError where the server does not accept something, or nothing is stored
 */
export async function fill(client: ClientOptions, shop: Shop, screen: Screen): Promise<Filled> {
  const say = (text: string): void => screen.write(`${text}\n`);
  const endpointId = await unreachableEndpoint(client);
  say(`webhooks: ${endpointId} sends events of customers to ${UNREACHABLE_URL}`);
  for (const writes of [shop.writes, ...shop.updates]) {
    const requests = await Promise.all(writes.map((some) => write(client, some)));
    await stored(client, requests.flat());
    for (const { namespace, objects } of writes) say(`${namespace}: ${count(objects.length)} written`);
  }
  const deletes = shop.deletes.map(({ namespace, id }) =>
    send(client, 'DELETE', namespace, `/objects/${encodeURIComponent(id)}`),
  );
  await stored(client, await Promise.all(deletes));
  say(`products and customers: ${count(deletes.length)} deleted`);
  const { request_id, counts } = await importOrders(client, shop.lines, screen);
  say(`orders: ${count(counts.stored)} lines imported, ${count(counts.failed)} failed`);
  return { endpointId, importId: request_id, imported: counts.stored, unreadable: counts.failed };
}

/** The endpoint that an earlier run has made, or a new one. @returns its id */
async function unreachableEndpoint(client: ClientOptions): Promise<string> {
  const path = '/v1/webhooks/endpoints';
  const { data } = await call<{ data: { id: string; url: string; disabled: boolean }[] }>(
    client,
    'GET',
    `${path}?limit=500`,
  );
  const found = data.find(({ url }) => url === UNREACHABLE_URL);
  if (!found) {
    const description = 'Made by npm run seed. Cannot be reached, so that deliveries are retried.';
    const body = { url: UNREACHABLE_URL, description, namespaces: ['customers'] };
    return (await call<{ id: string }>(client, 'POST', path, body)).id;
  }
  if (found.disabled) await call(client, 'PATCH', `${path}/${found.id}`, { disabled: false });
  return found.id;
}

async function write(client: ClientOptions, { namespace, objects }: Write): Promise<Request[]> {
  const requests: Request[] = [];
  for (let from = 0; from < objects.length; from += OBJECTS_PER_REQUEST) {
    const data = objects.slice(from, from + OBJECTS_PER_REQUEST);
    const body = namespace === 'products' ? { data, schema: PRODUCT_SCHEMA } : { data };
    requests.push(await send(client, 'POST', namespace, '', body));
  }
  return requests;
}

async function send(
  client: ClientOptions,
  method: 'POST' | 'DELETE',
  namespace: Namespace,
  rest: string,
  body?: object,
): Promise<Request> {
  const path = `/v1/data/${namespace}${rest}`;
  const { requestId } = await call<{ requestId: string }>(client, method, path, body);
  return { namespace, requestId };
}

/** Waits until requests are stored. @throws OperatorError where one fails, or is not done after a minute */
async function stored(client: ClientOptions, requests: readonly Request[]): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (const { namespace, requestId } of requests) {
    const path = `${requestPath(namespace, requestId)}?results=false`;
    let answer = await call<RequestAnswer>(client, 'GET', path);
    while (!isDone(answer) && performance.now() < deadline) {
      await delay(POLL_MS);
      answer = await call<RequestAnswer>(client, 'GET', path);
    }
    const what = `Request ${requestId} of ${namespace}`;
    const { status, counts, errors } = answer;
    if (status === 'failed') {
      throw new OperatorError(
        `${what} failed for ${counts.failed} of ${counts.objects} objects: ${errors[0]?.message}`,
      );
    }
    if (status !== 'succeeded')
      throw new OperatorError(
        `${what} is still ${status} after ${PATIENCE_MS / 1_000} s. Does a worker run?`,
      );
  }
}

async function importOrders(
  client: ClientOptions,
  lines: readonly string[],
  screen: Screen,
): Promise<RequestAnswer> {
  let answer = '';
  const stdout = new Screen({
    write(text) {
      answer += text;
    },
  });
  const stdin = Readable.from([Buffer.from(`${lines.join('\n')}\n`)]);
  await importFile(client, { file: '-', namespace: 'orders', json: true }, { stdin, stdout, stderr: screen });
  return JSON.parse(answer) as RequestAnswer;
}
