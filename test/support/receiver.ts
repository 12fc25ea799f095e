/** Receivers of webhooks that listen on this machine, and endpoints and events for them made without the API. */
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import { onTestFinished } from 'vitest';
import type { Database } from '../../src/store/database.ts';
import type { TestCertificate } from './certificate.ts';
import { insertEndpointRow } from './webhooks.ts';

/** What a receiver has got. */
export interface ReceivedWebhook {
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** `performance.now()` when all of it was there. */
  readonly at: number;
}

/** Answers; what it doesn't end stays open. */
export type AnswerWebhook = (response: ServerResponse, received: ReceivedWebhook) => void;

/** Answers with a status, and a body to tell it from others. */
export const answering =
  (status: number, headers: Record<string, string> = {}): AnswerWebhook =>
  (response) =>
    response.writeHead(status, headers).end(`answer ${status}`);

/** A receiver of webhooks. */
export class Receiver {
  readonly received: ReceivedWebhook[] = [];
  readonly #server;
  readonly #protocol: string;
  /** May be replaced at any time. */
  answer: AnswerWebhook;
  /** Connections that were made to it. */
  connections = 0;

  private constructor(answer: AnswerWebhook, tls?: TestCertificate) {
    this.answer = answer;
    const listener: RequestListener = (request, response) => void this.#take(request, response);
    this.#server = tls ? createTlsServer(tls, listener) : createServer(listener);
    this.#protocol = tls ? 'https' : 'http';
    this.#server.on('connection', () => {
      this.connections += 1;
    });
  }

  static async start(answer: AnswerWebhook = answering(200), tls?: TestCertificate): Promise<Receiver> {
    const receiver = new Receiver(answer, tls);
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return this.urlFor('127.0.0.1');
  }

  urlFor(host: string): string {
    return `${this.#protocol}://${host}:${this.port}/hook?token=query-secret`;
  }

  /** The ids of what has come, each once. */
  get ids(): Set<string> {
    return new Set(this.received.map(({ id }) => id));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { headers, method = '', url: path = '' } = request;
    const body = Buffer.concat(chunks).toString();
    const received = {
      id: String(headers['webhook-id']),
      headers,
      method,
      path,
      body,
      at: performance.now(),
    };
    this.received.push(received);
    this.answer(response, received);
  }
}

/** A receiver for one test. */
export async function startReceiver(...given: Parameters<typeof Receiver.start>): Promise<Receiver> {
  const receiver = await Receiver.start(...given);
  onTestFinished(() => receiver.close());
  return receiver;
}

export interface TestEndpoint {
  readonly id: string;
  readonly secret: string;
}

export function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

/** Makes an endpoint. */
export async function makeEndpoint(
  database: Database,
  url: string,
  options: { namespaces?: string[]; events?: string[]; rate?: number } = {},
): Promise<TestEndpoint> {
  const id = `ep_${randomUUID().replaceAll('-', '')}`;
  const secret = newSecret();
  await insertEndpointRow(database, id, { url, secret, ...options });
  return { id, secret };
}

/** Writes events to be delivered, with the webhook ids `PREFIX_1`, `PREFIX_2` and so on. */
export async function makeDeliveries(
  database: Database,
  endpointId: string,
  count: number,
  { prefix = 'msg', namespace = 'made', metadata = '{}' } = {},
): Promise<void> {
  await database.query({
    text: `INSERT INTO inlet.webhook_deliveries
             (endpoint_id, webhook_id, type, namespace, object_id, request_id, accepted_at, metadata)
           SELECT $1, $2 || '_' || n, 'workflow.succeeded', $5, 'object-' || n,
                  'req_01h2m7qdmdjckc30e1mnq6xqfd', '2026-11-24T12:00:00.123456Z', $4
           FROM generate_series(1, $3::int) AS n`,
    values: [endpointId, prefix, count, metadata, namespace],
  });
}

export interface Delivery {
  readonly webhook_id: string;
  readonly status: string;
  readonly tries: number;
  readonly attempts: readonly {
    readonly at: string;
    readonly status_code: number | null;
    readonly duration_ms: number;
    readonly response: string;
    readonly error: string | null;
  }[];
  /** Seconds from now on. */
  readonly due_in: number;
  readonly completed_at: Date | null;
}

/** An endpoint's deliveries in the order of their ids. */
export function deliveriesOf(database: Database, endpointId: string): Promise<Delivery[]> {
  return database.query<Delivery & Record<string, unknown>>({
    text: `SELECT webhook_id, status, tries, attempts, completed_at,
                  extract(epoch FROM next_attempt_at - now())::float8 AS due_in
           FROM inlet.webhook_deliveries WHERE endpoint_id = $1 ORDER BY webhook_id`,
    values: [endpointId],
  });
}

export interface EndpointState {
  readonly failing_since: Date | null;
  readonly paused_until: Date | null;
  readonly disabled_at: Date | null;
  readonly disabled_reason: string | null;
}

export async function endpointState(database: Database, endpointId: string): Promise<EndpointState> {
  const [row] = await database.query<EndpointState & Record<string, unknown>>({
    text: `SELECT failing_since, paused_until, disabled_at, disabled_reason
           FROM inlet.webhook_endpoints WHERE endpoint_id = $1`,
    values: [endpointId],
  });
  if (!row) throw new Error('no such endpoint');
  return row;
}

/** Changes an endpoint. @param set SQL */
export async function changeEndpoint(database: Database, endpointId: string, set: string): Promise<void> {
  await database.query({
    text: `UPDATE inlet.webhook_endpoints SET ${set} WHERE endpoint_id = $1`,
    values: [endpointId],
  });
}

/** Verifies a webhook as receivers do, with the libraries of Standard Webhooks and of Svix. @throws where it is not genuine */
export function verify(received: ReceivedWebhook, secret: string): unknown {
  const headers = Object.fromEntries(
    ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => [
      name,
      String(received.headers[name]),
    ]),
  );
  new SvixWebhook(secret).verify(received.body, headers);
  return new Webhook(secret).verify(received.body, headers);
}
