/** `inlet requests list` and `inlet requests show`. */
import type { ClientOptions } from './client.ts';
import { call } from './client.ts';
import type { ListAnswer } from './print.ts';
import { printJson, printPage, withQuery } from './print.ts';
import type { Screen } from './progress.ts';

/** A request in a list. */
interface RequestSummary {
  readonly namespace: string;
  readonly request_id: string;
  readonly status: string;
  readonly accepted_at: string;
  readonly completed_at: string | null;
  readonly counts: { readonly objects: number; readonly stored: number; readonly failed: number };
}

/** A request by itself, without its results. */
export interface RequestAnswer extends RequestSummary {
  readonly errors: readonly { readonly index: number; readonly id: string; readonly message: string }[];
}

export interface ListOptions {
  readonly namespace: string;
  readonly status?: string;
  readonly limit?: string;
  readonly cursor?: string;
  readonly json: boolean;
}

/** Whether nothing more will happen to a request. */
export function isDone({ status }: { readonly status: string }): boolean {
  return status === 'succeeded' || status === 'failed';
}

/** The path of a request. */
export function requestPath(namespace: string, requestId: string): string {
  return `/v1/data/${encodeURIComponent(namespace)}/requests/${encodeURIComponent(requestId)}`;
}

/** Prints a page of a namespace's requests, newest first. */
export async function listRequests(
  client: ClientOptions,
  { namespace, status, limit, cursor, json }: ListOptions,
  stdout: Screen,
): Promise<void> {
  const path = withQuery(`/v1/data/${encodeURIComponent(namespace)}/requests`, { status, limit, cursor });
  const page = await call<ListAnswer<RequestSummary>>(client, 'GET', path);
  printPage(page, { json, line, none: 'no requests' }, stdout);
}

/** Prints one request, with the first of the objects that failed. */
export async function showRequest(
  client: ClientOptions,
  { namespace, requestId, json }: { namespace: string; requestId: string; json: boolean },
  stdout: Screen,
): Promise<void> {
  const path = `${requestPath(namespace, requestId)}?results=false`;
  const answer = await call<RequestAnswer>(client, 'GET', path);
  if (json) return printJson(answer, stdout);
  stdout.write(`${line(answer)}\n`);
  for (const { index, id, message } of answer.errors) stdout.write(`  ${index} (${id}): ${message}\n`);
}

function line({ request_id, status, accepted_at, completed_at, counts }: RequestSummary): string {
  const numbers = `${counts.stored}/${counts.objects} stored, ${counts.failed} failed`;
  return `${request_id}  ${status.padEnd(9)}  ${numbers}  accepted ${accepted_at}  completed ${completed_at ?? '-'}`;
}
