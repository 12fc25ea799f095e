/** What came of an attempt to deliver: of an answer by its status, of an error by its code. */
import { pauseAfter } from '../domain/retry-schedule.ts';
import { AddressRefusedError } from './connector.ts';

/**
 * How an attempt can end:
 *
 * - `succeeded`: the receiver has taken the webhook, by any 2xx;
 * - `rejected`: it has answered with something else; of that `redirected` (nobody goes there), `throttled` (429) and
 *   `gone` (410, by which it wants no more) have names of their own;
 * - `timeout`: no answer came in time; `unreachable`: none at all;
 * - `address_refused`: the URL leads where webhooks may not be sent to.
 */
export const ATTEMPT_OUTCOMES = [
  ...(['succeeded', 'rejected', 'redirected', 'throttled', 'gone'] as const),
  ...(['timeout', 'unreachable', 'address_refused'] as const),
] as const;
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number];

/** What came of an attempt. */
export interface Attempt {
  readonly outcome: AttemptOutcome;
  /** Null where no answer came. */
  readonly statusCode: number | null;
  /** The beginning of the answer's body. */
  readonly response: string;
  /** Why it has failed, for whoever owns the endpoint; null where it has not. Holds nothing of URLs. */
  readonly error: string | null;
  /** How long the receiver is to be left alone, in milliseconds; undefined where it has not asked for that. */
  readonly pauseMs?: number | undefined;
}

/**
 * What an answer means.
 * @param response the beginning of its body
 * @param retryAfter the header of that name
 */
export function judgeAnswer(statusCode: number, response: string, retryAfter?: string): Attempt {
  const outcome = outcomeOf(statusCode);
  const answered = { outcome, statusCode, response };
  if (outcome === 'succeeded') return { ...answered, error: null };
  const error = outcome === 'redirected' ? REDIRECTED : `the receiver has answered ${statusCode}`;
  return { ...answered, error, pauseMs: pauseAfter(statusCode, retryAfter) };
}

const REDIRECTED =
  'the receiver has answered with a redirect, and none is followed: the endpoint needs the URL itself';

function outcomeOf(statusCode: number): AttemptOutcome {
  if (statusCode >= 200 && statusCode < 300) return 'succeeded';
  if (statusCode >= 300 && statusCode < 400) return 'redirected';
  if (statusCode === 410) return 'gone';
  return statusCode === 429 ? 'throttled' : 'rejected';
}

/** @param ms how long was waited */
export function timedOut(ms: number): Attempt {
  return unanswered('timeout', `no answer within ${ms / 1_000} s`);
}

/** What an attempt without an answer means. */
export function judgeError(error: unknown): Attempt {
  if (error instanceof AddressRefusedError) return unanswered('address_refused', error.message);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (TIMEOUTS.has(code)) return unanswered('timeout', TOLD[code] ?? 'the connection was not made in time');
  return unanswered('unreachable', TOLD[code] ?? `no answer${code === '' ? '' : `: ${code}`}`);
}

export function unanswered(outcome: AttemptOutcome, error: string): Attempt {
  return { outcome, statusCode: null, response: '', error };
}

const TIMEOUTS: ReadonlySet<string> = new Set(['UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT', 'ETIMEOUT']);

/** What is said of an error by its code. Messages say more than they should, and others may be told too little. */
const TOLD: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'the connection was refused',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was reset',
  UND_ERR_SOCKET: 'the connection was closed before there was an answer',
  EHOSTUNREACH: 'there is no way to the address',
  ENETUNREACH: 'there is no way to the address',
  ENOTFOUND: 'the name has no address',
  ENODATA: 'the name has no address',
  ESERVFAIL: 'the name could not be looked up',
  EAI_AGAIN: 'the name could not be looked up',
  ETIMEOUT: 'the name could not be looked up in time',
  UND_ERR_HEADERS_OVERFLOW: "the answer's headers are too large",
  EPROTO: 'no TLS connection could be made',
  ERR_SSL_WRONG_VERSION_NUMBER: 'no TLS connection could be made: the receiver speaks something else',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the certificate is not trusted: it is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'the certificate is not trusted: its chain ends in one that is self-signed',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the certificate is not trusted: the receiver does not send its chain',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the certificate is not trusted: who has issued it is not known',
  CERT_HAS_EXPIRED: 'the certificate has expired',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the certificate is for another name',
};
