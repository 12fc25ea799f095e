/** Who may call: API keys as bearer tokens. */
import { hash, timingSafeEqual } from 'node:crypto';
import type { onRequestHookHandler } from 'fastify';
import { ProblemError } from '../errors.ts';

/** Tells whether a key may be used. */
export type KeyCheck = (key: string) => boolean;

const BEARER = /^Bearer +(\S+) *$/i;

/**
 * Checks keys against a fixed set. Only their hashes are kept, and a key is compared with every one of them
 * in constant time, so that neither memory nor timing gives one away.
 */
export function keyCheck(keys: readonly string[]): KeyCheck {
  const known = keys.map(sha256);
  return (key) => {
    const sent = sha256(key);
    return known.reduce((found, candidate) => timingSafeEqual(candidate, sent) || found, false);
  };
}

/** Answers 401 unless the request brings a valid key; runs before anything of the body is read. */
export function requireKey(isValid: KeyCheck): onRequestHookHandler {
  return (request, _reply, done) => {
    const header = request.headers.authorization;
    const key = BEARER.exec(header ?? '')?.[1];
    if (key !== undefined && isValid(key)) done();
    else if (header === undefined) done(unauthorized('send an API key: Authorization: Bearer YOUR_KEY'));
    else if (key === undefined) done(unauthorized('the Authorization header must be: Bearer YOUR_KEY'));
    else done(unauthorized('this API key is not known'));
  };
}

function unauthorized(detail: string): ProblemError {
  return new ProblemError('unauthorized', detail, { headers: { 'www-authenticate': 'Bearer' } });
}

function sha256(text: string): Buffer {
  return hash('sha256', text, 'buffer');
}
