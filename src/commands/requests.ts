/** `inlet requests list` and `inlet requests show`. */
import { oneLine } from '../domain/printable.ts';
import type { ClientOptions } from './client.ts';
import { ApiError, call } from './client.ts';
import type { ListAnswer } from './print.ts';
import { printJson, printPage, withQuery } from './print.ts';
import { count } from './progress.ts';
import type { Screen } from './terminal.ts';

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

/** A request with its results. */
interface FullAnswer extends RequestAnswer {
  readonly data: readonly { readonly id: string; readonly evaluation_error?: string }[];
}

/** Most objects that could not be evaluated that are named. */
const MOST_NAMED = 100;

/** Prints one request, with the first of the objects that failed, and of those that could not be evaluated. */
export async function showRequest(
  client: ClientOptions,
  { namespace, requestId, json }: { namespace: string; requestId: string; json: boolean },
  { stdout, stderr }: { readonly stdout: Screen; readonly stderr: Screen },
): Promise<void> {
  const path = requestPath(namespace, requestId);
  const full = await withResults(client, path);
  const answer = full ?? (await call<RequestAnswer>(client, 'GET', `${path}?results=false`));
  if (json) printJson(answer, stdout);
  else {
    stdout.write(`${line(answer)}\n`);
    for (const { index, id, message } of answer.errors.slice(0, MOST_NAMED))
      stdout.write(`  ${oneLine(`${index}${id ? ` (${id})` : ''}: ${message}`)}\n`);
    printEvaluationErrors(full?.data ?? [], stdout);
  }
  if (!full) {
    stderr.write(
      `left out, because there are too many: its results, at ${path}/results/download-url, and whether all could be evaluated\n`,
    );
  }
}

/** @returns undefined where they are more than one answer holds */
async function withResults(client: ClientOptions, path: string): Promise<FullAnswer | undefined> {
  try {
    return await call<FullAnswer>(client, 'GET', path);
  } catch (error) {
    if (error instanceof ApiError && error.status === 413) return undefined;
    throw error;
  }
}

/** These are stored, and count as stored: what failed is what comes after that. */
function printEvaluationErrors(results: FullAnswer['data'], stdout: Screen): void {
  const failed = results.filter(({ evaluation_error }) => evaluation_error !== undefined);
  for (const { id, evaluation_error } of failed.slice(0, MOST_NAMED))
    stdout.write(
      `  ${JSON.stringify(id)} is stored, and could not be evaluated: ${oneLine(evaluation_error ?? '')}\n`,
    );
  if (failed.length > MOST_NAMED) stdout.write(`  and ${count(failed.length - MOST_NAMED)} more\n`);
}

function line({ request_id, status, accepted_at, completed_at, counts }: RequestSummary): string {
  const numbers = `${counts.stored}/${counts.objects} stored, ${counts.failed} failed`;
  return `${request_id}  ${status.padEnd(9)}  ${numbers}  accepted ${accepted_at}  completed ${completed_at ?? '-'}`;
}
