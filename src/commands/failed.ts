/** `inlet failed …`: the accepted objects that could not be stored, over HTTP. */
import { oneLine } from '../domain/printable.ts';
import type { ClientOptions } from './client.ts';
import { call } from './client.ts';
import type { ListAnswer } from './print.ts';
import { printJson, printPage, withQuery } from './print.ts';
import { count } from './progress.ts';
import type { Screen } from './terminal.ts';

/** A failed object in a list. */
interface FailedObject {
  readonly request_id: string;
  readonly index: number;
  readonly id: string;
  readonly operation: 'write' | 'delete';
  readonly message: string;
  readonly sqlstate: string | null;
  readonly attempts: number;
  readonly failed_at: string;
}

/** Which failed objects are meant: one, those of a request, or all of a namespace. */
export interface Selection {
  readonly namespace: string;
  readonly requestId?: string | undefined;
  readonly index?: string | undefined;
}

export interface FailedListOptions extends Pick<Selection, 'namespace'> {
  readonly request?: string;
  readonly limit?: string;
  readonly cursor?: string;
  readonly json: boolean;
}

/** Where failed objects of a namespace are, or what is below that. */
export function failedPath(namespace: string, ...rest: readonly string[]): string {
  return `/v1/data/${[namespace, 'failed', ...rest].map(encodeURIComponent).join('/')}`;
}

/** Prints a page of a namespace's failed objects, those of the newest request first. */
export async function listFailed(
  client: ClientOptions,
  { namespace, request, limit, cursor, json }: FailedListOptions,
  stdout: Screen,
): Promise<void> {
  const path = withQuery(failedPath(namespace), { request, limit, cursor });
  const page = await call<ListAnswer<FailedObject>>(client, 'GET', path);
  printPage(page, { json, line, none: 'no failed objects' }, stdout);
}

/** Prints a failed object, with its text as it was sent. */
export async function showFailed(
  client: ClientOptions,
  {
    namespace,
    requestId,
    index,
    json,
  }: Required<Selection> & { requestId: string; index: string; json: boolean },
  stdout: Screen,
): Promise<void> {
  const path = failedPath(namespace, requestId, index);
  const answer = await call<FailedObject & { text: string | null }>(client, 'GET', path);
  if (json) return printJson(answer, stdout);
  stdout.write(`${oneLine(line(answer))}\n`);
  if (answer.text !== null) stdout.write(`${answer.text}\n`);
}

/** Discards failed objects, and prints how many there were. */
export async function discardFailed(
  client: ClientOptions,
  { namespace, requestId, index, json }: Selection & { readonly json: boolean },
  stdout: Screen,
): Promise<void> {
  let discarded = 0;
  for (let hasMore = true; hasMore; ) {
    const answer = await (requestId !== undefined && index !== undefined
      ? call<DiscardAnswer>(client, 'DELETE', failedPath(namespace, requestId, index))
      : call<DiscardAnswer>(
          client,
          'POST',
          failedPath(namespace, 'discard'),
          requestId === undefined ? { all: true } : { request: requestId },
        ));
    discarded += answer.discarded;
    hasMore = answer.has_more;
  }
  if (json) printJson({ discarded }, stdout);
  else stdout.write(`${namespace}: ${count(discarded)} discarded\n`);
}

interface DiscardAnswer {
  readonly discarded: number;
  readonly has_more: boolean;
}

function line({
  request_id,
  index,
  id,
  operation,
  message,
  sqlstate,
  attempts,
  failed_at,
}: FailedObject): string {
  const what = `${operation === 'delete' ? 'delete of ' : ''}${JSON.stringify(id)}`;
  const tried = attempts > 1 ? `, tried ${attempts} times` : '';
  return `${request_id} ${index}  ${what}  ${sqlstate ?? '-'}  failed ${failed_at}${tried}: ${message}`;
}
