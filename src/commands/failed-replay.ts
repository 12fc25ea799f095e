/** `inlet failed replay`: asks for it and, with `--wait`, follows it to its end. */
import { setTimeout as delay } from 'node:timers/promises';
import type { ReplayOrder } from '../domain/batch.ts';
import type { ClientOptions } from './client.ts';
import { call } from './client.ts';
import type { Selection } from './failed.ts';
import { failedPath } from './failed.ts';
import type { ListAnswer } from './print.ts';
import { printJson, withQuery } from './print.ts';
import type { Screen } from './progress.ts';
import { count } from './progress.ts';

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
  readonly request_id: string;
  readonly index: number;
  readonly attempts: number;
}

/**
 * Replays failed objects.
 * @returns whether none of them has failed again, as far as that was waited for
 */
export async function replayFailed(
  client: ClientOptions,
  options: ReplayOptions,
  { stdout, stderr }: { readonly stdout: Screen; readonly stderr: Screen },
): Promise<boolean> {
  const { namespace, json, wait } = options;
  const answer = await ask(client, options);
  if (!wait) {
    if (json) printJson(answer, stdout);
    else stdout.write(`${namespace}: ${count(answer.objects)} to be replayed${skipped(answer)}\n`);
    return true;
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
  return failed === 0;
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
  return `; not replayable, because they hold no object: ${count(not_replayable)}`;
}

/** Resolves when nothing is left of what had failed before the replay was asked for. */
async function waitForEnd(
  client: ClientOptions,
  options: ReplayOptions,
  { requested_at }: ReplayAnswer,
  stderr: Screen,
): Promise<void> {
  let shownAt = performance.now();
  for (;;) {
    const left = await listed(client, options, { failed_before: requested_at, limit: String(PAGE) });
    const found = left.data.filter(isMeant(options)).length;
    if (found === 0 && left.next_cursor === null) return;
    if (performance.now() - shownAt > SHOWN_MS) {
      shownAt = performance.now();
      stderr.write(`waiting: ${count(found)}${left.next_cursor === null ? '' : ' or more'} are left\n`);
    }
    await delay(POLL_MS);
  }
}

/** Counts what has failed again, page by page. */
async function countFailedAgain(
  client: ClientOptions,
  options: ReplayOptions,
  { requested_at }: ReplayAnswer,
): Promise<number> {
  let total = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await listed(client, options, { failed_since: requested_at, limit: String(PAGE), cursor });
    // What has failed for the first time is of another write.
    total += page.data.filter(isMeant(options)).filter(({ attempts }) => attempts > 1).length;
    if (page.next_cursor === null) return total;
    cursor = page.next_cursor;
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

/** Whether an object of the list is the one, where it is about one. */
function isMeant({ index }: Selection): (one: Listed) => boolean {
  return (one) => index === undefined || one.index === Number(index);
}
