/** `inlet webhooks …` for deliveries: list them, send them again, and try an endpoint out. */
import { oneLine } from '../domain/printable.ts';
import { OperatorError } from '../errors.ts';
import type { ClientOptions } from './client.ts';
import { ApiError, call } from './client.ts';
import type { ListAnswer } from './print.ts';
import { printJson, printPage, withQuery } from './print.ts';
import { count } from './progress.ts';
import type { Screen } from './terminal.ts';
import { endpointPath } from './webhooks.ts';

/** How often it is asked what has become of a test, in milliseconds. */
const POLL_MS = 500;

/** An attempt takes up to 15 s, and a worker is told within a second; a busy one may take longer. */
const TEST_TIMEOUT_MS = 60_000;

interface Attempt {
  readonly at: string;
  readonly status_code: number | null;
  readonly duration_ms: number;
  readonly response: string | null;
  readonly error: string | null;
}

interface Delivery {
  readonly webhook_id: string;
  readonly endpoint_id: string;
  readonly type: string;
  readonly namespace: string | null;
  readonly id: string | null;
  readonly status: string;
  readonly attempts: readonly Attempt[];
  readonly next_attempt_at: string | null;
}

export interface DeliveriesOptions {
  readonly endpoint?: string;
  readonly webhookId?: string;
  readonly status?: string;
  readonly limit?: string;
  readonly cursor?: string;
  readonly json: boolean;
}

/** Prints a page of deliveries, the newest event first. */
export async function listDeliveries(
  client: ClientOptions,
  { json, webhookId, ...filter }: DeliveriesOptions,
  stdout: Screen,
): Promise<void> {
  printPage(
    await deliveries(client, { ...filter, webhook_id: webhookId }),
    { json, line, none: 'no deliveries' },
    stdout,
  );
}

/** Has deliveries sent again, and prints how many. */
export async function replay(
  client: ClientOptions,
  { id, json, ...which }: { id: string; since: string; status: 'failed' | 'all'; json: boolean },
  stdout: Screen,
): Promise<void> {
  const answer = await send<{ replayed: number }>(client, id, '/replay', which);
  if (json) return printJson(answer, stdout);
  stdout.write(
    `${count(answer.replayed)} sent again: "inlet webhooks deliveries --endpoint ${id}" shows how it goes\n`,
  );
}

/**
 * Has a test event sent, waits for the first attempt, and prints what came of it.
 * @returns whether it was delivered
 * @throws OperatorError where there is no attempt
 */
export async function testEndpoint(
  client: ClientOptions,
  { id, json }: { id: string; json: boolean },
  stdout: Screen,
): Promise<boolean> {
  const { webhook_id } = await send<{ webhook_id: string }>(client, id, '/test');
  const deadline = Date.now() + TEST_TIMEOUT_MS;
  for (;;) {
    const [delivery] = (await deliveries(client, { endpoint: id, webhook_id })).data;
    if (delivery && delivery.attempts.length > 0) {
      if (json) printJson(delivery, stdout);
      else stdout.write(`${oneLine(line(delivery))}\n`);
      return delivery.status === 'succeeded';
    }
    if (Date.now() > deadline) {
      throw new OperatorError(
        `${webhook_id} was not sent within ${TEST_TIMEOUT_MS / 1_000} seconds: no worker runs, it has much to do, or ` +
          `the endpoint is paused ("inlet webhooks show ${id}").`,
      );
    }
    await new Promise((resolve) => {
      setTimeout(resolve, POLL_MS);
    });
  }
}

/** Has something sent. @throws OperatorError that says how an endpoint is enabled, where it is disabled */
async function send<T>(client: ClientOptions, id: string, what: string, body?: object): Promise<T> {
  try {
    return await call<T>(client, 'POST', endpointPath(id, what), body);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 409) throw error;
    throw new OperatorError(`${error.message}: inlet webhooks update ${id} --enable`, { cause: error });
  }
}

function deliveries(
  client: ClientOptions,
  filter: Readonly<Record<string, string | undefined>>,
): Promise<ListAnswer<Delivery>> {
  return call(client, 'GET', withQuery('/v1/webhooks/deliveries', filter));
}

function line({
  webhook_id,
  endpoint_id,
  type,
  namespace,
  id,
  status,
  attempts,
  next_attempt_at,
}: Delivery): string {
  const about = namespace === null ? type : `${type} ${namespace}/${id}`;
  const last = attempts.at(-1);
  const tries = last ? `; attempt ${attempts.length}: ${outcome(last)}` : '';
  const next = next_attempt_at === null ? '' : `; next ${next_attempt_at}`;
  return `${webhook_id}  ${endpoint_id}  ${status.padEnd(9)}  ${about}${tries}${next}`;
}

function outcome({ at, status_code, duration_ms, response, error }: Attempt): string {
  const answer = response?.slice(0, 200);
  const parts = [status_code ?? 'no answer', ...(error === null ? [] : [error]), ...(answer ? [answer] : [])];
  return `${parts.join(', ')} (${duration_ms} ms, ${at})`;
}
