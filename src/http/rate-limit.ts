/** Rates over HTTP: the `RateLimit` headers, and 429. */
import type { FastifyReply } from 'fastify';
import type { RateState } from '../access/rate-limits.ts';
import { ProblemError } from '../errors.ts';

/**
 * Tells the client where it stands, in the headers of draft-ietf-httpapi-ratelimit-headers.
 * @throws ProblemError 429 where it has sent too much
 */
export function applyRate(reply: FastifyReply, state: RateState): void {
  const { unit, allowed, limit, remaining, resetMs } = state;
  const seconds = Math.max(1, Math.ceil(resetMs / 1_000));
  // A request has two of these, one for each unit; the second is added to the first.
  append(reply, 'ratelimit-policy', `"${unit}";q=${limit};w=1`);
  append(reply, 'ratelimit', `"${unit}";r=${remaining};t=${seconds}`);
  if (allowed) return;
  throw new ProblemError(
    'rate_limited',
    `this API key may send ${limit} ${unit} per second: try again in ${seconds} second${seconds === 1 ? '' : 's'}`,
    // The second one is what generated SDKs look at first.
    { headers: { 'retry-after': String(seconds), 'retry-after-ms': String(Math.max(1, resetMs)) } },
  );
}

function append(reply: FastifyReply, name: string, item: string): void {
  const before = reply.getHeader(name);
  reply.header(name, before === undefined ? item : `${String(before)}, ${item}`);
}
