/** Calls of a client, and what it has to make of what comes back. */
import { KEY } from '../support/inlet.ts';
import type { Outcome } from './history.ts';

/** Longest time that a client waits for an answer, in milliseconds; the server promises one within five seconds. */
const CLIENT_TIMEOUT_MS = 8_000;

/** What a client knows after a call. */
export interface Called {
  readonly outcome: Outcome;
  readonly answered: boolean;
  /** The status, or the error of the connection. */
  readonly answer: string;
  readonly status: number | undefined;
  readonly body: Record<string, unknown>;
}

/**
 * Makes a call.
 * @param accepted the status with which the server takes what was sent
 * @param onComplaint told of answers that no valid call should get
 */
export async function call(
  url: string,
  init: RequestInit,
  accepted: number,
  onComplaint: (complaint: string) => void,
  timeoutMs = CLIENT_TIMEOUT_MS,
): Promise<Called> {
  const what = `${init.method ?? 'GET'} ${new URL(url).pathname}`;
  try {
    const headers = { authorization: `Bearer ${KEY}`, ...init.headers };
    const response = await fetch(url, { ...init, headers, signal: AbortSignal.timeout(timeoutMs) });
    const text = await response.text();
    const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    const { status } = response;
    const code = String(body['code'] ?? '');
    const told = { answered: true, answer: `${status} ${code}`.trim(), status, body };
    if (status === accepted) return { ...told, outcome: 'acknowledged' };
    // The queue may have broken off in the middle; when it is only full, nothing was sent to it.
    if (status === 503) return { ...told, outcome: code === 'queue_full' ? 'refused' : 'unknown' };
    // Of an upload that goes on elsewhere, or is over.
    const mayBeRefused = init.method === 'PUT' && (status === 409 || status === 404);
    if (!mayBeRefused) onComplaint(`${what}: ${status} ${text.slice(0, 300)}`);
    return { ...told, outcome: 'refused' };
  } catch (error) {
    const { message, cause } = error as Error & { cause?: { code?: string } };
    if (message.startsWith('the answer is not')) onComplaint(message);
    const answer = cause?.code ?? message;
    const unreached = answer === 'ECONNREFUSED';
    const outcome = unreached ? 'refused' : 'unknown';
    return { outcome, answered: unreached, answer, status: undefined, body: {} };
  }
}
