/** The API as the command's client commands call it: over HTTP, with a key, like any other client. */

import { readFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isLoopback } from '../config/values.ts';
import { maskUrl } from '../domain/mask-url.ts';
import { oneLine } from '../domain/printable.ts';
import { OperatorError } from '../errors.ts';

/** How often a call is tried where the server is away or asks to come back later. */
const TRIES = 5;
const LONGEST_PAUSE_MS = 60_000;

/** How long a single call may take, in milliseconds. Uploads are not bounded. */
const CALL_TIMEOUT_MS = 60_000;

/** An answer that is an error, with what the server says of it. */
export class ApiError extends OperatorError {
  readonly status: number;
  /** Whether asking again would change anything. */
  readonly retryable: boolean;
  /** How long to wait first, in milliseconds, where the server says so. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, detail: string, retryable: boolean, retryAfterMs: number | undefined) {
    super(`the server answered ${status}: ${detail}`);
    this.status = status;
    this.retryable = retryable;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Where the server is and who asks; from options and the environment. */
export interface ClientOptions {
  readonly url: string;
  readonly key: string;
}

/**
 * Finds out where the server is and with which key to call it. The key that `inlet serve` has kept here has access to
 * everything: it is read for a server on this machine only, so that no other host ever gets it, whatever is given as
 * its URL by mistake. A key for another server has to be named.
 * @param url the option `--url`; otherwise `INLET_URL`, otherwise this machine's `PORT`
 * @throws OperatorError where there is no key: neither `INLET_API_KEY`, nor one that `inlet serve` has kept here
 */
export async function clientOptions(
  url: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<ClientOptions> {
  const base = url ?? environment['INLET_URL'] ?? `http://127.0.0.1:${environment['PORT'] ?? '8080'}`;
  if (!/^https?:\/\//.test(base) || !URL.canParse(base)) {
    throw new OperatorError(
      `The URL is ${JSON.stringify(maskUrl(base))}, and must be one like http://127.0.0.1:8080.`,
    );
  }
  const given = environment['INLET_API_KEY']?.trim();
  const path = join(environment['INLET_DATA_DIR'] ?? '.inlet', 'api-key');
  if (!given && !isThisMachine(base)) {
    throw new OperatorError(
      `INLET_API_KEY is not set, and the key in ${path} is never sent to another machine: for the Inlet at ` +
        `${new URL(base).origin} set INLET_API_KEY. (--url and INLET_URL are where Inlet is, and nothing else.)`,
    );
  }
  const key = given || (await keptKey(path));
  if (!key) throw new OperatorError(`INLET_API_KEY is not set, and there is no key in ${path}.`);
  return { url: base.replace(/(?<!\/)\/+$/, ''), key };
}

/** Whether a URL leads to this machine for sure. */
function isThisMachine(url: string): boolean {
  // (As it is parsed, an address is in its usual notation.)
  const host = new URL(url).hostname.replace(/^\[(.*)\]$/, '$1');
  return isLoopback(host);
}

async function keptKey(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return '';
    throw new OperatorError(`Cannot read the key in ${path}: ${message}`);
  }
}

/**
 * Calls the API and reads its answer. A server that is away, or asks to come back later, is asked again.
 * @param body what is sent along, as JSON
 * @returns undefined where the answer has no body
 * @throws ApiError where the answer is an error; OperatorError where there is none
 */
export async function call<T>(
  { url, key }: ClientOptions,
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  body?: unknown,
): Promise<T> {
  const authorization = { authorization: `Bearer ${key}` };
  const init =
    body === undefined
      ? { headers: authorization }
      : { headers: { ...authorization, 'content-type': 'application/json' }, body: JSON.stringify(body) };
  for (let attempt = 1; ; attempt += 1) {
    try {
      const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
      const response = await fetch(url + path, { method, ...init, signal });
      const text = await response.text();
      const read = readJson(text);
      if (!response.ok || (!read && text !== '')) {
        throw apiError(url, response.status, text, Object.fromEntries(response.headers));
      }
      return read?.value as T;
    } catch (error) {
      const known = error instanceof ApiError ? error : unreachable(url, error, AWAY);
      if (attempt === TRIES || (known instanceof ApiError && !known.retryable)) throw known;
      await pauseBefore(attempt, known);
    }
  }
}

/**
 * Sends a stream with PUT. Not with `fetch`, whose time limits are for answers and would end long uploads.
 * @param url a signed URL, which needs no key
 * @throws ApiError where the answer is an error; OperatorError where the connection breaks
 */
export async function upload(url: string, headers: Record<string, string>, body: Readable): Promise<void> {
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  const request = send(url, { method: 'PUT', headers });
  const answered = new Promise<{ status: number; text: string; headers: IncomingHttpHeaders }>(
    (resolve, reject) => {
      request.on('error', reject);
      request.on('response', (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => {
          resolve({ status: response.statusCode ?? 0, text, headers: response.headers });
        });
      });
    },
  );
  // A server that refuses answers before it has read everything: the answer says more than the broken pipe.
  const sent = pipeline(body, request).catch((error: unknown) => error);
  try {
    const { status, text, headers: answerHeaders } = await answered;
    body.destroy();
    if (status < 200 || status > 299) throw apiError(url, status, text, answerHeaders);
  } catch (error) {
    throw error instanceof ApiError ? error : unreachable(url, error);
  } finally {
    await sent;
  }
}

function apiError(url: string, status: number, text: string, headers: IncomingHttpHeaders): ApiError {
  const read = readJson(text)?.value as { readonly detail?: unknown } | null | undefined;
  const detail = typeof read?.detail === 'string' ? read.detail : undefined;
  const passing = status === 408 || status === 429 || status >= 500;
  const shouldRetry = headers['x-should-retry'];
  const seconds = Number.parseInt(headers['retry-after'] ?? '', 10);
  return new ApiError(
    status,
    detail ?? strange(url, text),
    shouldRetry === undefined ? passing : shouldRetry === 'true',
    Number.isNaN(seconds) ? undefined : seconds * 1_000,
  );
}

/** What is said of an answer that isn't one of Inlet's: a proxy's, or that of something else altogether. */
function strange(url: string, text: string): string {
  const shown = oneLine(text.slice(0, 500)).trim();
  const hint = `what answers at ${new URL(url).origin} doesn't look like Inlet; is that its address (--url, INLET_URL)?`;
  return shown === '' ? hint : `${shown} (${hint})`;
}

/** @returns undefined where it is no JSON */
function readJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** What to do where a server that was named, or is assumed, can't be reached. */
const AWAY = 'Does Inlet run there? --url, INLET_URL or, on this machine, PORT tells where it is.';

function unreachable(url: string, error: unknown, hint?: string): OperatorError {
  const { message, cause } = error as Error;
  const reason = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : message;
  const said = `Cannot reach ${new URL(url).origin}: ${reason}`;
  return new OperatorError(hint ? `${said}. ${hint}` : said, { cause: error });
}

/** Waits before the next try: as long as the server asks for, or twice as long each time. */
export function pauseBefore(attempt: number, error: unknown): Promise<void> {
  const asked = error instanceof ApiError ? error.retryAfterMs : undefined;
  const ms = Math.min(asked ?? 500 * 2 ** attempt, LONGEST_PAUSE_MS);
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
