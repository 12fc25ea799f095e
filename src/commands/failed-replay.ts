/** `inlet failed replay`: asks for it and, with `--wait`, follows it to its end. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ReplayOrder } from '../domain/batch.ts';
import type { ClientOptions } from './client.ts';
import { ApiError, call } from './client.ts';
import type { Selection } from './failed.ts';
import { failedPath } from './failed.ts';
import type { ListAnswer } from './print.ts';
import { printJson, withQuery } from './print.ts';
import { count } from './progress.ts';
import type { Screen } from './terminal.ts';

/** How often the server is asked what is left, and at most how often that is shown, in milliseconds. */
const POLL_MS = 500;
const SHOWN_MS = 5_000;

/** As many are counted at one look. */
const PAGE = 500;

export interface ReplayOptions extends Selection {
  readonly order: ReplayOrder;
  /** Whether to wait until all of it is stored or has failed again. */
  readonly wait: boolean;
  readonly json: boolean;
}

interface ReplayAnswer {
  readonly objects: number;
  readonly not_replayable: number;
  readonly requested_at: string;
}

interface Listed {
  readonly attempts: number;
  /** To the microsecond, like `requested_at`: the texts are in the order of the times. */
  readonly failed_at: string;
}

/**
 * Replays failed objects.
 * @returns false where one has failed again (as far as that was waited for), or where some had failed and none of them
 *   can be replayed
 */
export async function replayFailed(
  client: ClientOptions,
  options: ReplayOptions,
  { stdout, stderr }: { readonly stdout: Screen; readonly stderr: Screen },
): Promise<boolean> {
  const { namespace, json, wait } = options;
  const answer = await ask(client, options);
  const inVain = answer.objects === 0 && answer.not_replayable > 0;
  if (!wait) {
    if (json) printJson(answer, stdout);
    else stdout.write(`${namespace}: ${count(answer.objects)} to be replayed${skipped(answer)}\n`);
    return !inVain;
  }
  await waitForEnd(client, options, answer, stderr);
  const failed = await countFailedAgain(client, options, answer);
  const done = Math.max(0, answer.objects - failed);
  if (json) printJson({ ...answer, stored: done, failed }, stdout);
  else {
    stdout.write(
      `${namespace}: ${count(done)} of ${count(answer.objects)} stored, ${count(failed)} failed again${skipped(answer)}\n`,
    );
  }
  return failed === 0 && !inVain;
}

function ask(
  client: ClientOptions,
  { namespace, requestId, index, order }: ReplayOptions,
): Promise<ReplayAnswer> {
  if (requestId !== undefined && index !== undefined) {
    return call(client, 'POST', failedPath(namespace, requestId, index, 'replay'), { order });
  }
  const which = requestId === undefined ? {} : { request: requestId };
  return call(client, 'POST', failedPath(namespace, 'replay'), { order, ...which });
}

function skipped({ not_replayable }: ReplayAnswer): string {
  if (not_replayable === 0) return '';
  return `; not replayable, because they hold no object that can be stored: ${count(not_replayable)}`;
}

/** Resolves when nothing is left of what had failed before the replay was asked for. */
async function waitForEnd(
  client: ClientOptions,
  options: ReplayOptions,
  answer: ReplayAnswer,
  stderr: Screen,
): Promise<void> {
  let shownAt = performance.now();
  for (;;) {
    const left = await findLeft(client, options, answer);
    if (left.count === 0) return;
    if (performance.now() - shownAt > SHOWN_MS) {
      shownAt = performance.now();
      stderr.write(`waiting: ${count(left.count)}${left.hasMore ? ' or more' : ''} are left\n`);
    }
    await delay(POLL_MS);
  }
}

async function findLeft(
  client: ClientOptions,
  options: ReplayOptions,
  { requested_at }: ReplayAnswer,
): Promise<{ readonly count: number; readonly hasMore: boolean }> {
  const place = placeOf(options);
  if (place) {
    const one = await findOne(client, options.namespace, place);
    return { count: one && one.failed_at < requested_at ? 1 : 0, hasMore: false };
  }
  const page = await listed(client, options, { failed_before: requested_at, limit: String(PAGE) });
  return { count: page.data.length, hasMore: page.next_cursor !== null };
}

/** Counts what has failed again, page by page. */
async function countFailedAgain(
  client: ClientOptions,
  options: ReplayOptions,
  { requested_at }: ReplayAnswer,
): Promise<number> {
  const place = placeOf(options);
  if (place) return (await findOne(client, options.namespace, place)) ? 1 : 0;
  let total = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await listed(client, options, { failed_since: requested_at, limit: String(PAGE), cursor });
    // What has failed for the first time is of another write.
    total += page.data.filter(({ attempts }) => attempts > 1).length;
    if (page.next_cursor === null) return total;
    cursor = page.next_cursor;
  }
}

/** Where the one stands that it is about; undefined where it is about more. */
function placeOf({ requestId, index }: Selection): readonly [requestId: string, index: string] | undefined {
  return requestId === undefined || index === undefined ? undefined : [requestId, index];
}

/** One that has failed. Not looked for in the list, of which it may be anywhere. */
async function findOne(
  client: ClientOptions,
  namespace: string,
  place: readonly [requestId: string, index: string],
): Promise<Listed | undefined> {
  try {
    return await call<Listed>(client, 'GET', failedPath(namespace, ...place));
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}

function listed(
  client: ClientOptions,
  { namespace, requestId }: Selection,
  parameters: Readonly<Record<string, string | undefined>>,
): Promise<ListAnswer<Listed>> {
  const query = { request: requestId, replayable: 'true', ...parameters };
  return call(client, 'GET', withQuery(failedPath(namespace), query));
}
